// The engine with a chemistry of its own: no RDKit, any number of products, at once or slowly.
#include "transform/job/apply.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "core/fault.hpp"
#include "core/test_folder.hpp"
#include "format/parquet/parquet_writer.hpp"
#include "transform/job/step.hpp"

// AddressSanitizer's own memory is many times a limit.
#ifdef __SANITIZE_ADDRESS__
constexpr bool kMeasuresMemory = false;
#else
constexpr bool kMeasuresMemory = true;
#endif

namespace spillway::transform {
namespace {

// "N tag" is a molecule with N sites: product i is named "tag-<i mod 10>" by the first rule, of which
// some meet, and "<tag>_<i>" by the second, of which none do. "!..." does not parse; a site whose
// number is divisible by 97 fails.
class Toy final : public Transformer {
 public:
  Result<Applied> apply(std::string_view smiles, ProductSink& sink) override {
    counts_.assign(2, {});
    if (smiles.empty() || smiles[0] == '!') {
      const Reason reason = smiles.empty() ? Reason::kNull : Reason::kParse;
      TRY(sink.failure({.reason = reason, .message = "no molecule"}));
      return Applied{.row = Row::kFailed, .row_reason = reason, .by_rule = counts_};
    }
    const int sites = std::stoi(std::string(smiles));
    const std::string tag(smiles.substr(smiles.find('_') + 1));
    const int32_t atoms[] = {1, 2};
    for (size_t rule = 0; rule < 2; ++rule) {
      for (int i = 0; i < sites; ++i) {
        ++counts_[rule].sites;
        if (i % 97 == 96) {
          ++counts_[rule].failed[static_cast<size_t>(Reason::kValence)];
          TRY(sink.failure(
              {.rule = rule, .site_index = i, .reason = Reason::kValence, .message = "x"}));
          continue;
        }
        ++counts_[rule].products;
        const std::string name =
            rule == 0 ? tag + "-" + std::to_string(i % 10) : tag + "_" + std::to_string(i);
        TRY(sink.product({.smiles = name, .rule = rule, .site_index = i, .site_atoms = atoms}));
      }
    }
    const uint64_t made = counts_[0].products + counts_[1].products;
    return Applied{.row = made > 0    ? Row::kOk
                          : sites > 0 ? Row::kFailed
                                      : Row::kNoSite,
                   .row_reason = std::nullopt,
                   .by_rule = counts_};
  }
  // Not stable for names that end in 5: the canonical form of a canonical form is another.
  std::optional<std::string> canonical(std::string_view smiles) override {
    return smiles.ends_with('5') ? std::string(smiles) + '5' : std::string(smiles);
  }
  Paths paths() const override { return {}; }

 private:
  std::vector<RuleCounts> counts_;
};

Chemistry toy_chemistry() {
  Chemistry chemistry;
  chemistry.rules = {{"meet", "toy", 0}, {"part", "toy", 3}};
  chemistry.rules_sha256 = "toy";
  chemistry.make = [](Bytes) -> Result<std::unique_ptr<Transformer>> {
    return std::make_unique<Toy>();
  };
  chemistry.is_smiles = [](std::string_view) { return false; };
  chemistry.smiles_of_record = [](std::string_view record) -> Result<std::string> {
    return std::string(record);
  };
  chemistry.draw = [](const Depiction&) -> Result<std::string> { return std::string("<svg/>"); };
  return chemistry;
}

// As Toy, with 40 KiB behind each product's name.
class LongToy final : public Transformer {
 public:
  Result<Applied> apply(std::string_view smiles, ProductSink& sink) override {
    Longer longer(sink);
    return toy_.apply(smiles, longer);
  }
  std::optional<std::string> canonical(std::string_view smiles) override {
    return toy_.canonical(smiles);
  }
  Paths paths() const override { return {}; }

 private:
  class Longer final : public ProductSink {
   public:
    explicit Longer(ProductSink& sink) : sink_(sink) {}
    Result<void> product(const Product& product) override {
      Product longer = product;
      const std::string name = std::string(product.smiles) + std::string(40'000, 'N');
      longer.smiles = name;
      return sink_.product(longer);
    }
    Result<void> failure(const Failure& failure) override { return sink_.failure(failure); }

   private:
    ProductSink& sink_;
  };
  Toy toy_;
};

Chemistry long_chemistry() {
  Chemistry chemistry = toy_chemistry();
  chemistry.make = [](Bytes) -> Result<std::unique_ptr<Transformer>> {
    return std::make_unique<LongToy>();
  };
  return chemistry;
}

class ApplyTest : public testing::Test {
 protected:
  std::string write(const std::string& name, const std::string& content) {
    std::ofstream(folder_.path() + "/" + name) << content;
    return folder_.path() + "/" + name;
  }
  ApplyOptions options(const std::string& in, const std::string& out) {
    ApplyOptions made;
    made.job.memory = 256_MiB;
    made.job.threads = 2;
    made.job.progress = ProgressMode::kNone;
    made.inputs = {in};
    made.out = folder_.path() + "/" + out;
    return made;
  }
  // Parquet as another program would write it.
  std::string library(const std::string& name, const std::vector<std::string>& texts) {
    const std::string path = folder_.path() + "/" + name;
    const auto budget = Budget::create(64_MiB);
    const Account account = *budget->open({"write", 0, Bytes(0), std::nullopt});
    format::ParquetOptions table;
    table.columns = {{"smiles", format::ColumnType::kString, false}};
    table.space = *ScratchSpace::create({folder_.path(), 1_GiB, true});
    const auto writer = *format::ParquetWriter::create(path, std::move(table), account);
    for (const std::string& text : texts) {
      writer->text(text);
      EXPECT_TRUE(writer->end_row());
    }
    EXPECT_TRUE(std::move(*writer).close());
    return path;
  }
  static std::string content(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  bool exists(const std::string& name) const {
    return std::filesystem::exists(folder_.path() + "/" + name);
  }
  void TearDown() override {
#ifdef SPILLWAY_FAULTS
    fault::disarm_all();
#endif
  }
  TestFolder folder_;
};

TEST_F(ApplyTest, CountsEverySiteOnce) {
  const auto in = write("a.smi", "12_a\n0_b\n12_a\n!bad\n100_c\n");
  auto with = options(in, "o.parquet");
  with.rejects = folder_.path() + "/r.tsv";
  const auto done = apply(toy_chemistry(), with, {});
  ASSERT_TRUE(done) << done.error().message();
  const Counts& counts = done->counts;
  EXPECT_EQ(counts.rows_in, 5u);
  EXPECT_EQ(counts.rows_ok, 3u);
  EXPECT_EQ(counts.rows_no_site, 1u);
  EXPECT_EQ(counts.rows_failed, 1u);
  EXPECT_EQ(counts.rules[0].sites, 124u);
  EXPECT_EQ(counts.rules[0].unique, 20u);       // a-0..9, c-0..9
  EXPECT_EQ(counts.rules[0].duplicates, 103u);  // of 123 products
  EXPECT_EQ(counts.rules[1].unique, 12u + 99u);
  EXPECT_EQ(counts.rules[1].duplicates, 12u);
  EXPECT_EQ(done->rows_written, 131u);
  const std::string rejects = content(with.rejects);
  EXPECT_NE(rejects.find("\t3\t\t\tparse\t!bad\tno molecule\n"), std::string::npos) << rejects;
  EXPECT_NE(rejects.find("\t4\tpart\t96\tvalence\t100_c\tx\n"), std::string::npos) << rejects;
  EXPECT_FALSE(exists("o.parquet.spillway"));
}

TEST_F(ApplyTest, ABurstOfHalfAMillionProductsSpillsAndChangesNothing) {
  const auto in = write("a.smi", "3_a\n250000_burst\n3_b\n");
  ASSERT_TRUE(apply(toy_chemistry(), options(in, "large.parquet"), {}));
  auto small = options(in, "small.parquet");
  small.job.memory = 60_MiB;
  const auto done = apply(toy_chemistry(), small, {});
  ASSERT_TRUE(done) << done.error().message();
  const uint64_t sites = 2 * 250'006;
  EXPECT_EQ(done->counts.total().products, sites - 2 * (250'000 / 97));
  EXPECT_EQ(content(folder_.path() + "/small.parquet"), content(folder_.path() + "/large.parquet"));
}

TEST_F(ApplyTest, TheHardestMoleculeMayComeLast) {
  std::string text;
  for (int i = 0; i < 3000; ++i) text += std::to_string(i / 60) + "_m" + std::to_string(i) + "\n";
  const auto in = write("a.smi", text + "5000_last\n");
  auto one = options(in, "one.parquet");
  one.job.threads = 1;
  auto four = options(in, "four.parquet");
  four.job.threads = 4;
  ASSERT_TRUE(apply(toy_chemistry(), one, {}));
  ASSERT_TRUE(apply(toy_chemistry(), four, {}));
  EXPECT_EQ(content(folder_.path() + "/one.parquet"), content(folder_.path() + "/four.parquet"));
}

TEST_F(ApplyTest, ATextIsKnownAsItStandsAndByItsCanonicalForm) {
  const auto in = write("a.smi", "10_a\n");
  auto with = options(in, "o.parquet");
  // a-5 is one of the products, and its canonical form a-55 is none.
  with.known = {library("known.parquet", {"a-5", "a_1", "no product"})};
  const auto done = apply(toy_chemistry(), with, {});
  ASSERT_TRUE(done) << done.error().message();
  EXPECT_EQ(done->counts.total().known, 2u);
  EXPECT_EQ(done->counts.total().unique, 18u);
}

TEST_F(ApplyTest, AProductThatIsATextOfTheInputIsKnown) {
  const auto done =
      apply(toy_chemistry(), options(write("a.smi", "10_0\n0-5\n0_5\n"), "o.parquet"), {});
  ASSERT_TRUE(done) << done.error().message();
  EXPECT_EQ(done->counts.total().known, 2u);
}

TEST_F(ApplyTest, TextsOfALibraryThatAreTooLongAreCounted) {
  auto with = options(write("a.smi", "10_a\n"), "o.parquet");
  const std::string longer(size_t{20} << 10, 'C'), longest(size_t{200} << 10, 'C');
  with.known = {library("known.parquet", {longer, longest, "a-1"})};
  const auto done = apply(toy_chemistry(), with, {});
  ASSERT_TRUE(done) << done.error().message();
  EXPECT_EQ(done->counts.total().known, 1u);
  EXPECT_EQ(done->known_too_long, 1u);
}

TEST_F(ApplyTest, AProductOfOursAbove16KiBIsKnownAgain) {
  const std::string tag(size_t{16} * 1024 - 20, 'C');
  const auto in = write("a.smi", "100_" + tag + "\n");
  for (const OutputOrder order : {OutputOrder::kKey, OutputOrder::kInput}) {
    auto first = options(in, "first.parquet");
    first.order = order;
    first.job.overwrite = true;
    const auto made = apply(long_chemistry(), first, {});
    ASSERT_TRUE(made) << made.error().message();
    auto second = options(in, "second.parquet");
    second.known = {first.out};
    second.job.overwrite = true;
    const auto done = apply(long_chemistry(), second, {});
    ASSERT_TRUE(done) << done.error().message();
    EXPECT_EQ(done->counts.total().unique, 0u);
    EXPECT_EQ(done->counts.total().known, made->counts.total().unique);
  }
}

TEST_F(ApplyTest, RefusesTooLittleMemoryWithTheNumbers) {
  auto little = options(write("a.smi", "1_a\n"), "o.parquet");
  little.job.memory = 16_MiB;
  const auto done = apply(toy_chemistry(), little, {});
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code(), Code::kMemoryLimit);
  EXPECT_NE(done.error().message().find("needs at least"), std::string::npos);
  EXPECT_FALSE(exists("o.parquet.spillway"));
}

TEST_F(ApplyTest, ANullColumnIsRowsThatFailed) {
  const auto done =
      apply(toy_chemistry(), options(write("a.csv", "smiles,b\n,1\n,2\n2_a,3\n"), "o.parquet"), {});
  ASSERT_TRUE(done) << done.error().message();
  EXPECT_EQ(done->counts.rows_failed_by[static_cast<size_t>(Reason::kNull)], 2u);
  EXPECT_EQ(done->counts.rows_ok, 1u);
}

#ifdef SPILLWAY_FAULTS
// The workers are fast and the disk is not: what is made waits in the sort's buffers, and the
// workers with it, to the last molecule.
TEST_F(ApplyTest, ASlowDiskHoldsTheWorkersBack) {
  std::string text;
  for (int i = 0; i < 40; ++i) text += "20000_m" + std::to_string(i) + "\n";
  const auto in = write("a.smi", text);
  auto tight = options(in, "fast.parquet");
  tight.job.memory = 72_MiB;
  tight.job.threads = 4;
  const auto fast = apply(toy_chemistry(), tight, {});
  ASSERT_TRUE(fast) << fast.error().message();
  tight.out = folder_.path() + "/slow.parquet";
  fault::slow_down(fault::Site::kWrite, std::chrono::milliseconds(3));
  const auto slow = apply(toy_chemistry(), tight, {});
  ASSERT_TRUE(slow) << slow.error().message();
  if (kMeasuresMemory) {
    EXPECT_LE(slow->peak_memory, tight.job.memory);
  }
  EXPECT_EQ(content(tight.out), content(folder_.path() + "/fast.parquet"));
}

TEST_F(ApplyTest, AFullDiskAtAnyOfTheLastWritesLeavesNoOutput) {
  const auto in = write("a.smi", "40_a\n3000_b\n40_c\n");
  constexpr uint64_t kFar = 1'000'000;
  fault::arm(fault::Site::kWrite, kFar, ENOSPC);
  ASSERT_TRUE(apply(toy_chemistry(), options(in, "whole.parquet"), {}));
  const uint64_t writes = kFar - fault::remaining(fault::Site::kWrite);
  ASSERT_GT(writes, 4u);
  // The footer is among them; each run is a fresh one.
  for (uint64_t nth = writes - std::min<uint64_t>(writes - 1, 30); nth <= writes; ++nth) {
    auto again = options(in, "o.parquet");
    again.resume = false;
    fault::arm(fault::Site::kWrite, nth, ENOSPC, true);
    const auto done = apply(toy_chemistry(), again, {});
    fault::disarm_all();
    ASSERT_FALSE(done) << nth << " of " << writes;
    if (!exists("o.parquet")) continue;
    // The report comes last; the output is whole then, which is said.
    EXPECT_EQ(content(folder_.path() + "/o.parquet"), content(folder_.path() + "/whole.parquet"));
    EXPECT_NE(done.error().message().find("o.parquet is whole"), std::string::npos);
    std::filesystem::remove(folder_.path() + "/o.parquet");
  }
  ASSERT_TRUE(apply(toy_chemistry(), options(in, "o.parquet"), {}));
  EXPECT_EQ(content(folder_.path() + "/o.parquet"), content(folder_.path() + "/whole.parquet"));
}

TEST_F(ApplyTest, AFullDiskAtAnyWriteLeavesNoOutputAndResumes) {
  const auto in = write("a.smi", "40_a\n200000_b\n40_c\n");
  ASSERT_TRUE(apply(toy_chemistry(), options(in, "whole.parquet"), {}));
  const std::string whole = content(folder_.path() + "/whole.parquet");
  auto tight = options(in, "o.parquet");
  tight.job.memory = 60_MiB;
  int failures = 0;
  for (uint64_t nth = 1; nth < 100'000; nth += 1 + nth / 4) {
    fault::arm(fault::Site::kWrite, nth, ENOSPC, true);
    const auto done = apply(toy_chemistry(), tight, {});
    fault::disarm_all();
    if (done) break;
    ++failures;
    EXPECT_FALSE(exists("o.parquet")) << nth;
    EXPECT_TRUE(done.error().code() == Code::kScratchFull || done.error().code() == Code::kDiskFull)
        << done.error().message();
  }
  EXPECT_GT(failures, 5);
  ASSERT_TRUE(apply(toy_chemistry(), tight, {}));
  EXPECT_EQ(content(folder_.path() + "/o.parquet"), whole);
  EXPECT_FALSE(exists("o.parquet.spillway"));
}
#endif

TEST(RangeSet, JoinsWhatTouches) {
  RangeSet set;
  for (const uint64_t value : {5, 1, 2, 9, 3, 4}) set.add(value, value);
  EXPECT_EQ(set.ranges(), (std::vector<std::pair<uint64_t, uint64_t>>{{1, 5}, {9, 9}}));
  set.add(6, 8);
  EXPECT_EQ(set.ranges(), (std::vector<std::pair<uint64_t, uint64_t>>{{1, 9}}));
  EXPECT_TRUE(set.contains(7));
  EXPECT_FALSE(set.contains(0));
  EXPECT_FALSE(set.contains(10));
}

}  // namespace
}  // namespace spillway::transform

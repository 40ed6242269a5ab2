#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>

#include "core/fault.hpp"
#include "core/file/sha256.hpp"
#include "core/test_folder.hpp"
#include "export/job/export.hpp"

namespace spillway::exporter {
namespace {

namespace fs = std::filesystem;

using Tree = std::map<std::string, std::string>;  // file -> SHA-256

constexpr const char* kSpec = R"({"scales": [{"key": "8_8_8", "size": [256, 192, 128],
 "resolution": [8, 8, 8], "voxel_offset": [0, 0, 0], "chunk_sizes": [[64, 64, 64]], %s
 "encoding": "compressed_segmentation"}]})";
constexpr const char* kSharding = R"("sharding": {"@type": "neuroglancer_uint64_sharded_v1",
 "hash": "identity", "preshift_bits": 1, "minishard_bits": 1, "shard_bits": 3,
 "minishard_index_encoding": "gzip", "data_encoding": "gzip"},)";

class RunTest : public ::testing::Test {
 protected:
  // 24 blocks, too many for the sort's memory at the least --memory: some have 90 KB, two 300 KB.
  void SetUp() override {
    std::mt19937_64 random(7);
    BlockEncoder encoder;
    std::vector<uint64_t> voxels(kBlockVoxels);
    std::ofstream stream(path("stream"), std::ios::binary);
    for (int32_t i = 0; i < 24; ++i) {
      const int32_t at[3] = {i % 4, i / 4 % 3, i / 12};
      const size_t labels = i % 12 == 5 ? 24 : i % 3 == 0 ? 5 : 1;
      for (size_t sub = 0; sub < 512; ++sub) fill(voxels, sub, labels, random);
      const auto block = encoder.encode(voxels);
      const auto length = static_cast<int32_t>(block.size());
      stream.write(reinterpret_cast<const char*>(at), sizeof at);
      stream.write(reinterpret_cast<const char*>(&length), sizeof length);
      stream.write(reinterpret_cast<const char*>(block.data()), length);
    }
    std::ofstream mapping(path("mapping"));
    for (uint64_t id = 1; id <= 500; ++id) mapping << id << " " << id % 100 << "\n";
  }
  static void fill(std::vector<uint64_t>& voxels, size_t sub, size_t labels,
                   std::mt19937_64& random) {
    std::vector<uint64_t> palette(labels);
    for (uint64_t& id : palette) id = 1 + random() % 500;
    for (size_t i = 0; i < 512; ++i) {
      const size_t x = sub % 8 * 8 + i % 8, y = sub / 8 % 8 * 8 + i / 8 % 8,
                   z = sub / 64 * 8 + i / 64;
      voxels[(z * 64 + y) * 64 + x] = palette[random() % labels];
    }
  }
  std::string path(const std::string& name) const { return folder_.path() + "/" + name; }

  ExportOptions options(Target to, bool sharded = true) {
    char spec[2000];
    std::snprintf(spec, sizeof spec, kSpec, sharded ? kSharding : "");
    std::ofstream(path("info")) << spec;
    ExportOptions options;
    options.source = path("stream");
    options.spec = path("info");
    options.mapping = path("mapping");
    options.out = path("out");
    options.to = to;
    options.job.progress = ProgressMode::kNone;
    options.job.threads = 1;
    options.job.memory = 1_GiB;
    if (to == Target::kArrow) options.batch_size = 3;
    return options;
  }
  // The least memory that run() accepts, in steps of 1 MiB.
  static Bytes least_memory(ExportOptions options) {
    for (options.job.memory = 16_MiB;; options.job.memory += 1_MiB) {
      if (explain_memory(options)) return options.job.memory;
    }
  }
  Tree tree() const {
    Tree found;
    for (const auto& entry : fs::recursive_directory_iterator(path("out"))) {
      const std::string name = entry.path().lexically_relative(path("out")).string();
      if (entry.is_regular_file() && !name.starts_with(".spillway") && name != "report.json")
        found[name] = *sha256_of_file(entry.path().string());
    }
    return found;
  }
  // What stands under a shard's name is whole, and its CSV was there first.
  static void expect_whole(const Tree& found, const Tree& whole) {
    for (const auto& [name, sha] : found) {
      if (name.find('/') == std::string::npos) continue;
      const auto wanted = whole.find(name);
      ASSERT_NE(wanted, whole.end()) << name;
      EXPECT_EQ(sha, wanted->second) << name;
      if (!name.ends_with(".arrow")) continue;
      EXPECT_TRUE(found.contains(name.substr(0, name.size() - 6) + ".csv")) << name;
    }
  }

#ifdef SPILLWAY_FAULTS
  // Lets the n-th call at `site` fail, and all behind it, for every n (above 6: for n that grow by a
  // sixth); each time the same command must
  // then end with the bytes of an undisturbed run.
  void sweep(fault::Site site, int error, std::initializer_list<Code> codes, ExportOptions options,
             Bytes memory) {
    options.job.memory = memory;
    fs::remove_all(path("out"));
    auto undisturbed = run(options, {});
    ASSERT_TRUE(undisturbed) << undisturbed.error().message();
    const Tree whole = tree();
    uint64_t failures = 0, partly = 0;
    for (uint64_t nth = 1; nth < 100000; nth += 1 + nth / 6) {
      fs::remove_all(path("out"));
      fault::arm(site, nth, error, true);
      auto first = run(options, {});
      fault::disarm_all();
      if (first) break;
      ++failures;
      EXPECT_TRUE(std::find(codes.begin(), codes.end(), first.error().code()) != codes.end())
          << first.error().message();
      if (fs::exists(path("out"))) {
        const Tree found = tree();
        expect_whole(found, whole);
        partly += found.size() > 1 ? 1 : 0;
      }
      auto second = run(options, {});
      ASSERT_TRUE(second) << nth << ": " << second.error().message();
      ASSERT_EQ(tree(), whole) << nth;
      ASSERT_FALSE(fs::exists(path("out/.spillway")));
    }
    EXPECT_EQ(tree(), whole);
    EXPECT_GT(failures, 5u);
    std::fprintf(stderr, "  %llu calls failed, %llu left some shards\n",
                 static_cast<unsigned long long>(failures),
                 static_cast<unsigned long long>(partly));
  }
#endif

  TestFolder folder_;
};

#ifdef SPILLWAY_FAULTS
TEST_F(RunTest, ContinuesAfterEveryWriteThatADiskRefused) {
  const auto full = {Code::kDiskFull, Code::kScratchFull};
  for (const auto& kind : {options(Target::kArrow), options(Target::kPrecomputed)}) {
    sweep(fault::Site::kWrite, ENOSPC, full, kind, least_memory(kind));
  }
  sweep(fault::Site::kWrite, ENOSPC, full, options(Target::kPrecomputed, false), 1_GiB);
}

TEST_F(RunTest, ContinuesAfterEveryReadAndSyncThatFailed) {
  const auto kind = options(Target::kArrow);
  sweep(fault::Site::kRead, EIO, {Code::kIo}, kind, least_memory(kind));
  sweep(fault::Site::kSync, EIO, {Code::kIo}, kind, 1_GiB);
}

TEST_F(RunTest, ShortWritesChangeNothing) {
  const auto kind = options(Target::kArrow);
  ASSERT_TRUE(run(kind, {}));
  const Tree whole = tree();
  fs::remove_all(path("out"));
  fault::arm(fault::Site::kShortWrite, 1, 1, true);
  ASSERT_TRUE(run(kind, {}));
  fault::disarm_all();
  EXPECT_EQ(tree(), whole);
}
#endif

TEST_F(RunTest, StoppedRunsAreContinuedByTheSameOptions) {
  std::stop_source stop;
  stop.request_stop();
  auto stopped = run(options(Target::kArrow), stop.get_token());
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code(), Code::kCancelled);
  auto done = run(options(Target::kArrow), {});
  ASSERT_TRUE(done) << done.error().message();
  EXPECT_EQ(done->written, 24u);
  EXPECT_FALSE(done->was_finished);
  EXPECT_TRUE(run(options(Target::kArrow), {})->was_finished);
}

}  // namespace
}  // namespace spillway::exporter

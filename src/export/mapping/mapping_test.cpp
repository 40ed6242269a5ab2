#include "export/mapping/mapping.hpp"

#include <gtest/gtest.h>
#include <zlib.h>

#include <fstream>
#include <map>
#include <random>

#include "core/fault.hpp"
#include "core/test_folder.hpp"

namespace spillway::exporter {
namespace {

class MappingTest : public ::testing::Test {
 protected:
  Result<std::unique_ptr<Mapping>> load(const std::string& content, MappingFormat format,
                                        uint64_t most_table = uint64_t{1} << 40) {
    const std::string path = folder_.path() + "/mapping";
    std::ofstream(path, std::ios::binary) << content;
    space_ = *ScratchSpace::create({.folder = folder_.path(), .limit = 1_GiB, .allow_tmpfs = true});
    budget_ = Budget::create(256_MiB);
    Mapping::Options options;
    options.path = path;
    options.format = format;
    options.sort = *budget_->open({"sort", 1, Mapping::sort_floor(), std::nullopt});
    options.table = *budget_->open({"table", 2, Bytes(0), std::nullopt});
    options.space = space_;
    options.most_table_bytes = most_table;
    return Mapping::load(options, {});
  }
  static std::vector<uint64_t> mapped(const Mapping& mapping, std::vector<uint64_t> ids) {
    auto* const bytes = reinterpret_cast<uint8_t*>(ids.data());
    (void)mapping.map(bytes, ids.size(), bytes);
    return ids;
  }
  TestFolder folder_;
  std::shared_ptr<ScratchSpace> space_;
  std::unique_ptr<Budget> budget_;
};

TEST_F(MappingTest, ReadsText) {
  auto mapping = load("# ids\n1 10\n2,20\n\n3\t0 # gone\r\n1 10\n0 5\n7, 70", MappingFormat::kAuto);
  ASSERT_TRUE(mapping) << mapping.error().message();
  EXPECT_EQ(mapped(**mapping, {1, 2, 3, 4, 0, 7}), (std::vector<uint64_t>{10, 20, 0, 4, 0, 70}));
  EXPECT_EQ((*mapping)->pairs(), 4u);
}

TEST_F(MappingTest, SaysWhereTextIsWrong) {
  for (const std::string bad : {"1 2\n3\n", "1 2\n1 2 3\n", "1 2\nx 2\n", "1 2\n-1 2\n"}) {
    auto mapping = load(bad, MappingFormat::kAuto);
    ASSERT_FALSE(mapping) << bad;
    EXPECT_NE(mapping.error().message().find("line 2"), std::string::npos);
  }
  auto mapping = load("5 6\n5 7\n", MappingFormat::kAuto);
  ASSERT_FALSE(mapping);
  EXPECT_NE(mapping.error().message().find("supervoxel 5 has two bodies, 6 and 7"),
            std::string::npos);
}

TEST_F(MappingTest, BinaryTableAndSearchAgree) {
  std::mt19937_64 random(4);
  std::map<uint64_t, uint64_t> truth;
  std::string content;
  for (int i = 0; i < 20000; ++i) {
    const uint64_t id = 1 + random() % 100000;
    const uint64_t body = truth.emplace(id, random() % 50 == 0 ? 0 : random()).first->second;
    content.append(reinterpret_cast<const char*>(&id), 8);
    content.append(reinterpret_cast<const char*>(&body), 8);
  }
  for (const uint64_t most_table : {uint64_t{0}, uint64_t{1} << 40}) {
    auto mapping = load(content, MappingFormat::kBinary, most_table);
    ASSERT_TRUE(mapping) << mapping.error().message();
    EXPECT_EQ((*mapping)->is_in_memory(), most_table > 0);
    EXPECT_EQ((*mapping)->pairs(), truth.size());
    std::vector<uint64_t> ids, expected;
    for (uint64_t id = 0; id < 100100; ++id) {
      ids.push_back(id);
      expected.push_back(truth.contains(id) ? truth[id] : id);
    }
    EXPECT_EQ(mapped(**mapping, ids), expected);
  }
  content.pop_back();
  EXPECT_FALSE(load(content, MappingFormat::kBinary));
}

#ifdef SPILLWAY_FAULTS
TEST_F(MappingTest, ASearchThatCannotReadScratchSaysSo) {
  std::string content;
  for (uint64_t id = 1; id <= 2000; ++id) {
    const uint64_t pair[] = {id, id + 5000};
    content.append(reinterpret_cast<const char*>(pair), sizeof pair);
  }
  auto mapping = load(content, MappingFormat::kBinary, 0);
  ASSERT_TRUE(mapping) << mapping.error().message();
  EXPECT_EQ(mapped(**mapping, {1, 1999}), (std::vector<uint64_t>{5001, 6999}));
  EXPECT_TRUE((*mapping)->status());
  fault::arm(fault::Site::kRead, 2, EIO);
  (void)mapped(**mapping, {1, 1999, 2});
  fault::disarm_all();
  auto status = (*mapping)->status();
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code(), Code::kIo);
  EXPECT_NE(status.error().message().find("mapping"), std::string::npos);
  EXPECT_FALSE((*mapping)->status());  // it stays so
}
#endif

TEST_F(MappingTest, ReadsGzip) {
  std::string text, packed(1 << 20, '\0');
  for (int i = 1; i < 30000; ++i) text += std::to_string(i) + " " + std::to_string(i * 2) + "\n";
  z_stream stream{};
  ASSERT_EQ(deflateInit2(&stream, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
  stream.next_in = reinterpret_cast<Bytef*>(text.data());
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  ASSERT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  auto mapping = load(packed, MappingFormat::kAuto);
  ASSERT_TRUE(mapping) << mapping.error().message();
  EXPECT_EQ(mapped(**mapping, {29999, 30000}), (std::vector<uint64_t>{59998, 30000}));
  mapping->reset();  // before its budget
  packed.resize(packed.size() / 2);
  EXPECT_FALSE(load(packed, MappingFormat::kAuto));
}

}  // namespace
}  // namespace spillway::exporter

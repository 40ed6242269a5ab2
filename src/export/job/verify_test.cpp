#include "export/job/verify.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "core/test_folder.hpp"
#include "export/block/label_block.hpp"

namespace spillway::exporter {
namespace {

namespace fs = std::filesystem;

std::string read_all(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}
void write_all(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

class VerifyTest : public ::testing::Test {
 protected:
  // Two blocks in one shard and one in another, one of several labels, and a bad one.
  void SetUp() override {
    std::vector<uint64_t> voxels(kBlockVoxels, 7);
    for (size_t i = 0; i < 300; ++i) voxels[i * 5] = 1 + i % 3;
    std::ofstream stream(path("stream"), std::ios::binary);
    BlockEncoder encoder;
    for (int32_t i = 0; i < 4; ++i) {
      if (i == 1) voxels.assign(kBlockVoxels, 9);
      const auto block = encoder.encode(voxels);
      const int32_t head[4] = {i == 3 ? 99 : i * i, 0, 0, static_cast<int32_t>(block.size())};
      stream.write(reinterpret_cast<const char*>(head), sizeof head);
      stream.write(reinterpret_cast<const char*>(block.data()), head[3]);
    }
  }
  std::string path(const std::string& name) const { return folder_.path() + "/" + name; }

  void export_to(Target to, const std::string& sharding) {
    std::ofstream(path("info"))
        << R"({"scales": [{"key": "8_8_8", "size": [320, 8, 8], "resolution": [8, 8, 8],
 "chunk_sizes": [[64, 64, 64]], "encoding": "compressed_segmentation",)"
        << sharding << R"( "voxel_offset": [0, 0, 0]}]})";
    fs::remove_all(path("out"));
    ExportOptions options{
        .source = path("stream"), .spec = path("info"), .out = path("out"), .to = to};
    options.reject = true;
    options.job.progress = ProgressMode::kNone;
    options.job.threads = 1;
    options.job.memory = 256_MiB;
    const auto done = run(options, {});
    ASSERT_TRUE(done) << done.error().message();
    ASSERT_EQ(done->written, 3u);
    ASSERT_EQ(done->rejected, 1u);
  }
  Result<VerifySummary> verify_out() const {
    VerifyOptions options{.folder = path("out")};
    options.job.memory = 256_MiB;
    return verify(options, {});
  }
  // Every byte of every file that an export claims.
  void flip_each(size_t least_files) {
    ASSERT_TRUE(verify_out()) << verify_out().error().message();
    std::vector<std::string> files;
    for (const auto& entry : fs::recursive_directory_iterator(path("out"))) {
      if (entry.is_regular_file() && entry.path().filename() != "report.json")
        files.push_back(entry.path().string());
    }
    EXPECT_GE(files.size(), least_files);
    size_t flips = 0;
    for (const std::string& file : files) {
      const std::string whole = read_all(file);
      for (size_t at = 0; at < whole.size(); ++at) {
        std::string damaged = whole;
        damaged[at] = static_cast<char>(damaged[at] ^ (1 << at % 8));
        write_all(file, damaged);
        ASSERT_FALSE(verify_out()) << file << ": byte " << at;
        ++flips;
      }
      write_all(file, whole);
    }
    ASSERT_TRUE(verify_out());
    std::fprintf(stderr, "  %zu bytes of %zu files\n", flips, files.size());
  }

  const std::string sharding_ =
      R"("sharding": {"@type": "neuroglancer_uint64_sharded_v1", "hash": "identity",
 "preshift_bits": 1, "minishard_bits": 1, "shard_bits": 1,
 "minishard_index_encoding": "gzip", "data_encoding": "gzip"},)";
  TestFolder folder_;
};

TEST_F(VerifyTest, FindsEveryByteOfAnArrowExportThatIsFlipped) {
  export_to(Target::kArrow, sharding_);
  flip_each(7);  // two shards with a CSV each, spec.json, rejects.csv, manifest.json
}

TEST_F(VerifyTest, FindsEveryByteOfAPrecomputedVolumeThatIsFlipped) {
  export_to(Target::kPrecomputed, sharding_);
  flip_each(5);  // two shards, info, rejects.csv, manifest.json
}

TEST_F(VerifyTest, FindsEveryByteOfAFileAChunkThatIsFlipped) {
  export_to(Target::kPrecomputed, "");
  flip_each(6);
}

TEST_F(VerifyTest, LooksAtWhatIsThereNotAtWhatCouldBe) {
  std::string sharding = sharding_;
  sharding.replace(sharding.find(R"("shard_bits": 1)"), 15, R"("shard_bits": 30)");
  export_to(Target::kPrecomputed, sharding);  // 2^30 names
  auto found = verify_out();
  ASSERT_TRUE(found) << found.error().message();
  EXPECT_EQ(found->rows, 3u);
  fs::remove(path("out/manifest.json"));  // as another writer leaves it
  found = verify_out();
  ASSERT_TRUE(found) << found.error().message();
  EXPECT_EQ(found->rows, 3u);
  EXPECT_FALSE(found->has_manifest);
  EXPECT_EQ(found->strangers, 0u);
  write_all(path("out/8_8_8/notes"), "x");
  write_all(path("out/8_8_8/00000007.shard"), "x");
  const auto damaged = verify_out();
  ASSERT_FALSE(damaged);
  EXPECT_NE(damaged.error().message().find("00000007.shard"), std::string::npos);
  fs::remove(path("out/8_8_8/00000007.shard"));
  EXPECT_EQ(verify_out()->strangers, 1u);
  EXPECT_EQ(verify_out()->stranger, "8_8_8/notes");
}

TEST_F(VerifyTest, NamesAFileThatTheManifestDoesNotList) {
  export_to(Target::kPrecomputed, "");
  write_all(path("out/8_8_8/128-192_0-8_0-8"), "x");
  const auto found = verify_out();
  ASSERT_FALSE(found);
  EXPECT_NE(found.error().message().find("128-192_0-8_0-8: the manifest does not list it"),
            std::string::npos)
      << found.error().message();
}

}  // namespace
}  // namespace spillway::exporter

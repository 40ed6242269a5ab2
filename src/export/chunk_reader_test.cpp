#include "export/chunk_reader.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

namespace spillway::exporter {
namespace {

Scale scale_of(std::array<int64_t, 3> blocks) {
  Scale scale;
  scale.key = "key";
  for (size_t d = 0; d < 3; ++d) scale.size[d] = 64 * blocks[d] - 1;
  scale.resolution = {1, 1, 1};
  return scale;
}

TEST(ChunkGrid, TakesApartWhatGridPutsTogether) {
  std::mt19937_64 random(3);
  for (const auto& blocks :
       {std::array<int64_t, 3>{10, 3, 2}, {1, 1, 1}, {1471, 1224, 2103}, {1, 5000, 1}}) {
    const Scale scale = scale_of(blocks);
    const Grid grid = *Grid::of(scale, 0);
    const ChunkGrid chunks(scale);
    for (int i = 0; i < 500; ++i) {
      GridAt g;
      for (size_t d = 0; d < 3; ++d)
        g[d] = static_cast<uint32_t>(random() % static_cast<uint64_t>(blocks[d]));
      const std::array<uint64_t, 3> want{g[0], g[1], g[2]};
      ASSERT_EQ(chunks.at(grid.morton(g)), want);
    }
  }
}

TEST(ChunkFormat, WidensRawChunksAndClearsWhatIsOutside) {
  const std::array<uint32_t, 3> extent{3, 2, 2}, room{4, 3, 2};
  for (const size_t width : {1, 2, 4, 8}) {
    const ChunkFormat format{width, false, {8, 8, 8}};
    std::vector<uint8_t> bytes(12 * width);
    for (size_t i = 0; i < 12; ++i) bytes[i * width + width - 1] = static_cast<uint8_t>(i + 1);
    EXPECT_EQ(format.bound(extent), bytes.size());
    std::vector<uint64_t> out(24, 77);
    ASSERT_TRUE(decode_chunk(format, bytes, extent, room, out));
    for (uint64_t i = 0; i < 24; ++i) {
      const uint64_t x = i % 4, y = i / 4 % 3, z = i / 12;
      const uint64_t want = x < 3 && y < 2 ? ((z * 2 + y) * 3 + x + 1) << (8 * (width - 1)) : 0;
      ASSERT_EQ(out[i], want) << width << " " << i;
    }
    for (size_t less = 0; less < bytes.size(); ++less)
      EXPECT_FALSE(decode_chunk(format, std::span(bytes).first(less), extent, room, out));
    bytes.push_back(0);
    EXPECT_FALSE(decode_chunk(format, bytes, extent, room, out));
  }
}

TEST(ChunkFormat, ReadsLabelsOf32BitsInBlocksOfAnyShape) {
  // One block of 4 x 2 x 1 voxels, clipped to 3 x 2 x 1: labels 7 and 9, a bit each.
  const uint32_t words[] = {1, 2 | 1u << 24, 4, 7, 9, 0b0110'0101};
  std::vector<uint8_t> bytes(sizeof words);
  std::memcpy(bytes.data(), words, sizeof words);
  const ChunkFormat format{4, true, {4, 2, 1}};
  std::vector<uint64_t> out(6);
  ASSERT_TRUE(decode_chunk(format, bytes, {3, 2, 1}, {3, 2, 1}, out));
  EXPECT_EQ(out, (std::vector<uint64_t>{9, 7, 9, 7, 9, 9}));
  EXPECT_GE(format.bound({3, 2, 1}), bytes.size());
  for (size_t less = 0; less < bytes.size(); ++less)
    EXPECT_FALSE(decode_chunk(format, std::span(bytes).first(less), {3, 2, 1}, {3, 2, 1}, out));
}

constexpr const char* kInfo = R"({"data_type": "uint32", "num_channels": 1, "scales": [{"key": "a",
  "size": [10, 20, 30], "resolution": [1, 1, 1], "chunk_sizes": [[50, 40, 7]],
  "encoding": "compressed_segmentation", "compressed_segmentation_block_size": [8, 4, 2]}]})";

TEST(VolumeSpec, AsASourceHasChunksOfAnySize) {
  EXPECT_FALSE(VolumeSpec::parse(kInfo, "info"));
  const auto spec = VolumeSpec::parse(kInfo, "info", VolumeSpec::Use::kSource);
  ASSERT_TRUE(spec) << spec.error().message();
  EXPECT_EQ(spec->scales[0].chunk, (std::array<uint32_t, 3>{50, 40, 7}));
  EXPECT_EQ(spec->scales[0].segmentation_block, (std::array<uint32_t, 3>{8, 4, 2}));
  const std::string info = kInfo;
  for (const auto& [from, to] : {std::pair{"uint32", "uint8"},
                                 {"uint32", "float32"},
                                 {"[[50, 40, 7]]", "[]"},
                                 {"[[50, 40, 7]]", "[[0, 1, 1]]"},
                                 {"[[50, 40, 7]]", "[[4096, 4096, 4096]]"},
                                 {"[[50, 40, 7]]", "[[1, 2]]"},
                                 {"compressed_segmentation\"", "jpeg\""},
                                 {"[8, 4, 2]", "[8, 4, 0]"},
                                 {"\"num_channels\": 1", "\"num_channels\": 2"}}) {
    std::string other = info;
    other.replace(other.find(from), std::string(from).size(), to);
    EXPECT_FALSE(VolumeSpec::parse(other, "info", VolumeSpec::Use::kSource)) << to;
  }
}

}  // namespace
}  // namespace spillway::exporter

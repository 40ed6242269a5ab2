#include "export/spec/volume_spec.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

namespace spillway::exporter {
namespace {

Scale scale_of(std::array<int64_t, 3> blocks) {
  Scale scale;
  scale.key = "s0";
  for (size_t d = 0; d < 3; ++d) scale.size[d] = blocks[d] * 64;
  return scale;
}

Grid grid_of(std::array<int64_t, 3> blocks) { return *Grid::of(scale_of(blocks), 0); }

std::string spec_text(const std::string& changes = "") {
  return R"({"type":"segmentation","data_type":"uint64","num_channels":1,"batch_size":7,"scales":[
    {"key":"8_8_8","size":[200,100,65],"resolution":[8,8,8],"voxel_offset":[64,0,-128],
     "chunk_sizes":[[64,64,64]],"encoding":"raw","sharding":{"@type":"neuroglancer_uint64_sharded_v1",
     "hash":"identity","preshift_bits":1,"minishard_bits":1,"shard_bits":2})" +
         changes + "}]}";
}

TEST(Grid, MortonFollowsTheVectors) {
  const Grid grid = grid_of({16, 4, 2});
  ASSERT_EQ(grid.bits(), (std::array<unsigned, 3>{4, 2, 1}));
  EXPECT_EQ(grid.morton({1, 0, 0}), 1u);
  EXPECT_EQ(grid.morton({0, 1, 0}), 2u);
  EXPECT_EQ(grid.morton({2, 0, 1}), 0b1100u);
  EXPECT_EQ(grid.morton({2, 3, 0}), 0b11010u);
  EXPECT_EQ(grid.morton({9, 2, 1}), 0b1010101u);
}

TEST(Grid, CellShapesOfTheRealVolume) {
  const Grid grid = grid_of({1471, 1224, 2103});
  EXPECT_EQ(grid.cell_shape(15), (GridAt{32, 32, 32}));
  EXPECT_EQ(grid.cell_shape(14), (GridAt{32, 32, 16}));
  EXPECT_EQ(grid.cell_shape(60), (GridAt{1471, 1224, 2103}));
}

// With identity hash and enough shard bits a cell is exactly a shard, for any shape of grid.
TEST(Grid, CellsAreTheShardsOfTheIdentityHash) {
  std::mt19937_64 random(11);
  for (int round = 0; round < 60; ++round) {
    const Grid grid =
        grid_of({1 + static_cast<int64_t>(random() % 13), 1 + static_cast<int64_t>(random() % 40),
                 1 + static_cast<int64_t>(random() % 5)});
    Sharding sharding;
    sharding.preshift_bits = static_cast<unsigned>(random() % 5);
    sharding.minishard_bits = static_cast<unsigned>(random() % 5);
    sharding.shard_bits = 40;
    const Cells cells(grid, sharding);
    std::map<uint64_t, uint64_t> shard_of_cell;
    std::set<uint64_t> shards;
    for (uint32_t z = 0; z < grid.blocks()[2]; ++z) {
      for (uint32_t y = 0; y < grid.blocks()[1]; ++y) {
        for (uint32_t x = 0; x < grid.blocks()[0]; ++x) {
          const GridAt g{x, y, z};
          const uint64_t shard = shard_of(grid.morton(g), sharding).shard;
          const auto [at, is_new] = shard_of_cell.emplace(cells.of(g), shard);
          ASSERT_EQ(at->second, shard);
          ASSERT_EQ(is_new, shards.insert(shard).second);
          const GridAt first = cells.first_block(cells.of(g));
          for (size_t d = 0; d < 3; ++d) {
            ASSERT_LE(first[d], g[d]);
            ASSERT_LT(g[d] - first[d], cells.shape()[d]);
          }
        }
      }
    }
    ASSERT_EQ(shards.size(), cells.count());
  }
}

TEST(Grid, CodesAreDifferentAndInRange) {
  const Grid grid = grid_of({5, 9, 3});
  std::set<uint64_t> codes;
  for (uint32_t z = 0; z < 3; ++z)
    for (uint32_t y = 0; y < 9; ++y)
      for (uint32_t x = 0; x < 5; ++x) codes.insert(grid.morton({x, y, z}));
  EXPECT_EQ(codes.size(), 5u * 9 * 3);
  EXPECT_LT(*codes.rbegin(), 1u << (3 + 4 + 2));
}

// Against the algorithm for 8 bytes written out (smhasher, MurmurHash3.cpp: the tail and the end).
TEST(Shard, MurmurFollowsItsVectors) {
  const auto reference = [](uint64_t value) {  // the 8-byte tail of the algorithm, written out
    const auto rotate = [](uint32_t v, int by) { return (v << by) | (v >> (32 - by)); };
    const auto mix = [](uint32_t h) {
      h = (h ^ (h >> 16)) * 0x85ebca6bu;
      h = (h ^ (h >> 13)) * 0xc2b2ae35u;
      return h ^ (h >> 16);
    };
    uint32_t k2 = static_cast<uint32_t>(value >> 32) * 0xab0e9789u;
    uint32_t h1 = 0, h2 = rotate(k2, 16) * 0x38b34ae5u, h3 = 0, h4 = 0;
    h1 = rotate(static_cast<uint32_t>(value) * 0x239b961bu, 15) * 0xab0e9789u;
    h1 ^= 8, h2 ^= 8, h3 ^= 8, h4 ^= 8;
    h1 += h2 + h3 + h4;
    h2 += h1, h3 += h1, h4 += h1;
    h1 = mix(h1), h2 = mix(h2), h3 = mix(h3), h4 = mix(h4);
    h1 += h2 + h3 + h4;
    h2 += h1;
    return uint64_t{h2} << 32 | h1;
  };
  std::mt19937_64 random(8);
  for (int i = 0; i < 1000; ++i) {
    const uint64_t value = random() >> (random() % 64);
    ASSERT_EQ(murmur_low64(value), reference(value)) << value;
  }
}

TEST(VolumeSpec, ReadsAnInfo) {
  auto spec = VolumeSpec::parse(spec_text(), "info");
  ASSERT_TRUE(spec) << spec.error().message();
  EXPECT_EQ(*spec->batch_size, 7u);
  ASSERT_EQ(spec->scales.size(), 1u);
  const Grid grid = *Grid::of(spec->scales[0], 0);
  EXPECT_EQ(grid.blocks(), (GridAt{4, 2, 2}));
  EXPECT_EQ(*grid.place({1, 0, -2}), (GridAt{0, 0, 0}));
  EXPECT_FALSE(grid.place({0, 0, -2}));
  EXPECT_FALSE(grid.place({5, 0, -2}));
  EXPECT_EQ(grid.block_at({3, 1, 1}), (BlockAt{4, 1, -1}));
  EXPECT_EQ(cell_name(spec->scales[0], {2, 0, 1}), "192_0_-64");
}

TEST(VolumeSpec, SaysWhatIsWrong) {
  const std::vector<std::pair<std::string, std::string>> cases{
      {R"(,"size":[0,1,1])", "size"},
      {R"(,"chunk_sizes":[[32,64,64]])", "chunk_sizes"},
      {R"(,"sharding":{"@type":"x"})", "@type"},
      {R"(,"resolution":[0,8,8])", "resolution"},
      {R"(,"key":"../up")", "key"},
      {R"(,"key":"/up")", "key"},
      {R"(,"key":"a/../b")", "key"},
      {R"(,"key":".spillway")", "key"},
      {R"(,"key":"a/.spillway")", "key"},
      {R"(,"key":"info")", "key"},
      {R"(,"key":"manifest.json/a")", "key"},
      {R"(,"key":"rejects.csv")", "key"},
      {R"(,"key":"a//b")", "key"},
      {R"(,"key":"a/")", "key"},
      {R"(,"key":".")", "key"},
  };
  for (const auto& [change, word] : cases) {
    auto spec = VolumeSpec::parse(spec_text(change), "info");
    ASSERT_FALSE(spec) << change;
    EXPECT_EQ(spec.error().code(), Code::kUsage);
    EXPECT_NE(spec.error().message().find(word), std::string::npos) << spec.error().message();
  }
  EXPECT_TRUE(VolumeSpec::parse(spec_text(R"(,"key":"em/8_8_8")"), "info"));
  auto spec = VolumeSpec::parse(spec_text(R"(,"voxel_offset":[1,0,0])"), "info");
  ASSERT_TRUE(spec);
  EXPECT_FALSE(Grid::of(spec->scales[0], 0));
}

}  // namespace
}  // namespace spillway::exporter

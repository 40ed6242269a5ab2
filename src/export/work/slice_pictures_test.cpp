#include "export/work/slice_pictures.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <vector>

namespace spillway::exporter {
namespace {

// Label of a voxel, the same rule for all blocks.
uint64_t label_at(int64_t x, int64_t y, int64_t z) {
  return static_cast<uint64_t>(x / 5 + 100 * (y / 7) + 10000 * (z / 3)) % 97;
}

class SlicePicturesTest : public ::testing::Test {
 protected:
  void SetUp() override { identity_ = std::move(*Mapping::load({}, {})); }
  std::unique_ptr<SlicePictures> painted(std::array<int64_t, 3> size, Bytes room = 8_MiB) {
    budget_ = Budget::create(room);
    auto pictures = SlicePictures::create({.size = size},
                                          *budget_->open({"pictures", 1, Bytes(0), std::nullopt}));
    if (!pictures) return nullptr;
    GridAt g;
    for (g[2] = 0; g[2] * 64 < size[2]; ++g[2])
      for (g[1] = 0; g[1] * 64 < size[1]; ++g[1])
        for (g[0] = 0; g[0] * 64 < size[0]; ++g[0]) {
          if (!pictures->wants(g)) continue;
          for (size_t i = 0; i < voxels_.size(); ++i)
            voxels_[i] = label_at(64 * int64_t{g[0]} + int64_t(i % 64),
                                  64 * int64_t{g[1]} + int64_t(i / 64 % 64),
                                  64 * int64_t{g[2]} + int64_t(i / 4096));
          const auto block = LabelBlock::parse(encoder_.encode(voxels_));
          pictures->paint(g, *block, *identity_);
        }
    return pictures;
  }
  std::unique_ptr<Budget> budget_;
  std::unique_ptr<Mapping> identity_;
  BlockEncoder encoder_;
  std::vector<uint64_t> voxels_ = std::vector<uint64_t>(kBlockVoxels);
};

TEST_F(SlicePicturesTest, ShowEveryVoxelOfASmallVolume) {
  const std::array<int64_t, 3> size{130, 70, 97};
  const auto pictures = painted(size);
  ASSERT_NE(pictures, nullptr);
  EXPECT_EQ(pictures->width(2), 130u);
  EXPECT_EQ(pictures->height(2), 70u);
  for (uint32_t x = 0; x < 130; ++x) {
    for (uint32_t y = 0; y < 70; ++y)
      ASSERT_EQ(pictures->pixel(2, x, y), colour_of(label_at(x, y, 48))) << x << " " << y;
    for (uint32_t z = 0; z < 97; ++z)
      ASSERT_EQ(pictures->pixel(1, x, z), colour_of(label_at(x, 35, z))) << x << " " << z;
  }
  for (uint32_t z = 0; z < 97; ++z) {
    for (uint32_t y = 0; y < 70; ++y)
      ASSERT_EQ(pictures->pixel(0, z, y), colour_of(label_at(65, y, z))) << z << " " << y;
  }
}

TEST_F(SlicePicturesTest, ShowEveryThirdVoxelOfALongOne) {
  const auto pictures = painted({1100, 20, 10});
  ASSERT_NE(pictures, nullptr);
  ASSERT_EQ(pictures->width(2), 367u);  // 1100 / 3, the last pixel stands for two voxels
  for (uint32_t p = 0; p < 367; ++p) {
    const int64_t x = std::min<int64_t>(3 * int64_t{p} + 1, 1099);
    for (uint32_t y = 0; y < 20; ++y)
      ASSERT_EQ(pictures->pixel(2, p, y), colour_of(label_at(x, y, 5))) << p << " " << y;
  }
}

TEST_F(SlicePicturesTest, AreSmallerOrNoneWhereMemoryIsShort) {
  const std::array<int64_t, 3> size{130, 70, 97};
  {
    const auto small = painted(size, 60_KiB);
    ASSERT_NE(small, nullptr);
    EXPECT_EQ(small->width(2), 65u);
    EXPECT_EQ(small->pixel(2, 10, 4), colour_of(label_at(21, 4, 48)));
  }
  EXPECT_EQ(painted(size, 4_KiB), nullptr);
}

TEST_F(SlicePicturesTest, HaveThreePngsInTheirElement) {
  const auto pictures = painted({65, 64, 2});
  Scale scale;
  scale.size = {65, 64, 2};
  scale.resolution = {8, 8, 30};
  const auto html = pictures->html(scale);
  ASSERT_TRUE(html) << html.error().message();
  size_t count = 0;
  for (size_t at = 0;
       (at = html->find("data:image/png;base64,iVBORw0KGgo", at)) != std::string::npos; ++at)
    ++count;
  EXPECT_EQ(count, 3u);
  EXPECT_NE(html->find("z = 1; x right, y down; 65 x 64 voxels"), std::string::npos);
}

TEST(Colour, IsBlackForZeroOnlyAndDiffersBetweenNeighbours) {
  EXPECT_EQ(colour_of(0), 0u);
  std::set<uint32_t> colours;
  for (uint64_t id = 1; id <= 1000; ++id) {
    const uint32_t colour = colour_of(id);
    EXPECT_GE(std::max({colour >> 16, colour >> 8 & 255, colour & 255}), 150u) << id;
    colours.insert(colour);
  }
  EXPECT_GT(colours.size(), 990u);
}

}  // namespace
}  // namespace spillway::exporter

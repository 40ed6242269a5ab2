#include "export/source/voxel_source.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "core/test_folder.hpp"

namespace spillway::exporter {
namespace {

namespace fs = std::filesystem;

class VoxelSourceTest : public ::testing::Test {
 protected:
  // 64 x 64 x 128 voxels of a byte: two blocks, one read after the other.
  static constexpr std::array<int64_t, 3> kSize{64, 64, 128};

  VoxelSourceTest()
      : path_(folder_.path() + "/raw"), budget_(Budget::create(Bytes(uint64_t{64} << 20))) {
    write(std::string(64 * 64 * 128, '\1'));
  }
  void write(const std::string& bytes) const {
    std::ofstream(path_, std::ios::binary) << bytes;
    fs::last_write_time(path_, fs::file_time_type::clock::now() - std::chrono::hours(hours_++));
  }
  Result<std::unique_ptr<BlockSource>> open() {
    Scale scale;
    scale.size = kSize;
    Account account = *budget_->open({"read", 1, Bytes(0), std::nullopt});
    auto space =
        *ScratchSpace::create({.folder = folder_.path(), .limit = {}, .allow_tmpfs = true});
    const VoxelOptions options{.path = path_, .shape = kSize, .dtype = "uint8"};
    return open_voxel_source(options, *Grid::of(scale, 0), kSize, account, space);
  }

  TestFolder folder_;
  const std::string path_;
  mutable int hours_ = 1;
  std::unique_ptr<Budget> budget_;
};

TEST_F(VoxelSourceTest, FileThatChangesBetweenTwoBlocksIsNamedAtTheEnd) {
  auto source = open();
  ASSERT_TRUE(source);
  ASSERT_TRUE(*(*source)->next({}));
  write(std::string(64 * 64 * 128, '\2'));
  ASSERT_TRUE(*(*source)->next({}));
  const auto end = (*source)->next({});
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().code(), Code::kConflict);
  EXPECT_EQ(end.error().message().find(path_ + ": was changed while it was read"), 0u);
}

TEST_F(VoxelSourceTest, FileThatStaysIsReadToItsEnd) {
  auto source = open();
  ASSERT_TRUE(source);
  ASSERT_TRUE(*(*source)->next({}));
  ASSERT_TRUE(*(*source)->next({}));
  const auto end = (*source)->next({});
  ASSERT_TRUE(end);
  EXPECT_FALSE(*end);
}

TEST_F(VoxelSourceTest, FileIsAsLongAsItsShapeSays) {
  for (const int more : {-1, 1}) {
    write(std::string(static_cast<size_t>(64 * 64 * 128 + more), '\1'));
    const auto refused = open();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), Code::kInvalid);
  }
}

}  // namespace
}  // namespace spillway::exporter

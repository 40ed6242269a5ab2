#include "export/source/volume_store.hpp"

#include <gtest/gtest.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "core/test_folder.hpp"

namespace spillway::exporter {
namespace {

namespace fs = std::filesystem;

class VolumeStoreTest : public ::testing::Test {
 protected:
  VolumeStoreTest() {
    fs::create_directories(path("k"));
    for (const char* const name : {"k/a", "k/b"}) write(name, "0123456789");
    store_ = std::move(*VolumeStore::open(folder_.path()));
  }
  std::string path(const std::string& name) const { return folder_.path() + "/" + name; }
  void write(const std::string& name, std::string_view bytes) const {
    std::ofstream(path(name), std::ios::binary) << bytes;
    fs::last_write_time(path(name), fs::file_time_type::clock::now() - std::chrono::hours(1));
  }
  void set_time(const std::string& name, std::chrono::seconds ago) const {
    fs::last_write_time(path(name), fs::file_time_type::clock::now() - ago);
  }
  Result<std::optional<size_t>> read(const std::string& name) {
    return store_->read(name, 0, room_, {});
  }
  void expect_changed(const Result<void>& done, const std::string& name) const {
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code(), Code::kConflict);
    EXPECT_EQ(done.error().message().find(path(name) + ": was changed"), 0u)
        << done.error().message();
  }

  TestFolder folder_;
  std::unique_ptr<VolumeStore> store_;
  std::array<uint8_t, 16> room_{};
};

TEST_F(VolumeStoreTest, WhatStaysAsItIsIsRead) {
  EXPECT_EQ(**read("k/a"), 10u);
  EXPECT_EQ(**read("k/b"), 10u);
  EXPECT_FALSE(*read("k/c"));
  EXPECT_TRUE(store_->finish());
}

TEST_F(VolumeStoreTest, FileThatChangesBetweenItsReadsIsNamed) {
  ASSERT_TRUE(read("k/a"));
  write("k/a", "9876543210");
  set_time("k/a", std::chrono::hours(2));
  expect_changed(store_->finish(), "k/a");
}

TEST_F(VolumeStoreTest, FileThatChangesBehindTheLastReadOfItIsNamedAtTheNext) {
  ASSERT_TRUE(read("k/a"));
  set_time("k/a", std::chrono::hours(2));
  const auto next = read("k/b");
  ASSERT_FALSE(next);
  EXPECT_EQ(next.error().code(), Code::kConflict);
}

TEST_F(VolumeStoreTest, FileThatWasChangedSinceTheStoreWasOpenedIsRefused) {
  ASSERT_TRUE(read("k/a"));
  set_time("k/b", std::chrono::seconds(0));
  const auto next = read("k/b");
  ASSERT_FALSE(next);
  EXPECT_EQ(next.error().code(), Code::kConflict);
}

TEST_F(VolumeStoreTest, FileOfATimeToComeIsReadAsItIs) {
  set_time("k/b", -std::chrono::hours(5));
  EXPECT_TRUE(read("k/b"));
  EXPECT_TRUE(store_->finish());
}

TEST_F(VolumeStoreTest, NamesThatComeAndGoInAFolderAreSeen) {
  ASSERT_TRUE(read("k/a"));
  const auto time = fs::last_write_time(path("k"));
  fs::remove(path("k/b"));
  fs::last_write_time(path("k"), time + std::chrono::seconds(1));
  expect_changed(store_->finish(), "k");
}

TEST_F(VolumeStoreTest, PackedFilesAreFoundByTheirSuffix) {
  const std::array<std::pair<const char*, Packing>, 4> kinds{{{".gz", Packing::kGzip},
                                                              {".br", Packing::kBrotli},
                                                              {".zstd", Packing::kZstd},
                                                              {".zst", Packing::kZstd}}};
  for (const auto& [suffix, packing] : kinds) {
    const std::string name = std::string("p") + (suffix + 1);
    write(name + suffix, "xyz");
    const auto whole = store_->read_whole(name, room_, {});
    ASSERT_TRUE(whole && *whole);
    EXPECT_EQ((*whole)->bytes, 3u);
    EXPECT_EQ((*whole)->packing, packing);
  }
  write("p.xz", "xyz");
  const auto refused = store_->read_whole("p", room_, {});
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message().find("p.xz: is packed as its name says"), std::string::npos);
}

TEST(Unpacker, BrotliIsBoundedByItsArena) {
  // "abc" a hundred times.
  constexpr std::array<uint8_t, 13> kPacked{0x1b, 0x2b, 0x1,  0x0,  0x24, 0xc3, 0xc4,
                                            0xc6, 0x62, 0xb3, 0x20, 0xc6, 0x1a};
  std::array<uint8_t, 300> out{};
  Unpacker unpacker;
  EXPECT_FALSE(unpacker.unpack(Packing::kBrotli, kPacked, out));
  std::vector<uint8_t> arena(Unpacker::brotli_room(out.size()));
  unpacker.give_arena(arena);
  EXPECT_EQ(*unpacker.unpack(Packing::kBrotli, kPacked, out), out.size());
  EXPECT_EQ(std::string(out.begin(), out.begin() + 6), "abcabc");
  EXPECT_FALSE(unpacker.unpack(Packing::kBrotli, kPacked, std::span(out).first(299)));
  for (size_t size = 0; size < kPacked.size(); ++size)
    EXPECT_FALSE(unpacker.unpack(Packing::kBrotli, std::span(kPacked).first(size), out));
  unpacker.give_arena(std::span(arena).first(100));
  EXPECT_FALSE(unpacker.unpack(Packing::kBrotli, kPacked, out));
}

}  // namespace
}  // namespace spillway::exporter

#include "export/spec/byte_source.hpp"

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

void write(const std::string& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

// Another content with the same size, and another time whatever the clock's steps.
void change(const std::string& path, std::string_view bytes) {
  const auto time = fs::last_write_time(path);
  write(path, bytes);
  fs::last_write_time(path, time + std::chrono::seconds(1));
}

TEST(ByteSource, FileThatChangesWhileItIsReadIsNamedAtItsEnd) {
  TestFolder folder;
  const std::string path = folder.path() + "/a";
  for (const bool replaced : {false, true}) {
    write(path, "0123456789");
    auto source = ByteSource::open(path, ByteSource::Gzip::kNever);
    ASSERT_TRUE(source);
    std::array<uint8_t, 5> some{};
    ASSERT_TRUE((*source)->read(some));
    if (replaced) {
      write(path + "2", "abcdefghij");
      fs::rename(path + "2", path);
    } else {
      change(path, "abcdefghij");
    }
    std::array<uint8_t, 50> rest{};
    const auto read = (*source)->read(rest);
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().code(), Code::kConflict);
    EXPECT_NE(read.error().message().find(path + ": was changed while it was read"),
              std::string::npos);
  }
}

TEST(ByteSource, BytesThatAreHeldAreReadInOrder) {
  const std::string text(200000, 'x');
  auto source = ByteSource::of(
      "held", text.size(),
      [&](uint64_t at, std::span<uint8_t> out) -> Result<void> {
        std::copy_n(text.begin() + static_cast<ptrdiff_t>(at), out.size(), out.begin());
        return {};
      },
      ByteSource::Gzip::kByContent);
  std::vector<uint8_t> bytes(text.size() + 1);
  const auto got = source->read(bytes);
  ASSERT_TRUE(got);
  EXPECT_EQ(*got, text.size());
  EXPECT_EQ(std::string(bytes.begin(), bytes.end() - 1), text);
}

TEST(ByteSource, SmallInputsHaveALimit) {
  TestFolder folder;
  const std::string path = folder.path() + "/a";
  write(path, "0123456789");
  EXPECT_EQ(*read_small_input(path, 10, {}), "0123456789");
  const auto refused = read_small_input(path, 9, {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Code::kTooLarge);
}

}  // namespace
}  // namespace spillway::exporter

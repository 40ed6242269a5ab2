#include "format/byte_stream.hpp"

#include <gtest/gtest.h>
#include <zlib.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "core/test_folder.hpp"

namespace spillway::format {
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

TEST(ByteStream, FileThatChangesWhileItIsReadIsNamedAtItsEnd) {
  TestFolder folder;
  const std::string path = folder.path() + "/a";
  for (const bool replaced : {false, true}) {
    write(path, "0123456789");
    auto source = ByteStream::open(path, ByteStream::Gzip::kNever);
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

std::string gzip(const std::string& text) {
  z_stream stream{};
  EXPECT_EQ(::deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(text.size() + 1000, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(::deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  ::deflateEnd(&stream);
  return out;
}

// All of it, in pieces; or what is wrong with it.
std::string read_all(const std::string& path, size_t piece = 1000) {
  auto stream = ByteStream::open(path, ByteStream::Gzip::kByContent);
  if (!stream) return stream.error().message();
  std::string all;
  std::vector<uint8_t> room(piece);
  while (true) {
    const auto got = (*stream)->read(room);
    if (!got) return got.error().message();
    all.append(room.begin(), room.begin() + static_cast<ptrdiff_t>(*got));
    if (*got < piece) return all;
  }
}

TEST(ByteStream, GzipIsToldByItsBytesAndReadToItsEnd) {
  TestFolder folder;
  const std::string path = folder.path() + "/a";
  std::string text(100000, 'a');
  text.push_back('b');
  for (const size_t piece : {1u, 999u, 1u << 20}) {
    write(path, gzip(text) + gzip("two") + std::string(700, '\0'));
    EXPECT_EQ(read_all(path, piece), text + "two") << piece;
  }
  write(path, "plain");
  EXPECT_EQ(read_all(path), "plain");
  write(path, "");
  EXPECT_EQ(read_all(path), "");
}

TEST(ByteStream, GzipThatIsNotWholeIsAnErrorWithItsPlace) {
  TestFolder folder;
  const std::string path = folder.path() + "/a.gz";
  const std::string packed = gzip("some text, some text");
  for (size_t size = 0; size < packed.size(); ++size) {
    write(path, packed.substr(0, size));
    const std::string said = read_all(path);
    EXPECT_TRUE(said.starts_with(path + ": ")) << size << ": " << said;
  }
  for (const std::string& behind : {std::string("x"), std::string("\0\0x", 3)}) {
    write(path, packed + behind);
    EXPECT_NE(read_all(path).find("neither gzip nor zeros"), std::string::npos);
  }
  write(path, "\x28\xb5\x2f\xfd zstd");
  EXPECT_NE(read_all(path).find("is packed with zstd; unpack it first"), std::string::npos);
}

}  // namespace
}  // namespace spillway::format

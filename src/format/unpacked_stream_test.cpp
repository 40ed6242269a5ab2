#include "format/unpacked_stream.hpp"

#include <bzlib.h>
#include <gtest/gtest.h>
#include <zstd.h>

#include <fstream>

#include "core/test_folder.hpp"

namespace spillway::format {
namespace {

std::string bzip2(std::string text) {
  std::string out(text.size() + text.size() / 50 + 1000, '\0');
  auto size = static_cast<unsigned>(out.size());
  EXPECT_EQ(::BZ2_bzBuffToBuffCompress(out.data(), &size, text.data(),
                                       static_cast<unsigned>(text.size()), 9, 0, 0),
            BZ_OK);
  out.resize(size);
  return out;
}

std::string zstd(const std::string& text, int window = 0) {
  std::string out(::ZSTD_compressBound(text.size()), '\0');
  ZSTD_CCtx* const context = ::ZSTD_createCCtx();
  if (window > 0) ::ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, window);
  ::ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
  // As a stream, whose size is not known before: the window is then what was asked for.
  ZSTD_outBuffer to{out.data(), out.size(), 0};
  ZSTD_inBuffer from{text.data(), text.size() / 2, 0};
  EXPECT_EQ(::ZSTD_isError(::ZSTD_compressStream2(context, &to, &from, ZSTD_e_continue)), 0u);
  from.size = text.size();
  EXPECT_EQ(::ZSTD_compressStream2(context, &to, &from, ZSTD_e_end), 0u);
  ::ZSTD_freeCCtx(context);
  out.resize(to.pos);
  return out;
}

class UnpackedStreamTest : public testing::TestWithParam<Unpack> {
 protected:
  static std::string pack(const std::string& text) {
    return GetParam() == Unpack::kZstd ? zstd(text) : bzip2(text);
  }
  // All of it, in pieces; or what is wrong with it.
  std::string read_all(const std::string& bytes, size_t piece = 1000) {
    std::ofstream(path_, std::ios::binary) << bytes;
    auto stream =
        unpacked(*ByteStream::open(path_, ByteStream::Gzip::kNever), GetParam(), account_);
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
  TestFolder folder_;
  const std::string path_ = folder_.path() + "/a";
  const std::shared_ptr<Budget> budget_ = Budget::create(16_MiB);
  Account account_ = *budget_->open({"test", 0, Bytes(0), std::nullopt});
};

INSTANTIATE_TEST_SUITE_P(Codecs, UnpackedStreamTest,
                         testing::Values(Unpack::kBzip2, Unpack::kZstd));

TEST_P(UnpackedStreamTest, ReadsStreamsBehindEachOtherAndPadding) {
  std::string text(300000, 'a');
  for (size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>('a' + i * i % 23);
  for (const size_t piece : {size_t{1} << 20, size_t{999}}) {
    EXPECT_EQ(read_all(pack(text) + pack("") + pack("two") + std::string(700, '\0'), piece),
              text + "two");
  }
  EXPECT_EQ(account_.used(), Bytes(0));
}

TEST_P(UnpackedStreamTest, IsAnErrorWhereItIsCutShortAtAnyByte) {
  const std::string packed = pack("some text, some text");
  for (size_t size = 0; size < packed.size(); ++size)
    EXPECT_NE(read_all(packed.substr(0, size)).find("cut short"), std::string::npos) << size;
  EXPECT_NE(read_all(packed + "x").find(" at byte "), std::string::npos);
  EXPECT_NE(read_all(packed + std::string("\0x", 2)).find("bytes behind it"), std::string::npos);
  std::string damaged = packed;
  damaged[packed.size() / 2] ^= 0x10;
  EXPECT_NE(read_all(damaged).find(" at byte "), std::string::npos) << read_all(damaged);
}

TEST_P(UnpackedStreamTest, LeasesItsMemoryOrIsRefused) {
  const auto small = Budget::create(unpacking_cost(GetParam()) - 1_KiB);
  account_ = *small->open({"small", 0, Bytes(0), std::nullopt});
  EXPECT_NE(read_all(pack("a")).find("raise --memory"), std::string::npos);
}

TEST(UnpackedStream, ZstdWindowAboveEightMiBIsRefused) {
  TestFolder folder;
  const auto budget = Budget::create(16_MiB);
  Account account = *budget->open({"test", 0, Bytes(0), std::nullopt});
  for (const int window : {23, 24}) {
    const std::string path = folder.path() + "/a";
    std::ofstream(path, std::ios::binary) << zstd(std::string(100, 'a'), window);
    auto stream =
        unpacked(*ByteStream::open(path, ByteStream::Gzip::kNever), Unpack::kZstd, account);
    std::vector<uint8_t> room(1000);
    const auto got = (*stream)->read(room);
    EXPECT_EQ(got.has_value(), window == 23);
    const std::string said = got ? "" : got.error().message();
    EXPECT_EQ(said.find("window above 8 MiB") != std::string::npos, window != 23) << said;
  }
}

}  // namespace
}  // namespace spillway::format

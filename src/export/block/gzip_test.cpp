#include "export/block/gzip.hpp"

#include <gtest/gtest.h>
#include <zlib.h>

#include <random>
#include <vector>

namespace spillway::exporter {
namespace {

// What zlib, a reader that is not ours, makes of it.
std::vector<uint8_t> unpacked(std::span<const uint8_t> packed, size_t bytes) {
  z_stream stream{};
  EXPECT_EQ(::inflateInit2(&stream, 15 + 16), Z_OK);
  std::vector<uint8_t> out(bytes + 1);
  stream.next_in = const_cast<uint8_t*>(packed.data());
  stream.avail_in = static_cast<uInt>(packed.size());
  stream.next_out = out.data();
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(::inflate(&stream, Z_FINISH), Z_STREAM_END);
  EXPECT_EQ(stream.avail_in, 0u);
  out.resize(stream.total_out);
  ::inflateEnd(&stream);
  return out;
}

TEST(Gzip, EveryLevelIsReadByZlibAndFitsItsBound) {
  std::mt19937_64 random(3);
  for (unsigned level = Gzip::kFastest; level <= Gzip::kSmallest; ++level) {
    const auto gzip = Gzip::create(level);
    for (const size_t bytes : {0u, 1u, 2u, 255u, 30'000u, 65'536u, 3'500'000u}) {
      for (const uint64_t values : {1ull, 7ull, 256ull}) {  // one byte again and again; noise
        std::vector<uint8_t> in(bytes), out(Gzip::bound(bytes));
        for (uint8_t& byte : in) byte = static_cast<uint8_t>(random() % values);
        const size_t made = gzip->compress(in, out);
        ASSERT_LE(made, out.size());
        ASSERT_TRUE(unpacked(std::span(out).first(made), bytes) == in)
            << "level " << level << ", " << bytes << " bytes, seed 3";
        std::vector<uint8_t> again(out.size());
        ASSERT_EQ(gzip->compress(in, again), made);  // the same bytes, whatever came before
        ASSERT_TRUE(
            std::equal(again.begin(), again.begin() + static_cast<ptrdiff_t>(made), out.begin()));
      }
    }
  }
}

}  // namespace
}  // namespace spillway::exporter

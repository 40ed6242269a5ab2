#include "core/bytes.hpp"

#include <gtest/gtest.h>

namespace spillway {
namespace {

TEST(Bytes, ReadsSizesAsPeopleWriteThem) {
  EXPECT_EQ(*parse_bytes("512MiB"), 512_MiB);
  EXPECT_EQ(*parse_bytes("4GiB"), 4_GiB);
  EXPECT_EQ(*parse_bytes("1.5 GiB"), 1536_MiB);
  EXPECT_EQ(*parse_bytes("64k"), 64_KiB);
  EXPECT_EQ(*parse_bytes("2GB"), Bytes(2000000000));
  EXPECT_EQ(*parse_bytes("1000"), 1000_B);
}

TEST(Bytes, RefusesWhatIsNoSize) {
  for (const char* text : {"", "MiB", "12XiB", "-5", "1.2.3MiB", "1e9", "99999999999TiB"}) {
    const auto parsed = parse_bytes(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().code(), Code::kUsage);
  }
}

TEST(Bytes, WritesShortSizes) {
  EXPECT_EQ(to_string(64_MiB), "64 MiB");
  EXPECT_EQ(to_string(Bytes(1610612736)), "1.5 GiB");
  EXPECT_EQ(to_string(512_B), "512 B");
}

}  // namespace
}  // namespace spillway

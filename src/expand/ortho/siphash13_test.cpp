#include "expand/ortho/siphash13.hpp"

#include <gtest/gtest.h>

#include <utility>

namespace spillway::expand {
namespace {

// Word i of the message is 0x0123456789abcdef * (i + 1). The values (bytes, so here least
// significant first) are OpenSSL's, by:
//   openssl mac -macopt hexkey:00000000000000000000000000000000 -macopt c-rounds:1
//     -macopt d-rounds:3 -macopt size:8 -in MESSAGE SIPHASH
TEST(SipHash13, EqualsOpenSsl) {
  const std::pair<int, uint64_t> expected[] = {
      {0, 0x2C530C1562A7FBD1},  {1, 0xB84D26526E046286}, {2, 0x5B369EB864FF5BE7},
      {3, 0x51DCF1ED2F1F46F7},  {8, 0x1DF8DA9FCE8019EA}, {32, 0xE6C8860602D1FB89},
      {40, 0x5E204E99C8F4BA7F},
  };
  for (const auto& [words, bytes] : expected) {
    SipHash13 hash;
    for (int i = 0; i < words; ++i) {
      hash.add(0x0123456789abcdef * (static_cast<uint64_t>(i) + 1));
    }
    EXPECT_EQ(hash.finish(), __builtin_bswap64(bytes)) << words << " words";
  }
}

}  // namespace
}  // namespace spillway::expand

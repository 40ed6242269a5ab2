// The keys by which things are told apart.
//
// Key64    8 bytes: exact when the thing fits them, else a 64-bit fingerprint.
// Key128   XXH3-128 of a thing's bytes. Two different things among n collide with odds n^2 / 2^129:
//          1.5e-19 among 10^10.
//
// Both are uniform in their top bits, which partition and order them.
#pragma once

#include <cstdint>

namespace spillway {

struct Key64 {
  uint64_t hi;
  static constexpr bool kWide = false;
  friend bool operator==(const Key64&, const Key64&) = default;
  friend auto operator<=>(const Key64&, const Key64&) = default;
};

struct Key128 {
  uint64_t hi;
  uint64_t lo;
  static constexpr bool kWide = true;
  friend bool operator==(const Key128&, const Key128&) = default;
  friend auto operator<=>(const Key128&, const Key128&) = default;
};

}  // namespace spillway

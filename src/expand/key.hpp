// The keys by which the engine tells states apart.
//
// Key64     a packed state, mixed by a bijection of its key_bits and left-aligned: exact, 8 bytes.
// With --identity fp64
//           also a 64-bit fingerprint of bytes.
// Key128    XXH3-128 of a state's bytes. Two different states among n collide with odds n^2 /
// 2^129.
//
// Both are uniform in their top bits, which partition and order them.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>

namespace spillway::expand {

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

// A candidate: a key and its place among the successors of a round (its ordinal). Packed: it is
// spilled as it stands.
template <class K>
struct [[gnu::packed]] Candidate {
  K key;
  uint32_t ordinal;
};
static_assert(sizeof(Candidate<Key64>) == 12 && sizeof(Candidate<Key128>) == 20);

// A bijection of the integers below 2^bits: two rounds of xor-shift and odd multiplication, each
// invertible.
class Mixer {
 public:
  explicit Mixer(unsigned bits)
      : align_(64 - bits),
        half_((bits + 1) / 2),
        mask_(bits == 64 ? ~uint64_t{0} : (uint64_t{1} << bits) - 1) {}

  Key64 operator()(uint64_t x) const {
    x ^= x >> half_;
    x = (x * 0x9E3779B97F4A7C15u) & mask_;
    x ^= x >> half_;
    x = (x * 0xD6E8FEB86659FD93u) & mask_;
    x ^= x >> half_;
    return Key64{x << align_};
  }
  unsigned align() const { return align_; }

 private:
  unsigned align_;
  unsigned half_;
  uint64_t mask_;
};

}  // namespace spillway::expand

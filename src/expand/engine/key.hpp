// What the engine scatters, and how packed states become keys.
//
// A packed state is mixed by a bijection of its key_bits and left-aligned: an exact Key64. Other states
// are known by a fingerprint of their bytes: Key128, or with --identity fp64 a Key64.
#pragma once

#include <cstdint>

#include "core/key.hpp"

namespace spillway::expand {

// What makes two states the same: --identity.
enum class Identity { kFp128, kExact, kFp64 };

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

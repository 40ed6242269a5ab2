// `pancake N`: stacks of N pancakes under prefix reversal, from the sorted stack.
//
// State    N nibbles; nibble i is the pancake at position i from the top, 0 the smallest.
// Order    The flips of the first k pancakes, k = 2..N.
// Cost     One reversal of the whole word a state, then a shift and a mask a flip.
// Fails    make_pancake: kUsage.
#pragma once

#include "expand/problem/problem.hpp"

namespace spillway::expand {

struct PancakeRules {
  explicit PancakeRules(unsigned pancakes) : max_successors(pancakes - 1) {}

  // The 16 nibbles in reverse order.
  static constexpr uint64_t reverse_nibbles(uint64_t word) {
    constexpr uint64_t kLow = 0x0F0F0F0F0F0F0F0F;
    word = __builtin_bswap64(word);
    return (word & kLow) << 4 | (word >> 4 & kLow);
  }

  template <class Emit>
  void successors(uint64_t state, Emit&& emit) const {
    const uint64_t reversed = reverse_nibbles(state);
    uint64_t kept = ~uint64_t{0xFF};
    unsigned shift = 56;
    for (uint32_t flip = 0; flip < max_successors; ++flip, shift -= 4, kept <<= 4) {
      emit((state & kept) | reversed >> shift);
    }
  }

  uint32_t max_successors;
};

[[nodiscard]] Result<std::unique_ptr<Problem>> make_pancake(const ProblemArguments& arguments);

}  // namespace spillway::expand

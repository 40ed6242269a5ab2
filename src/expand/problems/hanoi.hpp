// `hanoi --pegs P --discs N`: the towers of Hanoi, from all discs on peg 0. All P^N states.
//
// State    The peg of each disc, the smallest disc in the lowest bits; bit_width(P - 1) bits each.
// Order    The legal moves by peg left, then by peg reached.
// Fails    make_hanoi: kUsage; a state must fit 64 bits.
#pragma once

#include "expand/problem/problem.hpp"

namespace spillway::expand {

inline constexpr uint32_t kMostHanoiPegs = 16;

[[nodiscard]] Result<std::unique_ptr<Problem>> make_hanoi(const ProblemArguments& arguments);

}  // namespace spillway::expand

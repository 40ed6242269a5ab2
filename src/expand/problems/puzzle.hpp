// `puzzle RxC [--blank r,c]`: positions of the sliding-tile puzzle, from the solved one.
//
// State    Cells row by row, the blank is 0. Up to 16 cells: packed, 4 bits a cell. Up to 25: one
//          byte a cell.
// Start    Tiles 1, 2, ... in order in the cells other than the blank's (default row 0, column 0).
// Order    The blank moves up, down, left, right.
// Fails    make_puzzle: kUsage.
#pragma once

#include "expand/problem/problem.hpp"

namespace spillway::expand {

inline constexpr uint32_t kMostPuzzleCells = 25;

[[nodiscard]] Result<std::unique_ptr<Problem>> make_puzzle(const ProblemArguments& arguments);

}  // namespace spillway::expand

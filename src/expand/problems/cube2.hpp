// `cube2 htm|qtm`: the 2x2x2 cube with one corner (down-back-left) fixed, from the solved cube.
//
// State    Permutation of the other 7 corners (its lexicographic rank) << 10 | their twists (base 3
//          number of the first 6; the last follows). 23 bits.
// Order    htm: U U2 U' R R2 R' F F2 F'. qtm: U U' R R' F F'.
// Cost     Two table look-ups a successor; the tables (103 KB) are made once and shared.
// Fails    make_cube2: kUsage.
#pragma once

#include "expand/problem/problem.hpp"

namespace spillway::expand {

[[nodiscard]] Result<std::unique_ptr<Problem>> make_cube2(const ProblemArguments& arguments);

}  // namespace spillway::expand

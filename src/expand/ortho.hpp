// `ortho FILE... [--rules current|classic]`: all orthos of a text, in the order a FIFO search finds
// them.
//
// An ortho (see ortho_rules.hpp) is encoded as: form number (1 byte, or 2 when the text allows more
// than 256 forms), then the words of its filled cells in cell order, each in 1, 2 or 4
// little-endian bytes by the size of the vocabulary. A form is a shape, the axis of its last up,
// and which cells its growth had filled; forms are numbered in an order that depends only on the
// text. How many words follow tells which cells are filled, so equal orthos have equal encodings.
//
// Limits   A box has at most kMaxOrthoCells cells and there are at most kMaxOrthoForms forms; a
// search that grows beyond
//          fails with kTooLarge. The longest encoding is computed from the text: an axis can only
//          be filled as long as the longest phrase, and (current rules) no shell can hold more
//          words than there are.
// Memory   Tables a form, made when the form is first met and kept: a few KiB for small boxes; the
// phrases of the text. Threads  As every Problem; tables are made under a lock once and read
// without. Cost     One expansion: bitset intersections over the vocabulary, no allocation.
#pragma once

#include <memory>

#include "expand/problem.hpp"

namespace spillway::expand {

inline constexpr uint32_t kMaxOrthoCells = 1024;
inline constexpr uint32_t kMaxOrthoForms = 65536;

// In the "payload" column, a cell without a word.
inline constexpr uint32_t kOrthoEmpty = UINT32_MAX;

// The words after "ortho". Fails with kUsage, kNotFound, kIo, kInvalid (not UTF-8), kTooLarge.
[[nodiscard]] Result<std::unique_ptr<Problem>> make_ortho(const ProblemArguments& arguments);

}  // namespace spillway::expand

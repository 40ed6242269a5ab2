// `ortho FILE... [--rules current|classic]`: all orthos of a text, in the order a FIFO search finds
// them.
//
// An ortho (see ortho_rules.hpp) is encoded as: form number (1 byte, or 2 when the text allows more
// than 256 forms; see ortho_forms.hpp), then the words of its filled cells in cell order, each in
// 1, 2 or 4 little-endian bytes by the size of the vocabulary. How many words follow tells which
// cells are filled, so equal orthos have equal encodings.
//
// Identity The public id is SipHash-1-3 of canonical(), 63 bits, the one in use elsewhere.
// Limits   A box has at most kMaxOrthoCells cells and there are at most kMaxOrthoForms forms; a
//          search that grows beyond fails with kTooLarge. The longest encoding is computed from the
//          text: an axis can only be filled as long as the longest phrase, and (current rules) no
//          shell can hold more words than there are.
// Memory   The phrases of the text (ortho_text.hpp), the tables of the forms met (ortho_forms.hpp).
// Threads  As every Problem.
// Cost     One expansion: bitset intersections over the vocabulary, no allocation; about 30 ns a
//          state, an id 70 ns.
#pragma once

#include <memory>

#include "expand/problem/problem.hpp"

namespace spillway::expand {

// In the "payload" column, a cell without a word.

// The words after "ortho". Fails with kUsage, kNotFound, kIo, kInvalid (not UTF-8), kTooLarge.
[[nodiscard]] Result<std::unique_ptr<Problem>> make_ortho(const ProblemArguments& arguments,
                                                          const ProblemContext& context = {});

}  // namespace spillway::expand

// Markings of a place/transition net: `petri FILE.pnml` (ISO 15909-2, and more: pnml.hpp).
//
// Transitions fire in the order of the document. A marking is packed with one width for all places:
// 64 bits together when they fit, else whole bytes. A count that outgrows its width ends the search
// with kOverflow; widen() takes the next packing and the search starts over.
//
// Memory   The net's tables and what is compiled of them: traits().own_bytes; at most
//          twice its room().
// Fails    kNotFound, kInvalid: one line with the file, the place in it and the element; kTooLarge:
//          a count above 2^31 - 1, or a marking above kMostStateBytes; kMemoryLimit.
#pragma once

#include <memory>

#include "core/result.hpp"
#include "expand/problem/problem.hpp"

namespace spillway::expand {

[[nodiscard]] Result<std::unique_ptr<Problem>> make_petri(const ProblemArguments& arguments,
                                                          const ProblemContext& context = {});

}  // namespace spillway::expand

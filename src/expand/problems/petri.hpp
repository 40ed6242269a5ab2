// Markings of a place/transition net: `petri FILE.pnml` (ISO 15909-2).
//
// Several pages, nested pages and reference nodes are understood; graphics and tool-specific parts
// are skipped; nets of other types are refused by name. Transitions fire in the order of the
// document.
//
// A marking is packed with one width for all places: 64 bits together when they fit, else whole
// bytes. A count that outgrows its width ends the search with kOverflow; widen() takes the next
// packing and the search starts over.
//
// Fails    kNotFound, kInvalid: one line with the file, the line and the element; kTooLarge: a
// count above 2^31 - 1.
#pragma once

#include <memory>

#include "core/result.hpp"
#include "expand/problem/problem.hpp"

namespace spillway::expand {

[[nodiscard]] Result<std::unique_ptr<Problem>> make_petri(const ProblemArguments& arguments);

}  // namespace spillway::expand

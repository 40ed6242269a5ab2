// The examples that a file of rules gives: what a rule makes of `in` is what `out` says, all of it.
//
// Threads  One. Cost: one Transformer a rule.
// Fails    kInvalid with file, line and rule: an example that is no SMILES, or other products.
#pragma once

#include "core/result.hpp"
#include "transform/chemistry/rules.hpp"

namespace spillway::transform {

// Returns how many rules have an example.
[[nodiscard]] Result<size_t> check_examples(const RuleSet& rules);

}  // namespace spillway::transform

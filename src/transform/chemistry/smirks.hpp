// Checks of SMARTS and SMIRKS that say where the mistake is.
//
// Fails    kInvalid: "position N: what", N from 1 within the text. The caller adds file and rule.
// Threads  Any.
#pragma once

#include <string>
#include <string_view>

#include "core/result.hpp"

namespace spillway::transform {

[[nodiscard]] Result<void> check_smarts(const std::string& smarts);

// Exactly one reactant and one product, map numbers used once a side, every one of the product's on
// the reactant's side too.
[[nodiscard]] Result<void> check_smirks(const std::string& smirks);

// The left side.
std::string reactant_of(std::string_view smirks);

// That `query` matches as many atoms as the left side of `smirks` and, on `example` unless that is
// empty, the same ones.
[[nodiscard]] Result<void> check_query(const std::string& query, const std::string& smirks,
                                       const std::string& example);

}  // namespace spillway::transform

// The chemistry of `transform apply` as RDKit has it.
//
// Fails    As RuleSet and Transformer do: what this build cannot do is refused here.
#pragma once

#include <memory>

#include "core/result.hpp"
#include "transform/chemistry/rules.hpp"
#include "transform/job/apply.hpp"

namespace spillway::transform {

[[nodiscard]] Result<Chemistry> rdkit_chemistry(std::shared_ptr<const RuleSet> selection,
                                                TransformOptions options);

}  // namespace spillway::transform

// Who gets how much of --memory in a search, and the least that works.
#pragma once

#include <string>

#include "core/job/memory_plan.hpp"
#include "expand/job/expand.hpp"

namespace spillway::expand {

struct ExpandPlan {
  MemoryPlan memory;
};

// kMemoryLimit, with the numbers, when options.job.memory is too little.
[[nodiscard]] Result<ExpandPlan> plan_search(const Problem& problem, const ExpandOptions& options);

}  // namespace spillway::expand

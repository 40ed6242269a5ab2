// Who gets how much of --memory in `transform apply`, and the least that works.
#pragma once

#include "core/job/memory_plan.hpp"
#include "core/records/external_sort.hpp"
#include "transform/job/apply.hpp"

namespace spillway::transform {

struct ApplyPlan {
  MemoryPlan memory;  // accounts: read, units, sort, steps, known, write
  ExternalSortOptions sort_options, parent_options;
};

// `columns` of the output. kMemoryLimit with the numbers when job.memory is too little.
[[nodiscard]] Result<ApplyPlan> plan_apply(const ApplyOptions& options, size_t columns);

}  // namespace spillway::transform

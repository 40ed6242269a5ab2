// Who gets how much of --memory in `transform`, and the least that works.
#pragma once

#include <memory>

#include "core/job/memory_plan.hpp"
#include "core/records/external_sort.hpp"
#include "transform/job/apply.hpp"
#include "transform/records/record.hpp"

namespace spillway::transform {

struct ApplyPlan {
  MemoryPlan memory;  // accounts: read, units, sort, steps, known, write
  ExternalSortOptions sort_options, parent_options;
  Bytes flat_memory;  // that a Transformer may remember of RDKit, of what is set aside for that
};

// `paths`: the inputs, whose names say what unpacking them takes. kMemoryLimit with the numbers when job.memory is too
// little.
[[nodiscard]] Result<ApplyPlan> plan_apply(const ApplyOptions& options,
                                           const std::vector<std::string>& paths);
// What the records and the table hold with these options.
RecordShape shape_of(const ApplyOptions& options);

// Of a command that reads one file after the other and writes nothing.
struct ReadingMemory {
  std::unique_ptr<Budget> budget;
  Account account;
};
// kMemoryLimit with the numbers when it is too little.
[[nodiscard]] Result<ReadingMemory> memory_to_read(Bytes memory);

}  // namespace spillway::transform

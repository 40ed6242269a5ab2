// Who gets how much of --memory in `transform apply`, and the least that works.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/memory/budget.hpp"
#include "core/records/external_sort.hpp"
#include "format/column.hpp"
#include "transform/job/apply.hpp"

namespace spillway::transform {

struct Plan {
  struct Item {
    std::string name;
    Bytes bytes;
    std::string purpose;
  };
  Bytes program;  // beside the ledger: code, libraries, RDKit, stacks
  Bytes read, units, sort, known, steps, write;  // floors
  ExternalSortOptions sort_options, parent_options;

  Bytes floors() const { return read + units + sort + known + steps + write; }
  Bytes total() const { return program + floors(); }
  std::vector<Item> items() const;

  // For `memory`; the floors may not fit it.
  static Plan of(const ApplyOptions& options, size_t columns, Bytes memory);
  // kMemoryLimit with the numbers when the floors do not fit job.memory.
  [[nodiscard]] static Result<Plan> make(const ApplyOptions& options, size_t columns);
};

}  // namespace spillway::transform

// What an export needs, account by account, and how many threads fit.
#pragma once

#include <string>

#include "core/job/memory_plan.hpp"
#include "core/records/external_sort.hpp"
#include "export/job/export.hpp"
#include "export/job/source.hpp"

namespace spillway::exporter {

struct ExportPlan {
  MemoryPlan memory;  // accounts: read, fetch, sort, parts, work, publish, mapping, table, pictures
  unsigned threads = 1;        // as many as fit, at most those asked for
  unsigned write_threads = 1;  // that make chunks and hashes
  ExternalSortOptions sort_options, part_options;
  uint64_t most_table_bytes = 0;  // of the mapping's table
};

// `downscales`: builds scales behind the first. kMemoryLimit with the numbers when job.memory is too
// little for one thread.
[[nodiscard]] Result<ExportPlan> plan_export(const ExportOptions& options, const Source& source,
                                             uint64_t batch_rows, bool downscales);

// A row that is too long for the sort, read back: two lists and the frame.
Bytes largest_row();

}  // namespace spillway::exporter

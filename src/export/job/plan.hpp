// Says what an export would write, and in what memory, before anything is written.
//
// Memory   A bit a cell of the first scale, 8 MiB at most.
// Cost     A stream's headers are read, its payloads are not; of Arrow shards the CSV files.
// Threads  One.
// Fails    As run() does before it reads blocks.
#pragma once

#include <stop_token>
#include <string>

#include "export/job/export.hpp"

namespace spillway::exporter {

// Text for people: scales, shards, rows, bytes, order, strategy, memory.
[[nodiscard]] Result<std::string> plan(const ExportOptions& options, const std::stop_token& stop);

}  // namespace spillway::exporter

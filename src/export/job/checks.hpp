// What run refuses before it reads a block, and plan as well: options and a specification that do not go together.
//
// Threads  Any. Fails: kUsage, naming the scale and what to change; kNotFound.
#pragma once

#include "export/job/export.hpp"

namespace spillway::exporter {

// Scales that are not there, or cannot be built; scales that Arrow shards cannot have; more chunks a minishard than a
// shard is written with; a --gzip-level that nothing uses.
[[nodiscard]] Result<void> check_output(const ExportOptions& options, const VolumeSpec& spec);

// The scales that are written: [first, end) of the spec.
uint32_t first_scale(const ExportOptions& options);
uint32_t end_scale(const ExportOptions& options, const VolumeSpec& spec);
bool writes_gzip(const ExportOptions& options, const VolumeSpec& spec);  // in precomputed chunks

}  // namespace spillway::exporter

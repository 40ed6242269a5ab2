// Checks what an export wrote.
//
// Checks   With a manifest: its own hash and totals, every file's size and SHA-256 (shards, info or spec.json,
//          rejects.csv), the count of rejects, no shard that it does not list. Every Arrow shard: see
//          shard_check.hpp. Labels against `mapping` where it is given, against the supervoxels where the run had
//          none. Precomputed: every chunk that the shards' indexes name is decoded; their number is the manifest's.
//          Without one, as another writer leaves it: the Arrow shards, their rows in any order, or with an info the
//          shards or chunks that stand in its scales' folders. What was not looked at is told.
// Memory   ShardCheck::room() or a ChunkReader's, and the mapping as in a run: within job.memory, whatever the number
//          of files.
// Threads  One.
// Fails    kInvalid at the first thing that is wrong, with the file and the row or chunk.
#pragma once

#include <optional>
#include <stop_token>
#include <string>

#include "export/job/export.hpp"

namespace spillway::exporter {

struct VerifyOptions {
  std::string folder;
  std::string mapping;  // empty: none
  MappingFormat mapping_format = MappingFormat::kAuto;
  JobOptions job;
};
struct VerifySummary {
  uint64_t shards = 0, rows = 0;
  bool has_manifest = false;  // else hashes and totals were not checked
  bool is_precomputed = false;
  bool checked_mapping = false;  // each label was compared with what it must be
  uint64_t strangers = 0;        // files that are none of an export
  std::string stranger;          // the first of them
};
[[nodiscard]] Result<VerifySummary> verify(const VerifyOptions& options, std::stop_token stop);

}  // namespace spillway::exporter

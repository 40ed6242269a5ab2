// Checks what an export wrote.
//
// Checks   With a manifest: its totals, every file's size and SHA-256, the spec's, the count of
//          rejects, no shard that it does not list. Every Arrow shard: see shard_check.hpp. Labels
//          against `mapping` where it is given, against the supervoxels where the run had none.
//          Precomputed: every chunk that the indexes name is decoded; their number is the
//          manifest's.
// Memory   ShardCheck::room() or a ChunkReader's, 8 bytes a shard, and the mapping as in a run:
//          within job.memory.
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
};
[[nodiscard]] Result<VerifySummary> verify(const VerifyOptions& options, std::stop_token stop);

}  // namespace spillway::exporter

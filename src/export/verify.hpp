// Checks what an export wrote, and says what one would write.
//
// verify   With a manifest: its totals, every file's size and SHA-256, the spec's, the count of
//          rejects, no shard that it does not list. Every Arrow shard: see shard_check.hpp. Labels
//          against `mapping` where it is given, against the supervoxels where the run had none.
//          Precomputed shards: by their hashes only.
// plan     Counts the blocks of a stream by its headers, without reading the payloads.
// Memory   verify: ShardCheck::room(), 8 bytes a shard, and the mapping as in a run: within
//          job.memory. plan: a bit a cell.
// Threads  One.
// Fails    verify: kInvalid at the first thing that is wrong, with the file and the row.
#pragma once

#include <optional>
#include <stop_token>
#include <string>

#include "export/export.hpp"
#include "export/voxel_source.hpp"

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

// Text for people: shards, rows, bytes, memory, strategy.
[[nodiscard]] Result<std::string> plan(const ExportOptions& options, std::stop_token stop);

struct SpecOptions {
  VoxelOptions source;
  std::optional<VoxelLayout> layout;  // when it is known, and no file is looked at
  std::array<int64_t, 3> voxel_offset{};
  unsigned scales = 1;
  Bytes target_shard{uint64_t{1} << 30};
  std::optional<std::array<double, 3>> resolution;
};
// An info JSON for a volume, from its header.
[[nodiscard]] Result<std::string> make_spec(const SpecOptions& options);

}  // namespace spillway::exporter

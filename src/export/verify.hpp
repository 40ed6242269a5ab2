// Checks what an export wrote, and says what one would write.
//
// verify   Every shard of every s<S> folder: CSV against Arrow (coordinates, offsets, sizes), Arrow
//          against the zstd frame (content size, checksum), the frame against the label block inside
//          (strictly parsed) and its label table against `supervoxels`.
// plan     Counts the blocks of a stream by its headers, without reading the payloads.
// Memory   verify: one block and its frame, about 18 MiB. plan: a bit a shard.
// Threads  One.
// Fails    verify: kInvalid at the first thing that is wrong, with the file and the row.
#pragma once

#include <optional>
#include <stop_token>
#include <string>

#include "export/export.hpp"
#include "export/voxel_source.hpp"

namespace spillway::exporter {

struct VerifySummary {
  uint64_t shards = 0, rows = 0;
};
[[nodiscard]] Result<VerifySummary> verify(const std::string& folder, std::stop_token stop);

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

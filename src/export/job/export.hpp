// The job behind `spillway export`: labelled volumes to Arrow shards or neuroglancer precomputed,
// in the memory given.
//
// Blocks are checked, mapped and compressed as they come, sorted by where they go (on scratch when
// memory is short), and written shard by shard, so one output is open at a time whatever their
// number.
#pragma once

#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "core/job/job.hpp"
#include "core/result.hpp"
#include "export/job/neuroglancer_link.hpp"
#include "export/mapping/mapping.hpp"
#include "export/source/block_source.hpp"
#include "export/work/block_worker.hpp"

namespace spillway::exporter {

enum class Duplicates { kError, kFirst, kLast };
enum class Resume { kAuto, kNever };
enum class Axes { kZyx, kXyz };

struct ExportOptions {
  std::string source;
  std::string spec;  // info JSON: a file, "-" or an address, as the mapping
  std::string out;
  std::string mapping;
  MappingFormat mapping_format = MappingFormat::kAuto;
  uint32_t scale = 0;       // what the source holds
  bool all_scales = false;  // the source holds scale 0: builds those behind it
  Target to = Target::kArrow;
  std::optional<uint64_t> batch_size;
  std::optional<unsigned> gzip_level;  // 1 to 9, of precomputed chunks; default 1
  Payload payload = Payload::kByContent;
  Axes axes = Axes::kZyx;
  std::optional<std::array<int64_t, 3>> shape;  // of raw voxels
  std::string dtype;
  bool keep_empty = false;
  bool reject = false;
  Duplicates duplicates = Duplicates::kError;
  Resume resume = Resume::kAuto;
  // Of a precomputed volume: default kZero, as its format has it; of the shards that the manifest of
  // an export lists: default kError.
  std::optional<Missing> missing;
  std::optional<uint64_t> expect_blocks;  // in the source
  JobOptions job;
};

struct ScaleSummary {
  uint32_t scale = 0;
  uint64_t blocks_in = 0, written = 0, empty = 0, rejected = 0, duplicates = 0, shards = 0;
  uint64_t missing = 0;  // chunks or shards of the source that were not there
};

struct ExportSummary {
  // Of all scales together; blocks_in counts those that were built, too.
  uint64_t blocks_in = 0, written = 0, empty = 0, rejected = 0, duplicates = 0;
  uint64_t shards = 0, shards_skipped = 0, bytes = 0;
  uint64_t missing = 0;      // chunks or shards of the source that were not there: read as 0
  uint32_t scales_left = 0;  // that the source has beyond those that were written
  bool was_finished = false;
  Bytes peak_memory;
  std::string out;
  std::vector<ScaleSummary> scales;      // at most the spec's
  std::optional<NeuroglancerLink> link;  // precomputed
};

// Writes the files of docs/formats.md into `out`. kCancelled after `stop`; the same command goes on.
[[nodiscard]] Result<ExportSummary> run(const ExportOptions& options, std::stop_token stop);
// The text of --explain-memory.
[[nodiscard]] Result<std::string> explain_memory(const ExportOptions& options);

}  // namespace spillway::exporter

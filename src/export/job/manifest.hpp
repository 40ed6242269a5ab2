// The manifest.json that a finished export leaves: written, and read again.
//
// Its last line is the SHA-256 of all before it, so that no byte of it can change unseen; it names the other
// results (info or spec.json, rejects.csv) with their hashes, too.
//
// Memory   One shard's entry at a time, whatever their number; lines are at most 1 MiB.
// Threads  One.
// Fails    Reading: kNotFound; kInvalid when it is no manifest or not the one that was written, naming the file and
//          what is missing. Writing: kIo, kDiskFull.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"
#include "export/job/export.hpp"

namespace spillway::exporter {

struct ManifestShard {
  std::string file;  // within the folder
  uint64_t rows = 0, batches = 0, bytes = 0;
  std::string sha256;
  bool has_csv = false;
  uint64_t csv_bytes = 0;
  std::string csv_sha256;
};

struct ManifestFile {  // another result
  std::string file;    // within the folder
  uint64_t bytes = 0;
  std::string sha256;
};

struct Manifest {
  std::string options;  // JSON, as the run wrote it
  std::string to, spec_sha256;
  std::string mapping_sha256;  // empty: none
  bool keep_empty = false;
  std::string glance, content;  // of the input; see input_mark.hpp
  uint64_t blocks_in = 0, written = 0, empty = 0, rejected = 0, duplicates = 0, shards = 0;
  uint64_t missing = 0;              // chunks or shards of the source
  std::vector<ScaleSummary> scales;  // with --scale all
  std::vector<ManifestFile> files;   // read only: what stood beside it when it was written
};

using TakeShard = std::function<Result<void>(const ManifestShard&)>;
// `take` is called for every shard, in order; it may be empty. Its first error is passed on. The manifest's own
// hash is compared last.
[[nodiscard]] Result<Manifest> read_manifest(const std::string& path, const TakeShard& take);

// `options`, `glance`, `content`, the totals and `scales` of `head`, whose scales have the keys of
// `spec`; `entries` calls back with each shard's JSON. Whole and durable, or not there.
using ShardEntries =
    std::function<Result<void>(const std::function<Result<void>(std::string_view)>&)>;
[[nodiscard]] Result<void> write_manifest(const std::string& path, const Manifest& head,
                                          const VolumeSpec& spec, const ShardEntries& entries);

}  // namespace spillway::exporter

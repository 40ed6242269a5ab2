// Which kind of source the options name, and what it needs.
#pragma once

#include <memory>
#include <optional>

#include "export/block/chunk_format.hpp"
#include "export/job/export.hpp"
#include "export/source/block_source.hpp"
#include "export/source/voxel_source.hpp"

namespace spillway::exporter {

enum class SourceKind { kBlockStream, kArrowShards, kPrecomputed, kNpy, kNifti, kRawVoxels };

// precomputed://... or a folder with an info: a precomputed volume; another folder, or a file that
// ends in .arrow and is an Arrow stream: Arrow shards. A file: .npy or NIfTI by its first bytes, and by
// its name; with --shape raw voxels; else a blocks stream. A pipe, stdin, http(s): by name. kUsage,
// naming it: a format that is known and not read.
[[nodiscard]] Result<SourceKind> source_kind(const ExportOptions& options);
VoxelOptions voxel_options(const ExportOptions& options, SourceKind kind);

// The source of a run, looked at once. `options` outlives it, and it what it opened. look() and
// open() end on `stop`.
class Source {
 public:
  [[nodiscard]] static Result<Source> look(const ExportOptions& options,
                                           const std::stop_token& stop = {});

  SourceKind kind() const { return kind_; }
  const VolumeSpec* volume() const { return volume_.get(); }  // of a precomputed volume
  bool needs_encoder() const;
  Bytes floor() const;  // of the account it reads with
  Bytes wish() const;   // what it makes use of beyond that, in an account of its own
  // Whether the source itself has this scale, so that `--scale all` need not build it.
  [[nodiscard]] Result<bool> has_scale(const VolumeSpec& spec, uint32_t scale) const;
  // What kChunk items of this scale are.
  std::optional<ChunkFormat> chunk_format(const Scale& scale) const;
  [[nodiscard]] Result<std::unique_ptr<BlockSource>> open(
      const VolumeSpec& spec, uint32_t scale, const Grid& grid, Account account, Account more,
      std::shared_ptr<ScratchSpace> space) const;

 private:
  Source(const ExportOptions& options, SourceKind kind, std::stop_token stop)
      : options_(&options), kind_(kind), stop_(std::move(stop)) {}
  const ExportOptions* options_;
  SourceKind kind_;
  std::stop_token stop_;
  std::string place_;                   // of a precomputed volume
  std::unique_ptr<VolumeSpec> volume_;  // its info
};

}  // namespace spillway::exporter

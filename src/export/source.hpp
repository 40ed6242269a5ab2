// Which kind of source the options name, and what it needs.
#pragma once

#include <memory>

#include "export/block_source.hpp"
#include "export/export.hpp"
#include "export/voxel_source.hpp"

namespace spillway::exporter {

enum class SourceKind { kBlockStream, kArrowShards, kNpy, kNifti, kRawVoxels };

// By name and content: a folder is Arrow shards; .npy, .nii, .nii.gz by their names; with --shape raw
// voxels; else a blocks stream.
VoxelOptions voxel_options(const ExportOptions& options, SourceKind kind);
[[nodiscard]] Result<SourceKind> source_kind(const ExportOptions& options);
bool source_needs_encoder(const ExportOptions& options, SourceKind kind);
// Whether the source itself has this scale, so that `--scale all` need not build it.
bool source_has_scale(const ExportOptions& options, SourceKind kind, uint32_t scale);
Bytes source_floor(const ExportOptions& options, SourceKind kind);
[[nodiscard]] Result<std::unique_ptr<BlockSource>> open_source(const ExportOptions& options,
                                                               SourceKind kind,
                                                               const WorkPlan& plan, uint32_t scale,
                                                               Account account,
                                                               std::shared_ptr<ScratchSpace> space);

}  // namespace spillway::exporter

#include "export/source.hpp"

#include <fmt/format.h>

#include <filesystem>

#include "export/arrow_source.hpp"
#include "export/voxel_source.hpp"

namespace spillway::exporter {

namespace {

std::string scale_folder(const ExportOptions& options, uint32_t scale) {
  return fmt::format("{}/s{}", options.source, scale);
}

}  // namespace

VoxelOptions voxel_options(const ExportOptions& options, SourceKind kind) {
  return {.path = options.source,
          .file = kind == SourceKind::kNpy     ? VoxelFile::kNpy
                  : kind == SourceKind::kNifti ? VoxelFile::kNifti
                                               : VoxelFile::kRaw,
          .xyz = options.axes == Axes::kXyz,
          .shape = options.shape,
          .dtype = options.dtype};
}

Result<SourceKind> source_kind(const ExportOptions& options) {
  const std::string& name = options.source;
  std::error_code error;
  if (name == "-") return SourceKind::kBlockStream;
  if (name.find("://") != std::string::npos)
    return fail(Code::kUsage, name +
                                  ": sources over the network are not read yet; pipe them: "
                                  "curl ... | spillway export run -");
  if (!std::filesystem::exists(name, error)) return fail(Code::kNotFound, name + ": no such file");
  if (std::filesystem::is_directory(name, error)) {
    if (options.to != Target::kArrow)
      return fail(Code::kUsage, name + ": Arrow shards are written as Arrow shards only");
    return SourceKind::kArrowShards;
  }
  if (name.ends_with(".npy")) return SourceKind::kNpy;
  if (name.ends_with(".nii") || name.ends_with(".nii.gz")) return SourceKind::kNifti;
  if (options.shape) return SourceKind::kRawVoxels;
  return SourceKind::kBlockStream;
}

bool source_needs_encoder(const ExportOptions& options, SourceKind kind) {
  if (kind == SourceKind::kBlockStream) return options.payload != Payload::kByContent;
  return kind != SourceKind::kArrowShards;
}

bool source_has_scale(const ExportOptions& options, SourceKind kind, uint32_t scale) {
  std::error_code error;
  return kind == SourceKind::kArrowShards &&
         std::filesystem::is_directory(scale_folder(options, scale), error);
}

Bytes source_floor(const ExportOptions&, SourceKind kind) {
  switch (kind) {
    case SourceKind::kBlockStream:
      return block_stream_floor();
    case SourceKind::kArrowShards:
      return arrow_source_floor();
    default:
      return voxel_source_floor();
  }
}

Result<std::unique_ptr<BlockSource>> open_source(const ExportOptions& options, SourceKind kind,
                                                 const WorkPlan& plan, uint32_t scale,
                                                 Account account,
                                                 std::shared_ptr<ScratchSpace> space) {
  switch (kind) {
    case SourceKind::kBlockStream:
      return open_block_stream(options.source, std::move(account));
    case SourceKind::kArrowShards: {
      const std::string inner = scale_folder(options, scale);
      std::error_code error;
      const bool is_export = std::filesystem::is_directory(inner, error);
      return open_arrow_source(is_export ? inner : options.source, std::move(account));
    }
    default:
      return open_voxel_source(voxel_options(options, kind), plan.grid, plan.size,
                               std::move(account), std::move(space));
  }
}

}  // namespace spillway::exporter

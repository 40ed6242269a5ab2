#include "export/job/source.hpp"

#include <fmt/format.h>

#include <filesystem>

#include "export/source/arrow_source.hpp"
#include "export/source/precomputed_source.hpp"
#include "export/source/voxel_source.hpp"
#include "net/address.hpp"

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
  const bool is_npy = name.ends_with(".npy");
  const bool is_nifti = name.ends_with(".nii") || name.ends_with(".nii.gz");
  std::error_code error;
  if (name == "-") return SourceKind::kBlockStream;
  if (precomputed_place(name)) return SourceKind::kPrecomputed;
  if (net::is_http(name)) {
    if (is_npy || is_nifti || options.shape)
      return fail(Code::kUsage,
                  name + ": voxel files are not read over the network; fetch it first");
    return SourceKind::kBlockStream;
  }
  if (name.find("://") != std::string::npos)
    return fail(Code::kUsage, name +
                                  ": only http, https and precomputed:// are read; pipe others: "
                                  "... | spillway export run -");
  if (!std::filesystem::exists(name, error)) return fail(Code::kNotFound, name + ": no such file");
  if (std::filesystem::is_directory(name, error)) {
    if (options.to != Target::kArrow)
      return fail(Code::kUsage, name + ": Arrow shards are written as Arrow shards only");
    return SourceKind::kArrowShards;
  }
  if (is_npy) return SourceKind::kNpy;
  if (is_nifti) return SourceKind::kNifti;
  if (options.shape) return SourceKind::kRawVoxels;
  return SourceKind::kBlockStream;
}

Result<Source> Source::look(const ExportOptions& options, const std::stop_token& stop) {
  Source source(options, TRY(source_kind(options)));
  if (source.kind_ == SourceKind::kPrecomputed) {
    source.place_ = *precomputed_place(options.source);
    source.volume_ = std::make_unique<VolumeSpec>(TRY(read_precomputed_info(source.place_, stop)));
  }
  return source;
}

bool Source::needs_encoder() const {
  if (kind_ == SourceKind::kBlockStream) return options_->payload != Payload::kByContent;
  return kind_ != SourceKind::kArrowShards;
}

Bytes Source::floor() const {
  switch (kind_) {
    case SourceKind::kBlockStream:
      return block_stream_floor();
    case SourceKind::kArrowShards:
      return arrow_source_floor();
    case SourceKind::kPrecomputed:
      return precomputed_floor(place_, *volume_);
    default:
      return voxel_source_floor();
  }
}

Bytes Source::wish() const {
  return kind_ == SourceKind::kPrecomputed ? precomputed_wish(place_, *volume_) : Bytes(0);
}

bool Source::has_scale(const VolumeSpec& spec, uint32_t scale) const {
  std::error_code error;
  if (kind_ == SourceKind::kPrecomputed)
    return matching_scale(*volume_, spec.scales[scale]).has_value();
  return kind_ == SourceKind::kArrowShards &&
         std::filesystem::is_directory(scale_folder(*options_, scale), error);
}

std::optional<ChunkFormat> Source::chunk_format(const Scale& scale) const {
  if (kind_ != SourceKind::kPrecomputed) return std::nullopt;
  const auto index = matching_scale(*volume_, scale);
  if (!index) return std::nullopt;
  return ChunkFormat::of(*volume_, volume_->scales[*index]);
}

Result<std::unique_ptr<BlockSource>> Source::open(const VolumeSpec& spec, uint32_t scale,
                                                  const Grid& grid, Account account, Account more,
                                                  std::shared_ptr<ScratchSpace> space) const {
  switch (kind_) {
    case SourceKind::kBlockStream:
      return open_block_stream(options_->source, std::move(account));
    case SourceKind::kArrowShards: {
      const std::string inner = scale_folder(*options_, scale);
      std::error_code error;
      const bool is_export = std::filesystem::is_directory(inner, error);
      return open_arrow_source(is_export ? inner : options_->source, std::move(account));
    }
    case SourceKind::kPrecomputed:
      return open_precomputed(place_, *volume_, spec.scales[scale], grid, std::move(account),
                              std::move(more), std::move(space));
    default:
      return open_voxel_source(voxel_options(*options_, kind_), grid, spec.scales[scale].size,
                               std::move(account), std::move(space));
  }
}

}  // namespace spillway::exporter

#include "export/job/source.hpp"

#include <fmt/format.h>

#include <array>
#include <cstring>

#include "core/file/folders.hpp"
#include "export/job/manifest.hpp"
#include "export/source/arrow_source.hpp"
#include "export/source/precomputed_source.hpp"
#include "export/source/voxel_source.hpp"
#include "export/spec/input_stream.hpp"
#include "format/known_format.hpp"
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

namespace {

tl::unexpected<Error> unknown(const std::string& name, std::string_view format) {
  return fail(Code::kUsage,
              fmt::format("{}: is {}, which is not read; .npy, NIfTI, raw voxels with --shape, "
                          "neuroglancer precomputed, Arrow shards and blocks streams are",
                          name, format));
}

Result<SourceKind> kind_of_folder(const ExportOptions& options) {
  const std::string& name = options.source;
  if (const auto format = format::known_folder(name); !format.empty()) return unknown(name, format);
  if (options.to != Target::kArrow)
    return fail(Code::kUsage, name + ": Arrow shards are written as Arrow shards only");
  return SourceKind::kArrowShards;
}

// By its first bytes, whatever its name: none when they do not tell.
Result<std::optional<SourceKind>> kind_of_content(const ExportOptions& options) {
  const std::string& name = options.source;
  auto source = TRY(open_input(name, ByteStream::Gzip::kNever));
  std::array<uint8_t, 348> bytes{};
  const size_t got = TRY(source->read(bytes));
  const std::string_view format =
      format::known_format(std::span(bytes).first(std::min(got, format::kFormatBytes)));
  if (format == "NumPy") return std::optional(SourceKind::kNpy);
  const bool is_nifti_1 = got == bytes.size() && std::memcmp(bytes.data() + 344, "n+1", 4) == 0;
  if (format == "NIfTI-2" || (format == "NIfTI-1" && is_nifti_1))
    return std::optional(SourceKind::kNifti);
  // These four bytes may be those of a block, too.
  if (format == "an Arrow stream" && name.ends_with(".arrow"))
    return std::optional(SourceKind::kArrowShards);
  if (format.empty() || format == "an Arrow stream" || format == "NIfTI-1" || format == "gzip")
    return std::optional<SourceKind>();
  return unknown(name, format);
}

}  // namespace

Result<SourceKind> source_kind(const ExportOptions& options) {
  const std::string& name = options.source;
  const bool is_npy = name.ends_with(".npy") || name.ends_with(".npy.gz");
  const bool is_nifti = name.ends_with(".nii") || name.ends_with(".nii.gz");
  const SourceKind by_name = is_npy          ? SourceKind::kNpy
                             : is_nifti      ? SourceKind::kNifti
                             : options.shape ? SourceKind::kRawVoxels
                                             : SourceKind::kBlockStream;
  if (name == "-") return by_name;
  if (precomputed_place(name)) return SourceKind::kPrecomputed;
  if (net::is_http(name)) {
    const std::string path = name.substr(0, name.find_first_of("?#"));
    if (path.ends_with(".npy") || path.ends_with(".npy.gz")) return SourceKind::kNpy;
    if (path.ends_with(".nii") || path.ends_with(".nii.gz")) return SourceKind::kNifti;
    return options.shape ? SourceKind::kRawVoxels : SourceKind::kBlockStream;
  }
  if (name.find("://") != std::string::npos)
    return fail(Code::kUsage, name +
                                  ": only http, https and precomputed:// are read; pipe others: "
                                  "... | spillway export run -");
  const auto there = TRY(look_at(name));
  if (!there) return fail(Code::kNotFound, name + ": no such file");
  if (there->is_folder()) return kind_of_folder(options);
  if (!there->is_file() || by_name == SourceKind::kRawVoxels) return by_name;
  const auto found = TRY(kind_of_content(options));
  if (!found) return by_name;
  if (*found == SourceKind::kArrowShards && options.to != Target::kArrow)
    return fail(Code::kUsage, name + ": Arrow shards are written as Arrow shards only");
  return *found;
}

namespace {

// Those of the scale that the manifest lists and that are not there.
Result<uint64_t> missing_shards(const ExportOptions& options, uint32_t scale) {
  const std::string manifest = options.source + "/manifest.json";
  const std::string below = fmt::format("s{}/", scale);
  uint64_t missing = 0;
  if (!TRY(is_file(manifest))) return missing;
  (void)TRY(read_manifest(manifest, [&](const ManifestShard& shard) -> Result<void> {
    const std::string path = options.source + "/" + shard.file;
    if (!shard.file.starts_with(below) || TRY(exists(path))) return {};
    ++missing;
    if (options.missing == Missing::kZero) return {};
    return fail(Code::kNotFound, path +
                                     ": is missing, the manifest lists it (--missing zero reads "
                                     "what is not there as 0)");
  }));
  return missing;
}

}  // namespace

Result<Source> Source::look(const ExportOptions& options, const std::stop_token& stop) {
  Source source(options, TRY(source_kind(options)), stop);
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

Result<bool> Source::has_scale(const VolumeSpec& spec, uint32_t scale) const {
  if (kind_ == SourceKind::kPrecomputed)
    return matching_scale(*volume_, spec.scales[scale]).has_value();
  if (kind_ != SourceKind::kArrowShards) return false;
  return is_folder(scale_folder(*options_, scale));
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
      const bool is_export = TRY(is_folder(inner));
      const uint64_t missing = TRY(missing_shards(*options_, scale));
      return open_arrow_source(is_export ? inner : options_->source, missing, std::move(account));
    }
    case SourceKind::kPrecomputed:
      return open_precomputed(place_, *volume_, spec.scales[scale], grid,
                              options_->missing.value_or(Missing::kZero), std::move(account),
                              std::move(more), std::move(space));
    default:
      VoxelOptions voxels = voxel_options(*options_, kind_);
      voxels.stop = stop_;
      return open_voxel_source(voxels, grid, spec.scales[scale].size, std::move(account),
                               std::move(space));
  }
}

}  // namespace spillway::exporter

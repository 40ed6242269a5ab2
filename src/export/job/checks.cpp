#include "export/job/checks.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/bytes.hpp"
#include "export/shard/precomputed_shard.hpp"

namespace spillway::exporter {
namespace {

// As many chunks as one minishard gets when all of the volume is there; of a hash, with what chance may add.
uint64_t chunks_a_minishard(const Grid& grid, const Sharding& sharding) {
  const auto volume = [](const GridAt& shape) { return uint64_t{shape[0]} * shape[1] * shape[2]; };
  const uint64_t all = volume(grid.blocks());
  const unsigned placed = sharding.minishard_bits + sharding.shard_bits;
  if (sharding.hash == ShardHash::kIdentity) {
    const auto bits = grid.bits();
    const unsigned above = sharding.preshift_bits + placed, has = bits[0] + bits[1] + bits[2];
    const unsigned again =
        has > above ? has - above : 0;  // codes that the shards do not tell apart
    const uint64_t together = volume(grid.cell_shape(sharding.preshift_bits));
    return again >= 32 ? all : std::min(all, together << again);
  }
  const double together = std::ldexp(1.0, static_cast<int>(std::min(sharding.preshift_bits, 60u)));
  const double mean =
      static_cast<double>(all) / together / std::ldexp(1.0, static_cast<int>(placed));
  const double most = std::ceil(mean + 6 * std::sqrt(mean)) * together;
  return std::min(all, static_cast<uint64_t>(std::min(most, 1e18)));
}

Result<void> check_scale(const ExportOptions& options, const Scale& scale, uint32_t index) {
  const std::string where = fmt::format("{}: scales[{}] ({})", options.spec, index, scale.key);
  const Grid grid = TRY(Grid::of(scale, index));
  if (options.to == Target::kArrow) {
    if (!scale.sharding) return fail(Code::kUsage, where + ": Arrow shards need \"sharding\"");
    if (scale.sharding->hash != ShardHash::kIdentity)
      return fail(Code::kUsage,
                  where + ": Arrow shards need the hash \"identity\", not murmurhash3_x86_128");
    return {};
  }
  if (!scale.sharding) return {};
  const uint64_t chunks = chunks_a_minishard(grid, *scale.sharding);
  if (chunks <= PrecomputedShardWriter::kMostChunks) return {};
  return fail(
      Code::kUsage,
      fmt::format("{}: up to {} chunks in a minishard; at most {} are written: give {} more "
                  "minishard_bits and as many fewer {}",
                  where, grouped(chunks), grouped(PrecomputedShardWriter::kMostChunks),
                  static_cast<int>(std::ceil(std::log2(static_cast<double>(chunks) /
                                                       PrecomputedShardWriter::kMostChunks))),
                  scale.sharding->hash == ShardHash::kIdentity ? "preshift_bits"
                                                               : "shard_bits or preshift_bits"));
}

}  // namespace

uint32_t first_scale(const ExportOptions& options) { return options.scale; }
uint32_t end_scale(const ExportOptions& options, const VolumeSpec& spec) {
  return options.all_scales ? spec.scales_to_write() : options.scale + 1;
}

bool writes_gzip(const ExportOptions& options, const VolumeSpec& spec) {
  if (options.to != Target::kPrecomputed) return false;
  for (uint32_t s = first_scale(options); s < end_scale(options, spec); ++s) {
    if (spec.scales[s].sharding && spec.scales[s].sharding->gzip_data) return true;
  }
  return false;
}

Result<void> check_output(const ExportOptions& options, const VolumeSpec& spec) {
  if (options.scale >= spec.scales.size())
    return fail(Code::kUsage, fmt::format("--scale {}: {} has {} scales, from 0", options.scale,
                                          options.spec, spec.scales.size()));
  for (uint32_t s = first_scale(options); s < end_scale(options, spec); ++s)
    TRY(check_scale(options, spec.scales[s], s));
  if (options.gzip_level && !writes_gzip(options, spec))
    return fail(Code::kUsage,
                fmt::format("--gzip-level {}: {}", *options.gzip_level,
                            options.to == Target::kArrow
                                ? "Arrow shards have zstd frames"
                                : "no scale of " + options.spec +
                                      " that is written has \"data_encoding\": \"gzip\""));
  return {};
}

}  // namespace spillway::exporter

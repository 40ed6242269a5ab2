#include "export/job/make_spec.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "core/json.hpp"

namespace spillway::exporter {

Result<std::string> make_spec(const SpecOptions& options) {
  const VoxelLayout layout =
      options.layout ? *options.layout : TRY(read_voxel_layout(options.source));
  std::array<int64_t, 3> offset = options.voxel_offset;
  std::array<double, 3> resolution =
      options.resolution.value_or(layout.resolution.value_or(std::array<double, 3>{1, 1, 1}));
  std::array<int64_t, 3> size = layout.size;
  OrderedJson info;
  info["@type"] = "neuroglancer_multiscale_volume";
  info["type"] = "segmentation";
  info["data_type"] = "uint64";
  info["num_channels"] = 1;
  info["scales"] = OrderedJson::array();
  for (unsigned s = 0; s < options.scales; ++s) {
    unsigned bits = 0;
    for (const int64_t side : size) {
      const auto blocks = static_cast<uint64_t>((side + 63) / 64);
      bits += blocks <= 1 ? 0 : static_cast<unsigned>(std::bit_width(blocks - 1));
    }
    // A block takes about 4 KiB in a shard.
    const uint64_t chunks = std::max<uint64_t>(options.target_shard.count() / 4096, 1);
    const unsigned in_shard = std::min(bits, static_cast<unsigned>(std::bit_width(chunks)) - 1);
    const unsigned minishard = std::min(6u, in_shard / 3), preshift = in_shard - minishard;
    OrderedJson scale;
    scale["key"] = fmt::format("{}_{}_{}", resolution[0], resolution[1], resolution[2]);
    scale["size"] = size;
    scale["resolution"] = resolution;
    scale["voxel_offset"] = offset;
    scale["chunk_sizes"] = {{64, 64, 64}};
    scale["encoding"] = "compressed_segmentation";
    scale["compressed_segmentation_block_size"] = {8, 8, 8};
    scale["sharding"] = {{"@type", "neuroglancer_uint64_sharded_v1"},
                         {"hash", "identity"},
                         {"preshift_bits", preshift},
                         {"minishard_bits", minishard},
                         {"shard_bits", bits - in_shard},
                         {"minishard_index_encoding", "gzip"},
                         {"data_encoding", "gzip"}};
    info["scales"].push_back(scale);
    for (size_t d = 0; d < 3; ++d) {
      size[d] = (size[d] + 1) / 2;
      offset[d] /= 2;
      resolution[d] *= 2;
    }
  }
  return info.dump(2) + "\n";
}

}  // namespace spillway::exporter

// The bytes of a precomputed chunk to voxels: raw, or compressed_segmentation of 32 or 64 bits.
//
// Memory   None. Threads: any.
// Cost     64^3 voxels of compressed_segmentation: one look at each packed value.
// Fails    kInvalid, with the reason, when the bytes are not exactly such a chunk.
// Source   google/neuroglancer, src/datasource/precomputed/volume.md and
//          src/sliceview/compressed_segmentation/README.md.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "core/result.hpp"
#include "export/spec/volume_spec.hpp"

namespace spillway::exporter {

struct ChunkFormat {
  size_t width = 8;  // bytes a label
  bool is_segmentation = false;
  std::array<uint32_t, 3> segmentation_block{8, 8, 8};

  static ChunkFormat of(const VolumeSpec& source, const Scale& scale);
  // The longest chunk of so many voxels.
  size_t bound(std::array<uint32_t, 3> extent) const;
};

// `out`: `room` voxels, x fastest; voxels beyond `extent` become 0.
[[nodiscard]] Result<void> decode_chunk(const ChunkFormat& format, std::span<const uint8_t> bytes,
                                        std::array<uint32_t, 3> extent,
                                        std::array<uint32_t, 3> room, std::span<uint64_t> out);

}  // namespace spillway::exporter

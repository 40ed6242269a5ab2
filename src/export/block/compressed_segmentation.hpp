// neuroglancer's compressed_segmentation of one uint64 channel, in blocks of 8^3.
//
// Layout   docs/formats.md, "Compressed segmentation".
// Memory   encode writes into the caller's room (bound()); tables are shared between the blocks of a
//          chunk through a fixed cache of 8 KiB on the stack.
// Threads  Any.
// Cost     A label block becomes a chunk palette by palette: no voxel array is made. About 8 us a
//          block of 24.5 KB; AVX2 and BMI2 are used where the processor has them.
// Source   google/neuroglancer, src/sliceview/compressed_segmentation/README.md.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>

#include "core/result.hpp"
#include "export/block/label_block.hpp"

namespace spillway::exporter {

// The most bytes that any chunk has: 512 tables of 512 entries, values of 16 bits.
inline constexpr size_t kMaxChunkBytes = 4 + 512 * 8 + 512 * (512 * 8 + 512 * 2);

// The most bytes that a block of this many bytes can become.
constexpr size_t compressed_segmentation_bound(size_t block_bytes) {
  // Header 8 bytes a sub-block; a palette entry 4 -> 8 bytes; b bits -> at most 2b - 1 of 16.
  return std::min(kMaxChunkBytes, 4 + 512 * 8 + 8 * 512 + 2 * block_bytes);
}

// `mapped`: a label for each entry of the block's table, unaligned u64; `extent`: voxels of the
// chunk along x, y, z, 1 to 64. Returns the bytes written to `out`.
size_t encode_compressed_segmentation(const LabelBlock& block, const uint8_t* mapped,
                                      std::array<uint32_t, 3> extent, std::span<uint8_t> out);

namespace detail {
// The values of a sub-block, packed anew: value v of `bits` bits (1 to 9; the first in the highest
// bits) becomes entry[v] in `width` bits (1, 2, 4, 8, 16; the first in the lowest bits).
struct Repack {
  const uint8_t* packed;  // 64 * bits bytes
  unsigned bits;
  std::span<const uint16_t> entry;  // each < 1 << width; every v is in it
  bool is_identity;                 // entry[v] == v
  unsigned width;
};
// The two ways, which agree; `out`: 64 * width bytes.
void repack_scalar(const Repack& what, uint8_t* out);
void repack_fast(const Repack& what, uint8_t* out);
}  // namespace detail

}  // namespace spillway::exporter

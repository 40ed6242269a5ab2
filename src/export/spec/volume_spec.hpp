// What a volume is: the neuroglancer `info` JSON, and the arithmetic of its grid, cells and shards.
//
// Terms    A block is 64^3 voxels; block c covers voxels [64c, 64c + 64). Grid coordinates g count
//          from the scale's voxel_offset. A cell is the box of blocks that share one Arrow shard.
// Threads  Immutable after parse: any.
// Cost     morton(): 3 bits a step; no allocation.
// Memory   parse: at most 65,536 values of the JSON, whatever it holds.
// Fails    parse: kUsage, naming the key and the scale.
// Source   google/neuroglancer, src/datasource/precomputed/{volume,sharded}.md.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"

namespace spillway::exporter {

using BlockAt = std::array<int32_t, 3>;  // x, y, z of a block, absolute
using GridAt = std::array<uint32_t, 3>;  // x, y, z from the first block of the scale

enum class ShardHash { kIdentity, kMurmur };

struct Sharding {
  ShardHash hash = ShardHash::kIdentity;
  unsigned preshift_bits = 0, minishard_bits = 0, shard_bits = 0;
  bool gzip_index = false, gzip_data = false;
};

struct Scale {
  std::string key;
  std::array<int64_t, 3> size{};          // voxels
  std::array<int64_t, 3> voxel_offset{};  // of the first voxel
  std::array<double, 3> resolution{};     // nm a voxel
  std::optional<Sharding> sharding;
  // Of a source; outputs have chunks of 64^3.
  std::array<uint32_t, 3> chunk{64, 64, 64};
  std::string encoding;
  std::array<uint32_t, 3> segmentation_block{8, 8, 8};
};

struct VolumeSpec {
  enum class Use { kOutput, kSource };
  std::vector<Scale> scales;
  std::optional<uint64_t> batch_size, num_scales;
  std::string data_type;              // of a source: "uint8" to "uint64"
  std::string json;                   // as it was given
  uint32_t scales_to_write() const {  // by --scale all
    return static_cast<uint32_t>(
        std::min<uint64_t>(scales.size(), num_scales.value_or(scales.size())));
  }

  // kSource: any chunk size (the first of chunk_sizes), and what its chunks are.
  [[nodiscard]] static Result<VolumeSpec> parse(std::string_view json, const std::string& where,
                                                Use use = Use::kOutput);
  // Of an output that is precomputed: kUsage when it asks for what is not written (another encoding,
  // type, block size or number of channels than compressed_segmentation of uint64 in 8^3).
  [[nodiscard]] Result<void> must_be_writable(const std::string& where) const;
};

constexpr uint64_t kMostSpecBytes = uint64_t{1} << 20;  // of an info JSON

// Which shard a chunk is in.
struct ShardPlace {
  uint64_t shard = 0, minishard = 0;
  auto operator<=>(const ShardPlace&) const = default;
};
ShardPlace shard_of(uint64_t chunk_id, const Sharding& sharding);

// murmurhash3_x86_128 of the 8 little-endian bytes of `value`, seed 0: its low 8 bytes.
uint64_t murmur_low64(uint64_t value);

class Grid {
 public:
  // kUsage when voxel_offset is no multiple of 64, or the grid has more than 2^31 blocks a side or
  // 64 Morton bits.
  [[nodiscard]] static Result<Grid> of(const Scale& scale, size_t scale_index);
  Grid() = default;

  GridAt blocks() const { return blocks_; }
  std::array<unsigned, 3> bits() const { return bits_; }
  std::optional<GridAt> place(BlockAt block) const;  // none: outside
  BlockAt block_at(GridAt g) const;
  uint64_t morton(GridAt g) const;  // compressed

  // The cell shape that `bits` low Morton bits make.
  GridAt cell_shape(unsigned bits) const;

 private:
  GridAt blocks_{};
  std::array<unsigned, 3> bits_{};
  std::array<int32_t, 3> first_{};
};

// The cells of a scale, numbered in ZYX order.
class Cells {
 public:
  Cells() = default;
  Cells(const Grid& grid, const Sharding& sharding)
      : shape_(grid.cell_shape(sharding.preshift_bits + sharding.minishard_bits)) {
    for (size_t d = 0; d < 3; ++d)
      count_[d] = (uint64_t{grid.blocks()[d]} + shape_[d] - 1) / shape_[d];
  }
  GridAt shape() const { return shape_; }
  uint64_t count() const { return count_[0] * count_[1] * count_[2]; }
  uint64_t of(GridAt g) const {
    return (g[2] / shape_[2] * count_[1] + g[1] / shape_[1]) * count_[0] + g[0] / shape_[0];
  }
  GridAt first_block(uint64_t cell) const {
    return {static_cast<uint32_t>(cell % count_[0] * shape_[0]),
            static_cast<uint32_t>(cell / count_[0] % count_[1] * shape_[1]),
            static_cast<uint32_t>(cell / count_[0] / count_[1] * shape_[2])};
  }

 private:
  GridAt shape_{1, 1, 1};
  std::array<uint64_t, 3> count_{};
};

// "<ox>_<oy>_<oz>": the voxel where the cell begins.
std::string cell_name(const Scale& scale, GridAt first_block);
// The cell of "<cell_name>.arrow"; nothing for any other name.
std::optional<uint64_t> cell_of(const std::string& file, const Grid& grid, const Cells& cells,
                                const Scale& scale);

}  // namespace spillway::exporter

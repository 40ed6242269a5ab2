// DVID label blocks: a small volume of 64-bit labels as a label table, a palette a sub-block of 8^3
// voxels, and packed palette indices.
//
// Layout   docs/formats.md, "Label blocks"; little-endian, packed bits most significant first.
// Memory   Reading allocates nothing: a LabelBlock is a view. The writer's room is leased by its
//          caller: BlockEncoder::room().
// Threads  Views and free functions: any. BlockEncoder: one at a time.
// Cost     parse: 0.3 us and what checking packed values takes, which is nothing where the palette
//          size is a power of two. BMI2 is used where the processor has it.
// Fails    kInvalid, with the reason, on anything that is not exactly a label block: the length
//          equation 16 + 8N + 2Nsb + 4 sum(Ns) + 64 sum(b) must hold.
// Source   DVID, datatype/common/labels/compressed.go (the format's documentation).
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/bytes.hpp"
#include "core/result.hpp"

namespace spillway::exporter {

inline constexpr uint32_t kBlockSide = 64;
inline constexpr size_t kBlockVoxels = size_t{kBlockSide} * kBlockSide * kBlockSide;
inline constexpr size_t kMaxBlockBytes = 3441680;  // 64^3 voxels, all different
inline constexpr size_t kSubBlockVoxels = 512;

// The 512 palette indices of a sub-block, x fastest.
using SubBlockValues = std::array<uint16_t, kSubBlockVoxels>;

class LabelBlock {
 public:
  // Checks everything and keeps a view of `bytes`.
  [[nodiscard]] static Result<LabelBlock> parse(std::span<const uint8_t> bytes);

  std::array<uint32_t, 3> sub_blocks() const { return counts_; }  // along x, y, z
  bool is_64_cubed() const { return counts_ == std::array<uint32_t, 3>{8, 8, 8}; }
  uint32_t label_count() const { return label_count_; }
  uint64_t label(uint32_t index) const;
  const uint8_t* label_bytes() const { return bytes_.data() + 16; }  // label_count() u64, unaligned
  std::span<const uint8_t> bytes() const { return bytes_; }

  // One sub-block: its palette as indices into the label table, and where its values are.
  struct SubBlock {
    uint32_t palette_size = 0;         // 0: all voxels are 0
    const uint8_t* indices = nullptr;  // palette_size u32, unaligned
    const uint8_t* values = nullptr;   // packed, 64 * bits bytes; null when bits is 0
    unsigned bits = 0;
    uint32_t index(uint32_t entry) const;
    void unpack(SubBlockValues& out) const;  // zeros when bits is 0
  };
  // Walks the sub-blocks x fastest. For a solid block every sub-block has the one label.
  class Walk {
   public:
    explicit Walk(const LabelBlock& block);
    SubBlock next();

   private:
    const LabelBlock& block_;
    const uint8_t *sizes_, *indices_, *values_;
  };

  // All voxels, x fastest; `out` has 512 * gx * gy * gz elements.
  void decode(std::span<uint64_t> out) const;

 private:
  std::span<const uint8_t> bytes_;
  std::array<uint32_t, 3> counts_{};
  uint32_t label_count_ = 0;
};

// Writes canonical blocks: labels, and each sub-block's palette, by first occurrence in voxel order.
class BlockEncoder {
 public:
  static constexpr Bytes room() { return Bytes(uint64_t{15} << 20); }  // for 64^3 voxels, at most
  BlockEncoder();

  // `voxels`: x fastest, 8 * counts[d] along each axis, at most 64^3 in all. The result is valid
  // until the next call.
  std::span<const uint8_t> encode(std::span<const uint64_t> voxels,
                                  std::array<uint32_t, 3> counts = {8, 8, 8});

 private:
  struct Slot {
    uint64_t label;
    uint32_t entry;  // index + 1 in found_; 0: free
  };
  struct Found {
    uint64_t label;
    uint32_t first;  // voxel where it is met first
    uint32_t order;  // index in the table that is written
  };
  uint32_t find(uint64_t label, uint32_t position);
  void collect(const uint64_t* voxels, std::array<size_t, 3> size, size_t sub_block);
  void grow();

  std::vector<Slot> slots_;
  std::vector<Found> found_;
  std::vector<uint32_t> by_first_;
  std::vector<uint32_t> palettes_;  // of all sub-blocks: indices into found_
  std::vector<uint16_t> sizes_;
  std::vector<uint8_t> packed_;
  std::vector<uint8_t> out_;
};

namespace detail {
// 64 rows of 8 values of `bits` bits (1 to 9), the two ways; exposed for the test that they agree.
void unpack_scalar(const uint8_t* packed, unsigned bits, SubBlockValues& out);
void unpack_fast(const uint8_t* packed, unsigned bits, SubBlockValues& out);
// Whether one of those values is palette_size or more (below 1 << bits).
bool has_beyond_scalar(const uint8_t* packed, unsigned bits, uint32_t palette_size);
bool has_beyond_fast(const uint8_t* packed, unsigned bits, uint32_t palette_size);
}  // namespace detail

}  // namespace spillway::exporter

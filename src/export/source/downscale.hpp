// Downscaled levels, block by block: every block of a scale becomes its part of one block of the
// next, and up to 8 such parts make that block.
//
// A voxel of the next scale is the majority of the 1 to 8 voxels it covers inside the volume; ties
// go to the smallest id, 0 votes like any other. A block covers whole voxels of the next scale,
// since factors are 1 or 2, so no block is needed twice and parts may come in any order: they are
// sorted by where they belong.
//
// Memory   reduce_block: 9 KiB of stack. PartMaker: none of its own; works in its caller's rooms. PartFile: a
//          scratch file. The source: one block of voxels a unit and room for one long part, leased
//          from its account: downscale_floor(); the sort is its own.
// Threads  reduce_block: any. PartMaker: one each. PartFile: any. The source: one.
// Cost     Sub-blocks of one label are filled; of the others only cells that are not of one label vote.
// Fails    scale_step: kUsage, naming the scales. The rest: kIo, kScratchFull, kCorrupt.
#pragma once

#include <array>
#include <memory>
#include <span>
#include <string>

#include "core/disk/scratch.hpp"
#include "core/mutex.hpp"
#include "core/records/external_sort.hpp"
#include "export/block/label_block.hpp"
#include "export/source/block_source.hpp"
#include "export/spec/volume_spec.hpp"

namespace spillway::exporter {

// From one scale to the next.
struct ScaleStep {
  std::array<uint32_t, 3> factor{1, 1, 1};  // 1 or 2 along x, y, z
  std::array<int64_t, 3> size{};            // voxels of the finer scale
  // Sub-blocks of the part that one block becomes.
  std::array<uint32_t, 3> part_counts() const {
    return {8 / factor[0], 8 / factor[1], 8 / factor[2]};
  }
  size_t part_voxels() const { return kBlockVoxels / (factor[0] * factor[1] * factor[2]); }
};

// The step from scales[from] to scales[from + 1]; `where` names the spec.
[[nodiscard]] Result<ScaleStep> scale_step(const VolumeSpec& spec, size_t from,
                                           const std::string& where);

// The part of the next scale that `block`, at `g` of the grid, becomes. `labels`: a label for each
// entry of the block's table, unaligned u64; `out`: step.part_voxels(), x fastest.
void reduce_block(const LabelBlock& block, const uint8_t* labels, GridAt g, const ScaleStep& step,
                  std::span<uint64_t> out);

// Parts that are too long for the sort.
struct PartFile {
  Mutex mutex;
  ScratchFile file GUARDED_BY(mutex);
  std::shared_ptr<ScratchSpace> space;
};

// One worker's way from blocks to sorted parts: reduce(), then add().
class PartMaker {
 public:
  struct Options {
    ScaleStep step;
    bool keep_zero = false;  // parts that are all 0, too
    bool last_wins = false;  // of parts of the same block
  };
  PartMaker(const Options& options, PartFile& file, ExternalSort::Input& out)
      : options_(options), file_(file), out_(out) {}

  // `room`: 64^3 voxels, kept until add().
  void reduce(const LabelBlock& block, const uint8_t* labels, GridAt g, std::span<uint64_t> room);
  // `record`: room for the longest record of the sort.
  [[nodiscard]] Result<void> add(BlockEncoder& encoder, uint64_t ordinal,
                                 std::span<uint8_t> record);

 private:
  const Options options_;
  PartFile& file_;
  ExternalSort::Input& out_;
  GridAt at_{};
  std::span<const uint64_t> voxels_;
  uint64_t solid_label_ = 0;
  bool is_solid_ = false;
};

// The next scale's blocks, in ZYX order, from the sorted parts. `grid`: of that scale.
[[nodiscard]] Result<std::unique_ptr<BlockSource>> open_downscaled(
    std::unique_ptr<ExternalSort> parts, std::unique_ptr<PartFile> file, const ScaleStep& step,
    const Grid& grid, Account account);
Bytes downscale_floor();

}  // namespace spillway::exporter

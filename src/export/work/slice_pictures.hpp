// Pictures of the middle of a labelled volume, one an axis, gathered while its blocks pass by, so that
// nothing is read twice.
//
// A picture has at most kMostSide pixels a side. A pixel shows one voxel, the middle one of those that
// it stands for. Its colour comes from a hash of the mapped id, the same in every run; 0 is black, as
// is what no block was seen of. Of a block that comes twice either may show.
//
// Memory   3 bytes a pixel, leased: 2.3 MiB at most, and one block to open frames. Fewer pixels where
//          the account lends less.
// Threads  wants, paint: any. html: one, after the last paint.
// Cost     None for a block that no middle crosses; else one layer of its sub-blocks, about 30 us.
// Fails    Where not even small pictures have room there are none: create gives nullptr.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "core/memory/budget.hpp"
#include "core/memory/pages.hpp"
#include "core/mutex.hpp"
#include "export/block/label_block.hpp"
#include "export/mapping/mapping.hpp"
#include "export/spec/volume_spec.hpp"

namespace spillway::exporter {

// 0xRRGGBB.
uint32_t colour_of(uint64_t id);

class SlicePictures {
 public:
  static constexpr uint32_t kMostSide = 512;

  struct Options {
    std::array<int64_t, 3> size{};  // of the volume, in voxels
    bool opens_frames = false;      // room for paint_frame()
  };
  static std::unique_ptr<SlicePictures> create(const Options& options, Account account);

  bool wants(GridAt g) const;
  void paint(GridAt g, const LabelBlock& block, const Mapping& mapping);
  // A block as Arrow shards have it. A damaged one is left out: it is not a picture's business.
  void paint_frame(GridAt g, std::span<const uint8_t> frame, const Mapping& mapping);

  // The three side by side, each a PNG inside the element. `scale` gives the voxels' shape and the
  // numbers in the captions.
  [[nodiscard]] Result<std::string> html(const Scale& scale) const;

  // For tests: the pixel of the picture across `axis`.
  uint32_t pixel(size_t axis, uint32_t right, uint32_t down) const;
  uint32_t width(size_t axis) const { return pixels_[right_of(axis)]; }
  uint32_t height(size_t axis) const { return pixels_[down_of(axis)]; }

 private:
  explicit SlicePictures(std::array<int64_t, 3> size) : size_(size) {}
  // As neuroglancer shows them: xy, xz, and zy.
  static constexpr size_t right_of(size_t axis) { return axis == 0 ? 2 : 0; }
  static constexpr size_t down_of(size_t axis) { return axis == 1 ? 2 : 1; }
  static Bytes room(std::array<uint32_t, 3> pixels);
  // The voxel that a pixel along an axis shows.
  int64_t voxel_of(size_t axis, uint32_t pixel) const;
  struct Samples {  // of a block along one axis: which pixel, and the voxel within the block
    std::array<uint32_t, 64> pixel{};
    std::array<uint8_t, 64> voxel{};
    size_t count = 0;
  };
  Samples samples_of(size_t axis, uint32_t block) const;
  void paint_axis(size_t axis, GridAt g, const LabelBlock& block, const Mapping& mapping);
  uint8_t* picture(size_t axis) const { return pages_.data() + begin_[axis]; }

  std::array<int64_t, 3> size_, middle_{}, step_{};
  std::array<uint32_t, 3> pixels_{};  // along x, y, z
  std::array<size_t, 3> begin_{};     // of each picture in the pages
  Pages pages_;                       // three bytes a pixel; written with mutex_ held
  Mutex mutex_;
  Mutex block_mutex_;
  Pages block_;  // GUARDED by block_mutex_
};

}  // namespace spillway::exporter

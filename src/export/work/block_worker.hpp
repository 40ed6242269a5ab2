// Turns blocks into the records that are sorted: takes the payload apart, checks it, maps its label
// table and compresses or encodes it.
//
// Memory   A worker: BlockWorker::room() for blocks up to kSmallBlock. Larger ones use the one
//          LargeRoom, one worker at a time.
// Threads  A worker: one at a time.
// Cost     A gzip block of 24.5 KB (2.9 KB packed): 15 us inflate, 58 us zstd-3, 1 us the table. For
//          precomputed a payload is checked, sorted as it came, and unpacked again when its chunk of
//          30 KB is written: that costs less than sorting chunks.
// Fails    What a stream may contain is a reject with its reason, not an error; errors are of the
//          sort and of scratch.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "core/memory/leased_list.hpp"
#include "core/memory/pages.hpp"
#include "core/mutex.hpp"
#include "core/records/external_sort.hpp"
#include "export/block/chunk_format.hpp"
#include "export/mapping/mapping.hpp"
#include "export/source/block_source.hpp"
#include "export/source/downscale.hpp"
#include "export/spec/input_mark.hpp"
#include "export/spec/row.hpp"
#include "export/spec/volume_spec.hpp"
#include "export/work/large_room.hpp"
#include "export/work/slice_pictures.hpp"

namespace spillway::exporter {

inline constexpr size_t kSmallBlock = size_t{128} << 10;
inline constexpr size_t kSortFrame = size_t{256} << 10;

// What all workers share.
struct WorkPlan {
  Target target = Target::kArrow;
  Grid grid;
  Cells cells;
  std::optional<Sharding> sharding;
  unsigned gzip_level = 1;
  std::array<int64_t, 3> size{};  // voxels, for clipping
  const Mapping* mapping = nullptr;
  SlicePictures* pictures = nullptr;  // none: not wanted
  bool keep_empty = false;
  bool reject = false;     // rather than stop
  bool last_wins = false;  // of duplicates
  bool order_matters = false;
  Payload payload = Payload::kByContent;
  std::optional<ChunkFormat> chunk;  // what kChunk items are
  std::string source;
  // Files (file_of() their places) that an earlier run finished, ascending: nothing is made for them.
  const LeasedList<uint64_t>* finished = nullptr;
  bool is_file_a_chunk() const { return target == Target::kPrecomputed && !sharding; }
};

class BlockWorker {
 public:
  static Bytes room(Target target, bool from_voxels);
  // `parts`: makes the next scale's parts of all blocks taken; needs from_voxels.
  [[nodiscard]] static Result<std::unique_ptr<BlockWorker>> create(
      const WorkPlan& plan, LargeRoom& large, Lease lease, bool from_voxels,
      std::unique_ptr<PartMaker> parts = nullptr);
  virtual ~BlockWorker() = default;
  // All items of the unit into `out`. kInvalid for a bad block, unless the plan says reject.
  [[nodiscard]] virtual Result<void> take(const BlockUnit& unit, ExternalSort::Input& out) = 0;
  virtual const ContentSum& seen() const = 0;  // of all blocks it took
  // The chunk of a record that is_packed, made in `out`, which has chunk_bound(head.block_size).
  static size_t chunk_bound(size_t block_bytes);
  [[nodiscard]] virtual Result<std::span<const uint8_t>> chunk_of(const RowHead& head,
                                                                  std::span<const uint8_t> payload,
                                                                  std::span<uint8_t> out) = 0;
};

}  // namespace spillway::exporter

// A first-in first-out queue of byte records that may be far larger than memory.
//
// Order    Total: records leave in the order they came, spilled or not.
// Memory   Two segments, a frame and the codec, leased at creation and kept for life: floor().
//          push() never waits for memory, only for disk, so a stage may feed one behind it through
//          this queue without breaking the budget's proof.
// Cost     A byte that spills is written once and read once, sequentially, in compressed frames;
//          what was read is punched out of the file. While the queue holds less than a segment
//          nothing touches the disk.
// Threads  One producer and one consumer, which take turns (no lock inside).
// Fails    push: kTooLarge (a record longer than a segment), kScratchFull, kIo. pop: kCorrupt, kIo.
//          A short read is never the end.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>

#include "core/disk/frame.hpp"
#include "core/disk/scratch.hpp"
#include "core/memory/budget.hpp"
#include "core/memory/pages.hpp"
#include "core/records/record_frames.hpp"

namespace spillway {

class SpillQueue {
 public:
  struct Options {
    size_t segment_bytes = size_t{1} << 20;
    size_t frame_bytes = size_t{256} << 10;  // of raw bytes, written and read at once
  };
  static Bytes floor(const Options& options);
  [[nodiscard]] static Result<std::unique_ptr<SpillQueue>> create(
      Options options, Account account, std::shared_ptr<ScratchSpace> space);

  [[nodiscard]] Result<void> push(std::span<const uint8_t> record);
  // The oldest record, or none when the queue is empty. Valid until the next call on the queue.
  [[nodiscard]] Result<std::optional<Record>> pop();

  uint64_t size() const { return size_; }  // records
  bool empty() const { return size_ == 0; }
  uint64_t spilled_bytes() const { return file_.size(); }  // over the queue's life

 private:
  struct Segment {  // on disk
    uint64_t offset;
    uint64_t stored;
    size_t raw;
  };
  SpillQueue() = default;
  Result<void> spill_tail();
  Result<void> load_head(Segment segment);

  Options options_;
  Pages memory_;
  Lease workspace_;
  std::unique_ptr<FrameCodec> codec_;
  std::span<uint8_t> head_, tail_, frame_;
  size_t head_at_ = 0, head_end_ = 0, tail_end_ = 0;
  std::deque<Segment> spilled_;  // 24 bytes a segment on disk
  ScratchFile file_;
  std::shared_ptr<ScratchSpace> space_;
  uint64_t write_frame_ = 0, read_frame_ = 0;
  uint64_t size_ = 0;
};

}  // namespace spillway

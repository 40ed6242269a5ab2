// An exact set of states by their bytes (--identity exact): a fingerprint finds, the bytes decide.
//
// The same shape as core/records/spill_set.hpp, with records in place of keys: a table of recent states and
// sorted runs of records; runs merge when there are more than kMaxRuns. A search joins its sorted
// successors with all runs by a Sweep, or looks single states up.
//
// Layout   A record is the fingerprint (16 bytes) and the length (4 bytes), both big-endian, then the
//          bytes: memcmp orders records by fingerprint, and equal records are equal states. Runs are
//          frames of records (core/disk/frame.hpp); docs/formats.md, "Exact runs".
// Memory   Recent states and the room of merges and sweeps: leased by the caller. Filters: try_acquire,
//          given back by drop_filters(). Runs: what new_blob() lends, else files; 16 bytes a frame
//          from `index`. At most kMostRuns runs.
// Cost     A run holds what its states hold, compressed, and 20 bytes each. A look-up that misses the
//          recent states reads a frame (about 20 us) when a filter says maybe.
// Threads  One at a time.
// Fails    kScratchFull, kDiskFull, kIo, kCorrupt; kCancelled and stops as in core/records/spill_set.hpp.
//          After a failure the set is not to be used.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <vector>

#include "core/disk/blob.hpp"
#include "core/disk/frame.hpp"
#include "core/key.hpp"
#include "core/memory/budget.hpp"
#include "core/memory/leased_list.hpp"
#include "core/memory/pages.hpp"
#include "core/records/bloom_filter.hpp"
#include "core/records/record_frames.hpp"
#include "core/result.hpp"

namespace spillway::expand {

constexpr size_t kRecordHead = 20;  // of a record, before the state's bytes

// Writes the record of a state to `out` (kRecordHead + state.size() bytes); returns its length.
size_t write_record(Key128 fingerprint, std::span<const uint8_t> state, uint8_t* out);

class ExactRun {
 public:
  // `index` lends for the fences.
  static std::unique_ptr<ExactRun> create(std::unique_ptr<Blob> blob, size_t frame_bytes,
                                          Account index);
  // A run left by a checkpoint: reads it through once to find where its frames begin.
  [[nodiscard]] static Result<std::unique_ptr<ExactRun>> open(std::unique_ptr<Blob> blob,
                                                              size_t frame_bytes, Account index,
                                                              const std::stop_token& stop = {});

  // Records in ascending order.
  [[nodiscard]] Result<void> append(std::span<const uint8_t> record);
  [[nodiscard]] Result<void> finish();

  uint64_t size() const { return size_; }
  Blob& blob() { return *blob_; }
  const Blob& blob() const { return *blob_; }
  size_t frames() const { return fences_.size(); }
  // The last frame whose first fingerprint's top half is below `top` (0 when there is none).
  size_t frame_of(uint64_t top) const;
  uint64_t first_top(size_t frame) const { return fences_[frame].first; }
  // The records of a frame, in `raw` (frame_bytes) or in memory; `stored` is room for one stored frame.
  [[nodiscard]] Result<std::span<const uint8_t>> load(size_t frame, std::span<uint8_t> raw,
                                                      std::span<uint8_t> stored) const;

 private:
  struct Fence {
    uint64_t first;   // top half of the frame's first fingerprint
    uint64_t offset;  // of the frame in the blob
  };
  ExactRun(std::unique_ptr<Blob> blob, size_t frame_bytes, Account index);
  Result<void> write_frame();
  Result<std::span<const uint8_t>> read(FramePlace& place, uint64_t end, std::span<uint8_t> raw,
                                        std::span<uint8_t> stored) const;
  Result<void> add_fence(Fence fence);

  std::unique_ptr<Blob> blob_;
  mutable FrameCodec codec_;
  std::vector<uint8_t> raw_, stored_;  // a frame being filled, until finish()
  size_t fill_ = 0;
  LeasedList<Fence> fences_;  // 16 bytes a frame
  uint64_t size_ = 0;
};

class ExactSet {
 public:
  static constexpr size_t kMaxRuns = 20;
  static constexpr size_t kMostRuns = kMaxRuns + 1;  // while a merge is put off

  struct Options {
    uint32_t max_state_bytes = 0;
    Pages recent_room;  // at least recent_room_bytes()
    Pages merge_room;   // at least merge_room_bytes()
    std::function<std::unique_ptr<Blob>()> new_blob;
    Account filters;
    Account index;  // of the runs' fences
  };
  static size_t frame_bytes(uint32_t max_state_bytes);
  static size_t recent_room_bytes(uint32_t max_state_bytes);
  static size_t merge_room_bytes(uint32_t max_state_bytes);
  explicit ExactSet(Options options);

  [[nodiscard]] Result<bool> insert(Key128 fingerprint, std::span<const uint8_t> state,
                                    const std::stop_token& stop = {});
  [[nodiscard]] Result<void> flush_recent(const std::stop_token& stop = {});

  // Asks for ascending records whether a run holds them; every frame is read at most once.
  class Sweep {
   public:
    [[nodiscard]] Result<bool> holds(std::span<const uint8_t> record);

   private:
    friend class ExactSet;
    struct Cursor {
      const ExactRun* run = nullptr;
      size_t next_frame = 0;
      std::span<uint8_t> room;
      std::span<const uint8_t> rest;    // records not yet met
      std::span<const uint8_t> record;  // empty: at the end
    };
    [[nodiscard]] Result<void> advance(Cursor& cursor);
    std::vector<Cursor> cursors_;  // at most kMostRuns
    std::span<uint8_t> stored_;
  };
  // Over the runs there are now; until the set changes. Recent states are not asked: flush them.
  [[nodiscard]] Result<Sweep> sweep() { return sweep_from(0); }

  const std::vector<std::unique_ptr<ExactRun>>& runs() const { return runs_; }
  std::unique_ptr<ExactRun> new_run() {
    return ExactRun::create(options_.new_blob(), frame_, options_.index);
  }
  size_t frame_bytes() const { return frame_; }
  [[nodiscard]] Result<void> add(std::unique_ptr<ExactRun> run, const std::stop_token& stop = {});
  uint64_t run_keys() const;
  uint64_t run_bytes() const;
  void drop_filters() { filters_.clear(); }

 private:
  struct Slot {
    uint64_t top;
    uint32_t offset;  // of the record in the arena, plus one; 0: empty
    uint32_t length;
  };
  struct Filter {
    const ExactRun* run;
    Pages room;
    BloomFilter bits;
  };
  Slot* find(Key128 fingerprint, std::span<const uint8_t> state);
  [[nodiscard]] Result<bool> in_runs(Key128 fingerprint, std::span<const uint8_t> state,
                                     const std::stop_token& stop);
  [[nodiscard]] Result<bool> in_run(const ExactRun& run, Key128 fingerprint,
                                    std::span<const uint8_t> state);
  [[nodiscard]] Result<void> build_filters(const std::stop_token& stop);
  [[nodiscard]] Result<void> merge_smallest(const std::stop_token& stop);
  [[nodiscard]] Result<Sweep> sweep_from(size_t first_run);
  std::span<uint8_t> room_of(size_t index) const;  // of a frame; the one behind the last: stored
  std::span<uint8_t> stored_room() const;
  std::span<const uint8_t> record_of(const Slot& slot) const;

  Options options_;
  size_t frame_;
  std::vector<std::unique_ptr<ExactRun>> runs_;
  std::vector<Filter> filters_;
  bool filters_stale_ = true;
  std::span<Slot> slots_;  // in recent_room; a power of two
  std::span<uint8_t> arena_;
  size_t arena_used_ = 0;
  uint64_t recent_count_ = 0;
  const ExactRun* cached_run_ = nullptr;  // whose frame cached_frame_ is in room_of(0)
  size_t cached_frame_ = 0;
  std::span<const uint8_t> cached_;
};

}  // namespace spillway::expand

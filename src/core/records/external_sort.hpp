// Sorts byte records far larger than memory, folds repeats, and hands them out in order.
//
// Threads add records through Inputs, one each. An Input gathers in leased memory; refused more, it
// sorts what it has and writes it out as a run. stream() merges what is in memory, or the runs;
// when there are more runs than memory has frames for, it merges the smallest first, so a byte is
// rewritten a logarithmic number of times.
//
// Order    memcmp over the whole record; a shorter record comes before a longer one it begins. Put
//          keys in front, big-endian. Records with equal bytes are equal: their order does not
//          show.
// Repeats  `fold(kept, next)` is asked of neighbours in order: true when next is a repeat of kept,
//          which may take something over from it (a count, say, in bytes of its own at the end)
//          without changing its length or its place in the order. Repeats must be an equivalence
//          whose members lie side by side (a common prefix). The first in order stays, whatever the
//          threads, the memory or the run boundaries; every other is folded exactly once.
// Memory   Frames and codecs of the inputs: leased at creation from `account`, as is one step of
//          each buffer; growth is try_acquire up to `memory`; spilling acquires nothing. stream():
//          one frame a run, at least kLeastFanIn of them. floor() is the least that works. Beyond
//          kFreeRuns runs the list of them is leased, too: 128 bytes each.
// Cost     About 16 bytes of index a record in memory. Sequential writes and reads only.
// Files    One an input and one for merges on the way, however many runs there are; of durable runs,
//          which are files each, at most half of RLIMIT_NOFILE are open.
// Durable  With `folder`, runs are files there that outlive the process once flush() returned; give
//          what it returned to adopt() after a restart. Else they are unnamed scratch.
// Threads  Input: one each, side by side. The rest: one, after the inputs are done.
// Fails    kTooLarge (a record longer than max_record()), kMemoryLimit (creation), kScratchFull,
//          kIo, kCorrupt; kCancelled within a second of options.stop. A sort that was stopped is over:
//          what its inputs gathered may be lost, its durable runs are whole.
// Source   Knuth, The Art of Computer Programming 3, 5.4.1 (merge with a tree of losers).
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "core/disk/blob.hpp"
#include "core/disk/frame.hpp"
#include "core/disk/scratch.hpp"
#include "core/memory/budget.hpp"
#include "core/memory/growing_pages.hpp"
#include "core/memory/pages.hpp"
#include "core/mutex.hpp"
#include "core/records/record_frames.hpp"

namespace spillway {

struct DurableRun {
  std::string file;  // name within the folder
  uint64_t bytes = 0;
  uint64_t frames = 0;
  uint64_t records = 0;
};

// Removes what a killed run left in `folder` beside the runs that its journal names; nothing where there is no folder.
[[nodiscard]] Result<void> remove_other_runs(const std::string& folder,
                                             const std::vector<DurableRun>& named);

struct ExternalSortOptions {
  size_t inputs = 1;                      // threads that add
  Bytes memory{uint64_t{64} << 20};       // all inputs' buffers together, at most
  size_t frame_bytes = size_t{64} << 10;  // of a run; at least twice the longest record
  Codec codec = Codec::kLz4;
  // Called by all inputs' threads; may be empty.
  std::function<bool(std::span<uint8_t> kept, Record next)> fold;
  std::string folder;  // of durable runs; empty: scratch
  // Told of each run that input `input` wrote, on the thread that adds to it, before add() or
  // flush() returns: all that was added to this input so far is in runs. May be empty.
  std::function<Result<void>(size_t input, const DurableRun& run)> on_run;
  std::stop_token stop;  // ends add(), flush(), stream() and what reads it
};

class ExternalSort {
 public:
  static constexpr size_t kLeastFanIn = 8;
  static constexpr size_t kFreeRuns = 512;
  static Bytes floor(const ExternalSortOptions& options);
  static size_t max_record(const ExternalSortOptions& options) {
    return options.frame_bytes / 2 - sizeof(uint32_t);
  }

  [[nodiscard]] static Result<std::unique_ptr<ExternalSort>> create(
      ExternalSortOptions options, Account account, std::shared_ptr<ScratchSpace> space);
  ~ExternalSort();

  class Input {
   public:
    [[nodiscard]] Result<void> add(Record record);
    // Writes what is gathered as a run now; with a folder the run is durable on return. None when
    // nothing was gathered.
    [[nodiscard]] Result<std::optional<DurableRun>> flush();

   private:
    friend class ExternalSort;
    struct Entry {
      uint64_t prefix;  // first 8 bytes, big-endian, zeros behind a shorter record
      uint32_t offset;
      uint32_t length;
    };
    Result<void> sort();
    void give_back_spare();  // of the buffers, which are empty
    std::span<uint8_t> record_of(const Entry& entry) const;
    Entry* entries() const { return index_.as<Entry>(); }

    ExternalSort* owner_ = nullptr;
    GrowingPages bytes_;
    GrowingPages index_;
    std::shared_ptr<ScratchFile> file_;  // of its runs that are not durable
    size_t used_ = 0;
    size_t count_ = 0;
    bool sorted_ = false;
    std::unique_ptr<FrameCodec> codec_;
    std::span<uint8_t> raw_;    // one frame, being filled
    std::span<uint8_t> frame_;  // the same, encoded
  };
  Input& input(size_t index) { return inputs_[index]; }

  // A run left by an earlier process, in `folder`.
  [[nodiscard]] Result<void> adopt(const DurableRun& run);

  // All records in order, once. Valid until the next call on it and while the sort lives.
  class Stream {
   public:
    [[nodiscard]] Result<std::optional<Record>> next();

   private:
    friend class ExternalSort;
    struct Source;
    class Merge;
    explicit Stream(std::unique_ptr<Merge> merge);
    std::unique_ptr<Merge> merge_;

   public:
    Stream(Stream&&) noexcept;
    Stream& operator=(Stream&&) noexcept;
    ~Stream();
  };
  [[nodiscard]] Result<Stream> stream();

  uint64_t runs_written() const { return runs_written_; }  // at any time
  uint64_t spilled_bytes() const { return spilled_bytes_; }

 private:
  struct Run;
  class RunWriter;
  ExternalSort() = default;
  Result<std::unique_ptr<Run>> write_run(Input& input);
  Result<std::unique_ptr<Run>> merge_runs(std::vector<std::unique_ptr<Run>> runs);
  Result<std::unique_ptr<Stream::Merge>> open_merge(std::span<std::unique_ptr<Run>> runs);
  Result<size_t> lease_merge();
  Result<void> check_stop() const;
  Result<void> make_room_in_list(Input* input);

  ExternalSortOptions options_;
  Account account_;
  std::shared_ptr<ScratchSpace> space_;
  Pages frames_;     // of the inputs
  Lease workspace_;  // of their codecs
  Pages merge_memory_;
  std::shared_ptr<ScratchFile> merged_;  // of the runs that merges on the way made
  std::vector<Input> inputs_;
  Mutex mutex_;  // runs_ and the counters, while inputs work
  std::vector<std::unique_ptr<Run>> runs_;
  Lease list_;  // for runs_ beyond kFreeRuns
  uint64_t next_file_ = 0;
  std::atomic<uint64_t> runs_written_{0};
  uint64_t spilled_bytes_ = 0;
};

}  // namespace spillway

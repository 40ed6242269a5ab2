// An exact set of keys, far larger than memory: a table of recent keys and sorted runs.
//
// A full table becomes a run. Runs merge when there are more than kMaxRuns, smallest first, so each
// key is rewritten a logarithmic number of times. Whoever has very many keys at once may join them
// with runs() and add() the new ones as one run (delayed duplicate detection, as the search does).
//
// Look-ups ask a blocked Bloom filter of a run first when there was memory for one; a filter only
// ever saves a look: a key is found or not found in the run itself.
//
// Memory   The recent table and the room for merging: leased by the caller. Filters: try_acquire,
//          given back by drop_filters(). Runs: what new_blob() lends, else files; 16 bytes a block
//          of 2,048 keys from `index`. At most kMostRuns runs.
// Cost     A few ns a key while all fits the table. Beyond: a batch reads each block it needs once,
//          in order; a single key reads a block (about 3 us) when its filter says maybe.
// Threads  One at a time, except that runs() may be read by many between changes.
// Fails    kScratchFull, kDiskFull, kIo, kCorrupt; kCancelled when the recent table becomes a run
//          after a stop. After a failure the set is not to be used. A merge or a filter that a stop
//          meets is put off, and the set is whole.
// Source   Delayed duplicate detection: Korf, "Best-first frontier search with delayed duplicate
//          detection" (AAAI 2004).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "core/disk/blob.hpp"
#include "core/key.hpp"
#include "core/memory/budget.hpp"
#include "core/memory/pages.hpp"
#include "core/records/bloom_filter.hpp"
#include "core/records/sorted_run.hpp"
#include "core/result.hpp"

namespace spillway {

template <class K>
class SpillSet {
 public:
  static constexpr size_t kMaxRuns = 20;
  static constexpr size_t kMostRuns = kMaxRuns + 1;  // while a merge is put off

  struct Options {
    unsigned align = 0;  // zero bits at the bottom of every key's top half
    Pages recent_room;   // the recent table's memory
    Pages merge_room;    // at least merge_room_bytes()
    std::function<std::unique_ptr<Blob>()> new_blob;  // where runs are kept
    Account filters;
    Account index;  // of the runs' fences
  };
  static size_t merge_room_bytes();
  explicit SpillSet(Options options);

  // Key by key.
  [[nodiscard]] Result<bool> insert(K key, const std::stop_token& stop = {});  // true: new
  // The recent table becomes a run.
  [[nodiscard]] Result<void> flush_recent(const std::stop_token& stop = {});

  // Run by run.
  const std::vector<std::unique_ptr<SortedRun<K>>>& runs() const { return runs_; }
  std::unique_ptr<SortedRun<K>> new_run() {
    return SortedRun<K>::create(options_.new_blob(), options_.align, options_.index);
  }
  [[nodiscard]] Result<void> add(std::unique_ptr<SortedRun<K>> run,
                                 const std::stop_token& stop = {});
  uint64_t size() const;  // all keys
  uint64_t run_keys() const;
  uint64_t run_bytes() const;
  void drop_filters() { filters_.clear(); }

 private:
  struct Filter {
    const SortedRun<K>* run;
    Pages room;
    BloomFilter bits;
  };
  [[nodiscard]] Result<bool> in_runs(K key, const std::stop_token& stop);
  [[nodiscard]] Result<bool> in_run(const SortedRun<K>& run, K key);
  [[nodiscard]] Result<void> build_filters(const std::stop_token& stop);
  [[nodiscard]] Result<void> merge_smallest(const std::stop_token& stop);
  size_t home(K key) const;
  size_t find(K key) const;  // its slot, or the empty one where it belongs
  bool in_recent(K key) const;
  [[nodiscard]] Result<void> put(K key, const std::stop_token& stop);  // which is nowhere yet
  void forget_block() { cached_run_ = nullptr; }

  Options options_;
  std::vector<std::unique_ptr<SortedRun<K>>> runs_;
  std::vector<Filter> filters_;  // of some of the runs
  bool filters_stale_ = true;
  K* slots_ = nullptr;  // recent keys; all-ones: empty
  size_t slot_count_ = 0;
  uint64_t recent_count_ = 0;
  bool has_all_ones_ = false;  // the one key the empty mark hides
  std::vector<K> decoded_;     // a block: number cached_block_ of cached_run_
  const SortedRun<K>* cached_run_ = nullptr;
  size_t cached_block_ = 0, cached_count_ = 0;
  std::vector<uint8_t> raw_;
};

extern template class SpillSet<Key64>;
extern template class SpillSet<Key128>;

}  // namespace spillway

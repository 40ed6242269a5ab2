// Everything the search has seen: a table of recent keys and sorted runs.
//
// Small layers insert key by key into the recent table, the way a plain search would; when it is
// full it becomes a run. Large layers are joined with the runs by range (see search.cpp) and add
// their new keys as one run each. Runs merge when there are more than kMaxRuns, smallest first, so
// each key is rewritten a logarithmic number of times.
//
// Look-ups ask a blocked Bloom filter a run first when there was memory for one; a filter only ever
// saves a look, a key is found or not found in the run itself.
//
// Threads  One at a time, except that runs() may be read by many between changes.
// Memory   The recent table: leased at creation, `recent_room`. Filters: try_acquire, dropped by
// drop_filters(). Source   Delayed duplicate detection: Korf, "Best-first frontier search with
// delayed duplicate detection" (AAAI 2004);
//          filter: Putze, Sanders, Singler, "Cache-, hash- and space-efficient Bloom filters"
//          (2007).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/blob.hpp"
#include "core/budget.hpp"
#include "core/pages.hpp"
#include "core/result.hpp"
#include "expand/key.hpp"
#include "expand/seen_run.hpp"

namespace spillway::expand {

template <class K>
class SeenSet {
 public:
  static constexpr size_t kMaxRuns = 20;

  struct Options {
    unsigned align = 0;  // zero bits at the bottom of every key's top half
    Pages recent_room;   // the recent table's memory
    Pages merge_room;    // at least merge_room_bytes()
    std::function<std::unique_ptr<Blob>()> new_blob;  // where runs are kept
    Account filters;
  };
  static size_t merge_room_bytes();
  explicit SeenSet(Options options);

  // Key by key.
  [[nodiscard]] Result<bool> insert(K key);  // true: new
  uint64_t recent_size() const { return recent_count_; }
  [[nodiscard]] Result<void> flush_recent();  // the recent table becomes a run

  // Run by run.
  const std::vector<std::unique_ptr<SeenRun<K>>>& runs() const { return runs_; }
  std::unique_ptr<SeenRun<K>> new_run() {
    return SeenRun<K>::create(options_.new_blob(), options_.align);
  }
  [[nodiscard]] Result<void> add(std::unique_ptr<SeenRun<K>> run);
  uint64_t size() const;  // all keys
  uint64_t run_keys() const;
  uint64_t run_bytes() const;
  static Bytes filter_bytes(uint64_t keys);  // of filters for that many keys
  void drop_filters() { filters_.clear(); }

 private:
  struct Filter {
    const SeenRun<K>* run;
    Pages bits;
    uint64_t lines;
  };
  [[nodiscard]] Result<bool> in_runs(K key);
  [[nodiscard]] Result<bool> in_run(const SeenRun<K>& run, K key);
  [[nodiscard]] Result<void> build_filters();
  [[nodiscard]] Result<void> merge_smallest();
  size_t home(K key) const;

  Options options_;
  std::vector<std::unique_ptr<SeenRun<K>>> runs_;
  std::vector<Filter> filters_;  // of some of the runs
  bool filters_stale_ = true;
  K* slots_ = nullptr;  // recent keys; all-ones: empty
  size_t slot_count_ = 0;
  uint64_t recent_count_ = 0;
  bool has_all_ones_ = false;  // the one key the empty mark hides
  std::vector<K> decoded_;     // a block
  std::vector<uint8_t> raw_;
};

extern template class SeenSet<Key64>;
extern template class SeenSet<Key128>;

}  // namespace spillway::expand

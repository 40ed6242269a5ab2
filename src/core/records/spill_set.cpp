#include "core/records/spill_set.hpp"

#include <algorithm>
#include <cstring>
#include <functional>
#include <numeric>

#include "core/records/stoppable_sort.hpp"

namespace spillway {
namespace {

__extension__ typedef unsigned __int128 Wide;

uint64_t scale(uint64_t uniform, uint64_t n) {
  return static_cast<uint64_t>((static_cast<Wide>(uniform) * n) >> 64);
}

// Bits of the key that neither order nor slot depend on much.
uint64_t filter_hash(const Key64& key) {
  uint64_t x = key.hi * 0xBF58476D1CE4E5B9u;
  return x ^ (x >> 32);
}
uint64_t filter_hash(const Key128& key) { return key.lo; }

tl::unexpected<Error> stopped() { return fail(Code::kCancelled, "stopped while sorting keys"); }

template <class K>
bool is_all_ones(const K& key) {
  if constexpr (K::kWide)
    return key.hi == ~uint64_t{0} && key.lo == ~uint64_t{0};
  else
    return key.hi == ~uint64_t{0};
}

}  // namespace

template <class K>
size_t SpillSet<K>::merge_room_bytes() {
  return kMostRuns * (kBlockKeys * sizeof(K) + kMaxBlockBytes);
}

template <class K>
SpillSet<K>::SpillSet(Options options)
    : options_(std::move(options)), decoded_(kBlockKeys), raw_(kMaxBlockBytes) {
  slots_ = reinterpret_cast<K*>(options_.recent_room.data());
  slot_count_ = options_.recent_room.size() / sizeof(K);
  CHECK(slot_count_ >= 64 && options_.merge_room.size() >= merge_room_bytes());
  std::memset(static_cast<void*>(slots_), 0xFF, std::min<size_t>(slot_count_, 64) * sizeof(K));
  slot_count_ = 64;  // grows with use, up to the room
}

template <class K>
size_t SpillSet<K>::home(K key) const {
  return static_cast<size_t>(scale(key.hi, slot_count_));
}

template <class K>
size_t SpillSet<K>::find(K key) const {
  size_t slot = home(key);
  while (!is_all_ones(slots_[slot]) && !(slots_[slot] == key))
    slot = slot + 1 == slot_count_ ? 0 : slot + 1;
  return slot;
}

template <class K>
bool SpillSet<K>::in_recent(K key) const {
  if (is_all_ones(key)) return has_all_ones_;
  return slots_[find(key)] == key;
}

template <class K>
Result<bool> SpillSet<K>::insert(K key, const std::stop_token& stop) {
  if (in_recent(key)) return false;
  if (!runs_.empty() && TRY(in_runs(key, stop))) return false;
  TRY(put(key, stop));
  return true;
}

template <class K>
Result<void> SpillSet<K>::put(K key, const std::stop_token& stop) {
  if (is_all_ones(key)) {
    has_all_ones_ = true;
    ++recent_count_;
    return {};
  }
  if ((recent_count_ + 1) * 4 > slot_count_ * 3) {
    const size_t room = options_.recent_room.size() / sizeof(K);
    if (slot_count_ * 4 <= room) {
      // Grow in place: the old keys move to the end of the room, then back into the wider table.
      K* const old = slots_ + (room - slot_count_);
      const size_t old_count = slot_count_;
      std::memcpy(static_cast<void*>(old), slots_, old_count * sizeof(K));
      slot_count_ *= 2;
      std::memset(static_cast<void*>(slots_), 0xFF, slot_count_ * sizeof(K));
      for (size_t i = 0; i < old_count; ++i) {
        if (!is_all_ones(old[i])) slots_[find(old[i])] = old[i];
      }
    } else {
      TRY(flush_recent(stop));
    }
  }
  slots_[find(key)] = key;
  ++recent_count_;
  return {};
}

template <class K>
Result<void> SpillSet<K>::flush_recent(const std::stop_token& stop) {
  if (recent_count_ == 0) return {};
  if (stop.stop_requested()) return stopped();
  K* const end =
      std::remove_if(slots_, slots_ + slot_count_, [](const K& key) { return is_all_ones(key); });
  if (!sort_unless_stopped(slots_, end, stop, std::less<K>())) return stopped();
  auto run = new_run();
  for (K* at = slots_; at < end;) {
    if (stop.stop_requested()) return stopped();
    const size_t count = std::min<size_t>(static_cast<size_t>(end - at), 64 * kBlockKeys);
    TRY(run->append({at, count}));
    at += count;
  }
  if (has_all_ones_) {
    K last;
    std::memset(static_cast<void*>(&last), 0xFF, sizeof last);
    TRY(run->append({&last, 1}));
  }
  TRY(run->finish());
  slot_count_ = 64;
  std::memset(static_cast<void*>(slots_), 0xFF, slot_count_ * sizeof(K));
  recent_count_ = 0;
  has_all_ones_ = false;
  return add(std::move(run), stop);
}

template <class K>
Result<bool> SpillSet<K>::in_runs(K key, const std::stop_token& stop) {
  if (runs_.empty()) return false;
  if (filters_stale_) TRY(build_filters(stop));
  const uint64_t hash = filter_hash(key);
  size_t filter = 0;
  for (const auto& run : runs_) {
    while (filter < filters_.size() && filters_[filter].run != run.get()) ++filter;
    if (filter < filters_.size()) {
      if (!filters_[filter].bits.maybe(key.hi, hash)) continue;
    } else {
      filter = 0;
    }
    if (TRY(in_run(*run, key))) return true;
  }
  return false;
}

template <class K>
Result<bool> SpillSet<K>::in_run(const SortedRun<K>& run, K key) {
  for (size_t block = run.block_of(key.hi);
       block < run.fences().size() && run.fences()[block].first <= key.hi; ++block) {
    if (cached_run_ != &run || cached_block_ != block) {
      forget_block();
      cached_count_ = TRY(run.decode(block, decoded_, raw_));
      cached_run_ = &run;
      cached_block_ = block;
    }
    const auto end = decoded_.begin() + static_cast<ptrdiff_t>(cached_count_);
    const auto at = std::lower_bound(decoded_.begin(), end, key);
    if (at != end) return *at == key;
  }
  return false;
}

// One filter a run, in the order of the runs; runs for which memory is refused, or time, go without.
template <class K>
Result<void> SpillSet<K>::build_filters(const std::stop_token& stop) {
  forget_block();
  std::vector<Filter> fresh;
  for (const auto& run : runs_) {
    const auto have = std::find_if(filters_.begin(), filters_.end(),
                                   [&](const Filter& f) { return f.run == run.get(); });
    if (have != filters_.end()) {
      fresh.push_back(std::move(*have));
      have->run = nullptr;
      continue;
    }
    auto lease = options_.filters.try_acquire(BloomFilter::bytes(run->size()));
    if (!lease) continue;
    Pages room = TRY(Pages::map(std::move(*lease)));
    BloomFilter bits(room.template as<uint64_t>(), run->size());
    size_t block = 0;
    for (; block < run->fences().size() && !stop.stop_requested(); ++block) {
      const size_t count = TRY(run->decode(block, decoded_, raw_));
      for (size_t i = 0; i < count; ++i) bits.add(decoded_[i].hi, filter_hash(decoded_[i]));
    }
    if (block == run->fences().size()) fresh.push_back(Filter{run.get(), std::move(room), bits});
  }
  filters_ = std::move(fresh);
  filters_stale_ = false;
  return {};
}

template <class K>
Result<void> SpillSet<K>::add(std::unique_ptr<SortedRun<K>> run, const std::stop_token& stop) {
  if (run->size() == 0) return {};
  runs_.push_back(std::move(run));
  filters_stale_ = true;
  if (runs_.size() > kMaxRuns) TRY(merge_smallest(stop));
  return {};
}

// Merges the smallest runs: at least half of them, and on while the next is no larger than what is
// merged already.
template <class K>
Result<void> SpillSet<K>::merge_smallest(const std::stop_token& stop) {
  const bool can_wait = runs_.size() <= kMostRuns;
  if (can_wait && stop.stop_requested()) return {};
  forget_block();
  std::stable_sort(runs_.begin(), runs_.end(),
                   [](const auto& a, const auto& b) { return a->size() > b->size(); });
  size_t first = runs_.size() - kMaxRuns / 2;
  uint64_t merged_keys = 0;
  for (size_t i = first; i < runs_.size(); ++i) merged_keys += runs_[i]->size();
  while (first > 0 && runs_.size() - first < kMostRuns && runs_[first - 1]->size() <= merged_keys)
    merged_keys += runs_[--first]->size();

  struct Cursor {
    RunReader<K> reader;
    std::span<const K> keys;
  };
  std::vector<Cursor> sources;
  uint8_t* room = options_.merge_room.data();
  for (size_t i = first; i < runs_.size(); ++i) {
    const std::span<K> decoded(reinterpret_cast<K*>(room), kBlockKeys);
    room += kBlockKeys * sizeof(K);
    Cursor source{RunReader<K>(decoded, {room, kMaxBlockBytes}), {}};
    room += kMaxBlockBytes;
    source.reader.seek(*runs_[i], 0, ~uint64_t{0});
    source.keys = TRY(source.reader.next());
    sources.push_back(source);
  }
  const auto later = [](const Cursor& a, const Cursor& b) {
    return b.keys.front() < a.keys.front();
  };
  std::make_heap(sources.begin(), sources.end(), later);
  auto merged = new_run();
  while (!sources.empty()) {
    if (can_wait && stop.stop_requested()) return {};
    std::pop_heap(sources.begin(), sources.end(), later);
    Cursor& least = sources.back();
    // Everything below the next source's first key leaves at once.
    size_t take = 1;
    if (sources.size() > 1) {
      const K bound = sources.front().keys.front();
      while (take < least.keys.size() && least.keys[take] < bound) ++take;
    } else {
      take = least.keys.size();
    }
    TRY(merged->append(least.keys.first(take)));
    least.keys = least.keys.subspan(take);
    if (least.keys.empty()) least.keys = TRY(least.reader.next());
    if (least.keys.empty()) {
      sources.pop_back();
    } else {
      std::push_heap(sources.begin(), sources.end(), later);
    }
  }
  TRY(merged->finish());
  runs_.resize(first);
  std::erase_if(filters_, [&](const Filter& f) {
    return std::none_of(runs_.begin(), runs_.end(),
                        [&](const auto& run) { return run.get() == f.run; });
  });
  runs_.push_back(std::move(merged));
  filters_stale_ = true;
  return {};
}

template <class K>
uint64_t SpillSet<K>::run_keys() const {
  return std::accumulate(runs_.begin(), runs_.end(), uint64_t{0},
                         [](uint64_t n, const auto& run) { return n + run->size(); });
}
template <class K>
uint64_t SpillSet<K>::run_bytes() const {
  return std::accumulate(runs_.begin(), runs_.end(), uint64_t{0},
                         [](uint64_t n, const auto& run) { return n + run->blob().size(); });
}
template <class K>
uint64_t SpillSet<K>::size() const {
  return run_keys() + recent_count_;
}

template class SpillSet<Key64>;
template class SpillSet<Key128>;

}  // namespace spillway

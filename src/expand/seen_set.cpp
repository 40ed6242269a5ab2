#include "expand/seen_set.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>

namespace spillway::expand {
namespace {

constexpr size_t kLineBits = 512;
constexpr unsigned kProbes = 6;
constexpr uint64_t kFilterBitsPerKey = 10;

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

template <class K>
bool is_all_ones(const K& key) {
  if constexpr (K::kWide)
    return key.hi == ~uint64_t{0} && key.lo == ~uint64_t{0};
  else
    return key.hi == ~uint64_t{0};
}

template <class Each>
void filter_bits(uint64_t hash, Each&& each) {
  for (unsigned i = 0; i < kProbes; ++i) {
    each((hash >> (9 * i)) % kLineBits);
  }
}

}  // namespace

template <class K>
size_t SeenSet<K>::merge_room_bytes() {
  return (kMaxRuns + 1) * (kBlockKeys * sizeof(K) + kMaxBlockBytes);
}

template <class K>
Bytes SeenSet<K>::filter_bytes(uint64_t keys) {
  return Bytes(keys * kFilterBitsPerKey / 8);
}

template <class K>
SeenSet<K>::SeenSet(Options options)
    : options_(std::move(options)), decoded_(kBlockKeys), raw_(kMaxBlockBytes) {
  slots_ = reinterpret_cast<K*>(options_.recent_room.data());
  slot_count_ = options_.recent_room.size() / sizeof(K);
  CHECK(slot_count_ >= 64 && options_.merge_room.size() >= merge_room_bytes());
  std::memset(static_cast<void*>(slots_), 0xFF, std::min<size_t>(slot_count_, 64) * sizeof(K));
  slot_count_ = 64;  // grows with use, up to the room
}

template <class K>
size_t SeenSet<K>::home(K key) const {
  return static_cast<size_t>(scale(key.hi, slot_count_));
}

template <class K>
Result<bool> SeenSet<K>::insert(K key) {
  if (is_all_ones(key)) {
    if (has_all_ones_ || TRY(in_runs(key))) return false;
    has_all_ones_ = true;
    ++recent_count_;
    return true;
  }
  const auto find = [&] {
    size_t slot = home(key);
    while (!is_all_ones(slots_[slot]) && !(slots_[slot] == key))
      slot = slot + 1 == slot_count_ ? 0 : slot + 1;
    return slot;
  };
  size_t slot = find();
  if (slots_[slot] == key) return false;
  if (!runs_.empty() && TRY(in_runs(key))) return false;
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
        if (is_all_ones(old[i])) continue;
        size_t at = home(old[i]);
        while (!is_all_ones(slots_[at])) at = at + 1 == slot_count_ ? 0 : at + 1;
        slots_[at] = old[i];
      }
    } else {
      TRY(flush_recent());
    }
    slot = find();
  }
  slots_[slot] = key;
  ++recent_count_;
  return true;
}

template <class K>
Result<void> SeenSet<K>::flush_recent() {
  if (recent_count_ == 0) return {};
  K* const end =
      std::remove_if(slots_, slots_ + slot_count_, [](const K& key) { return is_all_ones(key); });
  std::sort(slots_, end);
  auto run = new_run();
  TRY(run->append({slots_, end}));
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
  return add(std::move(run));
}

template <class K>
Result<bool> SeenSet<K>::in_runs(K key) {
  if (runs_.empty()) return false;
  if (filters_stale_) TRY(build_filters());
  const uint64_t hash = filter_hash(key);
  size_t filter = 0;
  for (const auto& run : runs_) {
    while (filter < filters_.size() && filters_[filter].run != run.get()) ++filter;
    if (filter < filters_.size()) {
      const Filter& f = filters_[filter];
      const uint64_t* const line =
          f.bits.template as<uint64_t>().data() + scale(key.hi, f.lines) * (kLineBits / 64);
      bool maybe = true;
      filter_bits(hash, [&](uint64_t bit) { maybe &= (line[bit / 64] >> (bit % 64)) & 1; });
      if (!maybe) continue;
    } else {
      filter = 0;
    }
    if (TRY(in_run(*run, key))) return true;
  }
  return false;
}

template <class K>
Result<bool> SeenSet<K>::in_run(const SeenRun<K>& run, K key) {
  RunReader<K> reader(decoded_, raw_);
  reader.seek(run, key.hi, key.hi);
  while (true) {
    const auto keys = TRY(reader.next());
    if (keys.empty()) return false;
    for (const K& found : keys) {
      if (found == key) return true;
    }
  }
}

// One filter a run, in the order of the runs; runs for which memory is refused go without.
template <class K>
Result<void> SeenSet<K>::build_filters() {
  std::vector<Filter> fresh;
  for (const auto& run : runs_) {
    const auto have = std::find_if(filters_.begin(), filters_.end(),
                                   [&](const Filter& f) { return f.run == run.get(); });
    if (have != filters_.end()) {
      fresh.push_back(std::move(*have));
      have->run = nullptr;
      continue;
    }
    const uint64_t lines = run->size() * kFilterBitsPerKey / kLineBits + 1;
    auto lease = options_.filters.try_acquire(Bytes(lines * kLineBits / 8));
    if (!lease) continue;
    Filter filter{run.get(), TRY(Pages::map(std::move(*lease))), lines};
    uint64_t* const words = filter.bits.template as<uint64_t>().data();
    for (size_t block = 0; block < run->fences().size(); ++block) {
      const size_t count = TRY(run->decode(block, decoded_, raw_));
      for (size_t i = 0; i < count; ++i) {
        uint64_t* const line = words + scale(decoded_[i].hi, lines) * (kLineBits / 64);
        filter_bits(filter_hash(decoded_[i]),
                    [&](uint64_t bit) { line[bit / 64] |= uint64_t{1} << (bit % 64); });
      }
    }
    fresh.push_back(std::move(filter));
  }
  filters_ = std::move(fresh);
  filters_stale_ = false;
  return {};
}

template <class K>
Result<void> SeenSet<K>::add(std::unique_ptr<SeenRun<K>> run) {
  if (run->size() == 0) return {};
  runs_.push_back(std::move(run));
  filters_stale_ = true;
  if (runs_.size() > kMaxRuns) TRY(merge_smallest());
  return {};
}

// Merges the smallest runs: at least half of them, and on while the next is no larger than what is
// merged already.
template <class K>
Result<void> SeenSet<K>::merge_smallest() {
  std::stable_sort(runs_.begin(), runs_.end(),
                   [](const auto& a, const auto& b) { return a->size() > b->size(); });
  size_t first = runs_.size() - kMaxRuns / 2;
  uint64_t merged_keys = 0;
  for (size_t i = first; i < runs_.size(); ++i) merged_keys += runs_[i]->size();
  while (first > 0 && runs_[first - 1]->size() <= merged_keys)
    merged_keys += runs_[--first]->size();

  struct Source {
    RunReader<K> reader;
    std::span<const K> keys;
  };
  std::vector<Source> sources;
  uint8_t* room = options_.merge_room.data();
  for (size_t i = first; i < runs_.size(); ++i) {
    const std::span<K> decoded(reinterpret_cast<K*>(room), kBlockKeys);
    room += kBlockKeys * sizeof(K);
    Source source{RunReader<K>(decoded, {room, kMaxBlockBytes}), {}};
    room += kMaxBlockBytes;
    source.reader.seek(*runs_[i], 0, ~uint64_t{0});
    source.keys = TRY(source.reader.next());
    sources.push_back(source);
  }
  const auto later = [](const Source& a, const Source& b) {
    return b.keys.front() < a.keys.front();
  };
  std::make_heap(sources.begin(), sources.end(), later);
  auto merged = new_run();
  while (!sources.empty()) {
    std::pop_heap(sources.begin(), sources.end(), later);
    Source& least = sources.back();
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
uint64_t SeenSet<K>::run_keys() const {
  return std::accumulate(runs_.begin(), runs_.end(), uint64_t{0},
                         [](uint64_t n, const auto& run) { return n + run->size(); });
}
template <class K>
uint64_t SeenSet<K>::run_bytes() const {
  return std::accumulate(runs_.begin(), runs_.end(), uint64_t{0},
                         [](uint64_t n, const auto& run) { return n + run->blob().size(); });
}
template <class K>
uint64_t SeenSet<K>::size() const {
  return run_keys() + recent_count_;
}

template class SeenSet<Key64>;
template class SeenSet<Key128>;

}  // namespace spillway::expand

// The duplicate detection of one bucket: the distinct keys of a range, each with its smallest
// ordinal.
//
// Open addressing in key order: a key's slot is its place in the range scaled to the slots, so that
// a sweep meets the keys nearly sorted and the new ones leave as a sorted run almost for free.
//
// Memory   The caller's `room`, sized for a level-2 cache; never grows. insert() says when it is full.
// Cost     A few ns an insert or a probe while the room fits the cache.
// Threads  One.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>

#include "expand/engine/key.hpp"

namespace spillway::expand {

template <class K>
class BucketTable {
 public:
  static constexpr uint32_t kEmpty = 0xFFFFFFFF;
  static constexpr uint32_t kSeen = 0xFFFFFFFE;  // ordinals are smaller
  static constexpr size_t kSlack = 512;          // slots behind the last home slot
  using Entry = Candidate<K>;

  // `most_slots` narrows the table further than the room does (tests).
  explicit BucketTable(std::span<uint8_t> room, uint64_t most_slots = ~uint64_t{0})
      : entries_(reinterpret_cast<Entry*>(room.data())),
        max_slots_(std::max<uint64_t>(
            64, std::min<uint64_t>(most_slots, room.size() / sizeof(Entry) - kSlack))) {}

  // Empties the table for keys whose top `prefix_bits` bits are equal; `expected` keys at most, if
  // known.
  void reset(unsigned prefix_bits, uint64_t expected) {
    prefix_bits_ = prefix_bits;
    slots_ = std::clamp<uint64_t>(expected + expected / 2, 64, max_slots_);
    limit_ = slots_ - slots_ / 4;
    count_ = 0;
    std::memset(static_cast<void*>(entries_), 0xFF, (slots_ + kSlack) * sizeof(Entry));
  }

  // Keeps the smaller ordinal of equal keys. False: full; split the range and begin again.
  [[nodiscard]] bool insert(K key, uint32_t ordinal) {
    Entry* entry = entries_ + home(key);
    while (entry->ordinal != kEmpty) {
      if (K(entry->key) == key) {
        if (ordinal < entry->ordinal) entry->ordinal = ordinal;
        return true;
      }
      ++entry;
    }
    if (count_ == limit_ || entry >= entries_ + slots_ + kSlack - 1) [[unlikely]]
      return false;
    entry->key = key;
    entry->ordinal = ordinal;
    ++count_;
    return true;
  }

  void mark_seen(K key) {
    Entry* entry = entries_ + home(key);
    while (entry->ordinal != kEmpty) {
      if (K(entry->key) == key) {
        entry->ordinal = kSeen;
        return;
      }
      ++entry;
    }
  }

  // Calls `found(key, ordinal)` for every key not seen and returns those keys, ascending, in the table's
  // own memory.
  template <class Found>
  std::span<const K> take_new(Found&& found) {
    uint8_t* const base = reinterpret_cast<uint8_t*>(entries_);
    size_t kept = 0;
    for (size_t slot = 0; slot < slots_ + kSlack; ++slot) {
      const Entry entry = entries_[slot];
      if (entry.ordinal >= kSeen) continue;
      const K key = entry.key;
      found(key, entry.ordinal);
      size_t at = kept++;
      for (; at > 0; --at) {  // nearly sorted: a step or two
        K before;
        std::memcpy(&before, base + (at - 1) * sizeof(K), sizeof(K));
        if (before < key) break;
        std::memcpy(base + at * sizeof(K), &before, sizeof(K));
      }
      std::memcpy(base + at * sizeof(K), &key, sizeof(K));
    }
    return {reinterpret_cast<const K*>(base), kept};
  }
  size_t count() const { return count_; }

 private:
  size_t home(K key) const {
    const uint64_t place = prefix_bits_ == 0 ? key.hi : key.hi << prefix_bits_;
    __extension__ typedef unsigned __int128 Wide;
    return static_cast<size_t>((static_cast<Wide>(place) * slots_) >> 64);
  }

  Entry* entries_;
  uint64_t max_slots_;
  uint64_t slots_ = 0;
  uint64_t limit_ = 0;
  uint64_t count_ = 0;
  unsigned prefix_bits_ = 0;
};

}  // namespace spillway::expand

// A sorted run of distinct keys: the form in which a set of them is kept on disk.
//
// Blocks of up to kBlockKeys keys. A block stores its first key and the deltas of the rest at one
// bit width (the smallest that fits the block); wide keys add their low halves as they are. About 3
// bytes a key for 4e7 packed states, 14 for fingerprints. Fences (first key and offset of each
// block) stay in memory: 16 bytes a block, leased.
//
// Order    Strictly ascending keys; append() enforces it.
// Threads  Builder: one. A finished run is immutable and may be read by many, each with a RunReader.
// Cost     Encoding about 2 ns a key, decoding about 1 ns.
// Fails    kCorrupt when a block's checksum does not match (runs in files only); kMemoryLimit when
//          nothing is lent for another 2 M keys' fences, though the run went to its file for them.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <stop_token>
#include <vector>

#include "core/disk/blob.hpp"
#include "core/key.hpp"
#include "core/memory/leased_list.hpp"
#include "core/result.hpp"

namespace spillway {

constexpr size_t kBlockKeys = 2048;
// Header, at most 8 bytes a delta, 8 a low half, and 8 of padding for unaligned loads.
constexpr size_t kMaxBlockBytes = 48 + kBlockKeys * 16 + 8;

struct Fence {
  uint64_t first;   // top half of the block's first key
  uint64_t offset;  // of the block in the blob
};

template <class K>
class SortedRun {
 public:
  // `index` lends for the fences.
  static std::unique_ptr<SortedRun> create(std::unique_ptr<Blob> blob, unsigned align,
                                           Account index);
  // A run left by a checkpoint: reads the block headers to find the fences.
  [[nodiscard]] static Result<std::unique_ptr<SortedRun>> open(std::unique_ptr<Blob> blob,
                                                               unsigned align, Account index,
                                                               const std::stop_token& stop = {});

  [[nodiscard]] Result<void> append(std::span<const K> keys);
  [[nodiscard]] Result<void> finish();  // writes the last block

  uint64_t size() const { return size_; }
  Blob& blob() { return *blob_; }
  const Blob& blob() const { return *blob_; }
  const LeasedList<Fence>& fences() const { return fences_; }
  // The last block whose first key is <= `key`'s top half (0 when there is none): a range's begin.
  size_t block_of(uint64_t key_top) const;

  // Decodes block `index` into `out` (room for kBlockKeys); `raw` is room for kMaxBlockBytes.
  [[nodiscard]] Result<size_t> decode(size_t index, std::span<K> out, std::span<uint8_t> raw) const;

 private:
  SortedRun() = default;
  Result<void> write_block();
  Result<void> add_fence(Fence fence);

  std::unique_ptr<Blob> blob_;
  unsigned align_ = 0;        // zero bits at the bottom of every top half
  std::vector<K> pending_;    // at most kBlockKeys
  std::vector<uint8_t> raw_;  // one encoded block
  LeasedList<Fence> fences_;  // size() / kBlockKeys + 1 of them; 0.008 bytes a key
  uint64_t size_ = 0;
};

// Walks the keys of a run within [low, high] (top halves, inclusive), a decoded block at a time.
template <class K>
class RunReader {
 public:
  // The buffers are the caller's, from leased memory.
  RunReader(std::span<K> decoded, std::span<uint8_t> raw) : decoded_(decoded), raw_(raw) {}

  void seek(const SortedRun<K>& run, uint64_t low, uint64_t high) {
    run_ = &run;
    low_ = low;
    high_ = high;
    next_ = run.fences().empty() ? 0 : run.block_of(low);
  }
  // The next keys in the range; empty at its end. Valid until the next call.
  [[nodiscard]] Result<std::span<const K>> next() {
    while (next_ < run_->fences().size() && run_->fences()[next_].first <= high_) {
      const size_t count = TRY(run_->decode(next_++, decoded_, raw_));
      std::span<const K> keys(decoded_.data(), count);
      if (keys.front().hi < low_) {
        const auto first = std::lower_bound(keys.begin(), keys.end(), low_,
                                            [](const K& k, uint64_t top) { return k.hi < top; });
        keys = keys.subspan(static_cast<size_t>(first - keys.begin()));
      }
      if (!keys.empty() && keys.back().hi > high_) {
        const auto end = std::upper_bound(keys.begin(), keys.end(), high_,
                                          [](uint64_t top, const K& k) { return top < k.hi; });
        keys = keys.first(static_cast<size_t>(end - keys.begin()));
      }
      if (!keys.empty()) return keys;
    }
    return std::span<const K>();
  }

 private:
  const SortedRun<K>* run_ = nullptr;
  std::span<K> decoded_;
  std::span<uint8_t> raw_;
  uint64_t low_ = 0, high_ = 0;
  size_t next_ = 0;
};

extern template class SortedRun<Key64>;
extern template class SortedRun<Key128>;

}  // namespace spillway

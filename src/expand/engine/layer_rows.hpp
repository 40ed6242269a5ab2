// The rows of layers.csv, however deep a search goes: the last one in memory, those before it, which do
// not change any more, in a blob.
//
// Layout   24 bytes a row: u64 fresh, generated, duplicate, little-endian (docs/formats.md).
// Memory   Constant; the blob's is leased while there is room.
// Fails    kScratchFull, kDiskFull, kIo; restore: kCorrupt when rows are not those that were saved.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "core/disk/blob.hpp"
#include "core/result.hpp"

namespace spillway::expand {

struct LayerRow {  // a line of layers.csv
  uint64_t fresh = 0;
  uint64_t generated = 0;
  uint64_t duplicate = 0;
};

class LayerRows {
 public:
  // Row 0 begins; `blob` is for the finished ones.
  void begin(std::unique_ptr<Blob> blob);
  // The last row is finished, and another one begins.
  [[nodiscard]] Result<void> push(const LayerRow& row);

  uint64_t size() const { return size_; }
  LayerRow& back() { return last_; }
  const LayerRow& back() const { return last_; }
  uint64_t initial() const { return size_ <= 1 ? last_.fresh : initial_; }  // fresh of row 0
  LayerRow total() const;
  // All rows in order.
  [[nodiscard]] Result<void> each(
      const std::function<Result<void>(uint64_t depth, const LayerRow& row)>& visit) const;

  // Finished rows as they are in the checkpoint: the blob, and a checksum of what is in it.
  Blob& blob() { return *blob_; }
  uint64_t checksum() const { return checksum_; }
  [[nodiscard]] Result<void> restore(std::unique_ptr<Blob> blob, uint64_t checksum,
                                     const LayerRow& last);

 private:
  static constexpr size_t kRowBytes = 24;
  Result<void> each_finished(
      const std::function<Result<void>(uint64_t depth, const LayerRow& row)>& visit) const;
  void add(const LayerRow& row);

  std::unique_ptr<Blob> blob_;
  uint64_t size_ = 0;
  LayerRow last_;
  LayerRow finished_;  // their sum
  uint64_t initial_ = 0;
  uint64_t checksum_ = 0;
};

}  // namespace spillway::expand

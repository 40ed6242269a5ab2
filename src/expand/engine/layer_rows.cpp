#include "expand/engine/layer_rows.hpp"

#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "core/disk/corrupt.hpp"

namespace spillway::expand {
namespace {
constexpr size_t kRowsAtOnce = 2048;
}  // namespace

void LayerRows::begin(std::unique_ptr<Blob> blob) {
  blob_ = std::move(blob);
  size_ = 1;
  last_ = finished_ = {};
  initial_ = checksum_ = 0;
}

// A finished row's part of the sums.
void LayerRows::add(const LayerRow& row) {
  static_assert(sizeof(LayerRow) == kRowBytes);
  if (finished_.fresh == 0) initial_ = row.fresh;
  finished_.fresh += row.fresh;
  finished_.generated += row.generated;
  finished_.duplicate += row.duplicate;
  checksum_ = XXH3_64bits_withSeed(&row, sizeof row, checksum_);
}

Result<void> LayerRows::push(const LayerRow& row) {
  TRY(blob_->append({reinterpret_cast<const uint8_t*>(&last_), sizeof last_}));
  add(last_);
  last_ = row;
  ++size_;
  return {};
}

LayerRow LayerRows::total() const {
  return {finished_.fresh + last_.fresh, finished_.generated + last_.generated,
          finished_.duplicate + last_.duplicate};
}

Result<void> LayerRows::each_finished(
    const std::function<Result<void>(uint64_t, const LayerRow&)>& visit) const {
  const uint64_t rows = blob_->size() / kRowBytes;
  const size_t at_once = blob_->in_memory() ? 1 : kRowsAtOnce;  // in memory a piece is a row
  std::vector<uint8_t> room(at_once * kRowBytes);
  for (uint64_t depth = 0; depth < rows;) {
    const size_t count = static_cast<size_t>(std::min<uint64_t>(at_once, rows - depth));
    const uint8_t* const at = TRY(blob_->read(depth * kRowBytes, count * kRowBytes, room));
    for (size_t i = 0; i < count; ++i, ++depth) {
      LayerRow row;
      std::memcpy(&row, at + i * kRowBytes, kRowBytes);
      TRY(visit(depth, row));
    }
  }
  return {};
}

Result<void> LayerRows::each(
    const std::function<Result<void>(uint64_t, const LayerRow&)>& visit) const {
  if (size_ == 0) return {};
  TRY(each_finished(visit));
  return visit(size_ - 1, last_);
}

Result<void> LayerRows::restore(std::unique_ptr<Blob> blob, uint64_t checksum,
                                const LayerRow& last) {
  begin(std::move(blob));
  TRY(each_finished([&](uint64_t, const LayerRow& row) -> Result<void> {
    add(row);
    return {};
  }));
  if (checksum_ != checksum || blob_->size() % kRowBytes != 0)
    return fail_corrupt(blob_->path() + ": does not match its checksum");
  size_ = blob_->size() / kRowBytes + 1;
  last_ = last;
  return {};
}

}  // namespace spillway::expand

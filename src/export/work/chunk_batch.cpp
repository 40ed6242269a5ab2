#include "export/work/chunk_batch.hpp"

#include <algorithm>
#include <cstring>

#include "core/flow/parallel.hpp"

namespace spillway::exporter {
namespace {

constexpr size_t kEach = size_t{1} << 20;
constexpr size_t kMostRows = 4096;

}  // namespace

Bytes ChunkBatch::room(unsigned threads) {
  return (BlockWorker::room(Target::kPrecomputed, false) + Bytes(kEach)) * threads;
}

Result<std::unique_ptr<ChunkBatch>> ChunkBatch::create(const WorkPlan& plan, LargeRoom& large,
                                                       unsigned threads, Lease lease, Write write) {
  CHECK(lease.bytes() >= room(threads));
  std::unique_ptr<ChunkBatch> batch(new ChunkBatch);
  for (unsigned i = 0; i < threads; ++i) {
    Lease own = lease.split(BlockWorker::room(Target::kPrecomputed, false));
    batch->workers_.push_back(TRY(BlockWorker::create(plan, large, std::move(own), false)));
  }
  batch->pages_ = TRY(Pages::map(std::move(lease)));
  batch->rows_.reserve(kMostRows);
  batch->write_ = std::move(write);
  return batch;
}

Result<void> ChunkBatch::add(const RowHead& head, const Place& place,
                             std::span<const uint8_t> payload) {
  const size_t chunk = BlockWorker::chunk_bound(head.block_size);
  if (used_ + payload.size() + chunk > pages_.size() || rows_.size() == kMostRows) TRY(flush());
  CHECK(payload.size() + chunk <= pages_.size());
  uint8_t* const at = pages_.data() + used_;
  std::memcpy(at, payload.data(), payload.size());
  rows_.push_back({head, place, {at, payload.size()}, {at + payload.size(), chunk}, {}});
  used_ += payload.size() + chunk;
  return {};
}

Result<void> ChunkBatch::flush() {
  if (rows_.empty()) return {};
  const auto unpack = [this](size_t worker, size_t begin, size_t end) -> Result<void> {
    for (size_t i = begin; i < end; ++i) {
      Row& row = rows_[i];
      row.chunk = TRY(workers_[worker]->chunk_of(row.head, row.payload, row.room));
    }
    return {};
  };
  const size_t threads = workers_.size(), each = (rows_.size() + threads - 1) / threads;
  if (threads == 1) {
    TRY(unpack(0, 0, rows_.size()));
  } else {
    TRY(parallel(
        static_cast<unsigned>(threads),
        [&](unsigned index) {
          return unpack(index, std::min(rows_.size(), index * each),
                        std::min(rows_.size(), (index + 1) * each));
        },
        [] {}));
  }
  for (const Row& row : rows_) TRY(write_(row.head, row.place, row.chunk));
  rows_.clear();
  used_ = 0;
  return {};
}

}  // namespace spillway::exporter

// Makes the chunks of packed records on all threads and hands them on in order.
//
// Records are gathered until their chunks could fill the room; then every thread unpacks its share,
// and the chunks are written one after the other on the calling thread.
//
// Memory   room(): a worker and 1 MiB a thread.
// Threads  One caller; its own for the time of a batch.
// Fails    As BlockWorker::chunk_of() and the writer given.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "core/memory/budget.hpp"
#include "core/memory/pages.hpp"
#include "export/spec/row.hpp"
#include "export/work/block_worker.hpp"

namespace spillway::exporter {

class ChunkBatch {
 public:
  using Write = std::function<Result<void>(const RowHead& head, const Place& place,
                                           std::span<const uint8_t> chunk)>;
  static Bytes room(unsigned threads);
  // `lease`: room().
  [[nodiscard]] static Result<std::unique_ptr<ChunkBatch>> create(const WorkPlan& plan,
                                                                  LargeRoom& large,
                                                                  unsigned threads, Lease lease,
                                                                  Write write);

  [[nodiscard]] Result<void> add(const RowHead& head, const Place& place,
                                 std::span<const uint8_t> payload);
  [[nodiscard]] Result<void> flush();  // all that was added is written

 private:
  struct Row {
    RowHead head;
    Place place;
    std::span<const uint8_t> payload;
    std::span<uint8_t> room;
    std::span<const uint8_t> chunk;
  };
  ChunkBatch() = default;

  std::vector<std::unique_ptr<BlockWorker>> workers_;
  Pages pages_;
  size_t used_ = 0;
  std::vector<Row> rows_;  // as many as the pages hold, at most kMostRows
  Write write_;
};

}  // namespace spillway::exporter

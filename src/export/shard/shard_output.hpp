// Sorted rows to the shards of one scale: opens, fills and closes one after the other and gives them to
// the publisher, in order.
//
// A precomputed shard can be hashed only when it is whole: beside the next ones, by other threads.
//
// Memory   room(), for life.
// Threads  One caller; its own that make chunks and hashes. The counters may be read by others.
// Fails    As ArrowShardWriter, PrecomputedShardWriter and ShardPublisher do.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <thread>

#include "core/disk/scratch.hpp"
#include "core/memory/budget.hpp"
#include "export/shard/arrow_shard.hpp"
#include "export/shard/histogram.hpp"
#include "export/shard/precomputed_shard.hpp"
#include "export/shard/shard_publisher.hpp"
#include "export/spec/row.hpp"
#include "export/work/block_worker.hpp"
#include "export/work/chunk_batch.hpp"

namespace spillway::exporter {

// Of a run, all scales together; for the progress line and the report.
struct OutputFigures {
  std::atomic<uint64_t> shards_done{0}, shards_open{0}, bytes{0};
  Histogram block_sizes{Histogram::Unit::kBytes};  // as written, by this run
  Histogram rows_a_shard{Histogram::Unit::kCount};
};

class ShardOutput {
 public:
  struct Options {
    const WorkPlan& plan;
    const Scale& scale;
    uint32_t scale_index;
    uint64_t batch_rows;
    unsigned threads;
    ShardPublisher& publisher;
    OutputFigures& figures;
    LargeRoom& large;
    std::shared_ptr<ScratchSpace> space;
    Account account;
  };
  static Bytes room(Target target, uint64_t batch_rows, unsigned threads);
  [[nodiscard]] static Result<std::unique_ptr<ShardOutput>> create(const Options& options,
                                                                   const std::stop_token& stop);

  [[nodiscard]] Result<void> add(const RowHead& head, const Place& place,
                                 std::span<const uint8_t> content);
  [[nodiscard]] Result<void> finish();  // closes the shard that is open
  // Gives to the publisher what is whole, when no more can be added.
  [[nodiscard]] Result<void> save() { return publish_hashed(0); }

 private:
  explicit ShardOutput(const Options& options) : options_(options) {}
  // A row as it stands in its shard.
  Result<void> add_made(const RowHead& head, const Place& place, std::span<const uint8_t> content);
  Result<void> add_file(const RowHead& head, const Place& place, std::span<const uint8_t> content);
  tl::unexpected<Error> changed() const;
  Result<void> begin_shard(const Place& place);
  Result<void> end_shard();
  Result<void> publish_hashed(size_t left);
  std::string name_of(const Place& place) const;
  bool is_arrow() const { return options_.plan.target == Target::kArrow; }
  void count_out(uint64_t block, uint64_t all);

  struct Hashed {
    uint64_t number = 0;
    std::string name;
    ShardFigures figures;
    Result<std::string> sha256 = std::string();
    std::jthread thread;  // which makes it
  };

  const Options options_;
  Lease lease_;
  std::unique_ptr<ArrowShardWriter> arrow_;
  std::unique_ptr<PrecomputedShardWriter> shard_;
  std::unique_ptr<ChunkBatch> chunks_;  // of precomputed
  std::optional<uint64_t> open_group_;
  std::string open_name_;
  uint64_t open_number_ = 0, rows_ = 0;
  bool skips_ = false;         // the open shard stands there already
  std::deque<Hashed> hashed_;  // at most the threads; they stay where they are
};

}  // namespace spillway::exporter

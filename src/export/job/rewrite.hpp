// Arrow shards to the same shards with another mapping: each file is read once from begin to end and
// written once, its zstd frames as they are. Nothing is sorted.
//
// This is right where every file holds the rows of the cell that its name says, in ZYX order, each
// once: what an export writes. open() looks at the names, run() at every row; at the first one that is
// elsewhere run() gives up, and the caller has to sort.
//
// A shard that an earlier run made is read again and kept only when it was made of the same rows: the
// journal has their sum, shard by shard.
//
// Memory   room() a thread: the first from `reader` and `writer`, further ones from `more` while that
//          lends.
// Threads  run(): as many as fit, a file each at a time; shards are published in the order of cells.
// Cost     About 5 us a row of 4 KB, of which SHA-256 takes half.
// Fails    As ArrowReader, ArrowShardWriter and ShardPublisher do; kUsage with `refusal` when a kept
//          shard was made of other rows.
#pragma once

#include <atomic>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "core/disk/scratch.hpp"
#include "core/memory/budget.hpp"
#include "export/shard/histogram.hpp"
#include "export/shard/shard_publisher.hpp"
#include "export/spec/input_mark.hpp"
#include "export/work/block_worker.hpp"

namespace spillway::exporter {

class ShardRewrite {
 public:
  struct Counts {  // read by others while it runs
    std::atomic<uint64_t>&blocks, &bytes, &written, &empty, &bytes_out, &shards_open, &shards_done;
  };
  struct Options {
    const WorkPlan& plan;
    const Scale& scale;
    uint32_t scale_index;
    uint64_t batch_rows;
    unsigned threads;
    Account reader, writer, more;
    std::shared_ptr<ScratchSpace> space;
    ShardPublisher& publisher;
    std::string refusal;
    Counts counts;
  };
  // None when a file of `folder` has not the name of a cell, or two have the same.
  [[nodiscard]] static Result<std::unique_ptr<ShardRewrite>> open(const std::string& folder,
                                                                  const Options& options,
                                                                  const std::stop_token& stop);
  virtual ~ShardRewrite() = default;

  // False when the rows have to be sorted; what was published until then is to be taken back.
  [[nodiscard]] virtual Result<bool> run(const std::stop_token& stop) = 0;

  // After run():
  const ContentSum& seen() const { return figures_.seen; }
  const Histogram& sizes_in() const { return figures_.sizes_in; }
  const Histogram& sizes_out() const { return figures_.sizes_out; }
  const Histogram& rows_a_shard() const { return figures_.rows_a_shard; }

 protected:
  struct Figures {
    ContentSum seen;
    Histogram sizes_in{Histogram::Unit::kBytes}, sizes_out{Histogram::Unit::kBytes},
        rows_a_shard{Histogram::Unit::kCount};
  };
  Figures figures_;
};

}  // namespace spillway::exporter

// What a run of an export leaves: shards through their publisher, rejects, info, manifest, report;
// and the counts that must balance.
//
// Threads  One; counts and figures may be read by others meanwhile.
// Fails    kIo, kDiskFull; kUsage when the folder holds shards of another input; kInternal when the
//          counts do not balance.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/file/output.hpp"
#include "export/job/export_run.hpp"
#include "export/job/manifest.hpp"
#include "export/shard/histogram.hpp"
#include "export/shard/shard_output.hpp"
#include "export/shard/shard_publisher.hpp"
#include "export/spec/input_mark.hpp"

namespace spillway::exporter {

struct ExportCounts {
  std::atomic<uint64_t> written{0}, empty{0}, rejected{0}, duplicates{0};
  std::atomic<uint64_t> missing{0};                        // chunks or shards of the source
  std::atomic<uint64_t> not_made{0};                       // written: of files that stood there
  std::atomic<uint64_t> merged{0};                         // rows taken from the sort
  std::atomic<uint64_t> rewritten{0}, rewritten_bytes{0};  // blocks that were not sorted
  std::atomic<uint64_t> blocks_before{0};                  // of the scales that are done
  uint64_t blocks_in() const { return rewritten + blocks_before; }
};

class ExportOutput {
 public:
  explicit ExportOutput(const ExportRun& run) : run_(run) {}

  // Under which a journal has the mark of all blocks read. Arrow's had another meaning (over zstd frames)
  // while it was called "content".
  static const char* mark_name(Target target) {
    return target == Target::kArrow ? "blocks" : "content";
  }
  // Finds what an earlier run of the same configuration published.
  [[nodiscard]] Result<void> open();
  ShardPublisher& publisher() { return *publisher_; }
  bool has_shards() const { return publisher_ && publisher_->shards() > 0; }
  // Takes back what was published and begins anew.
  [[nodiscard]] Result<void> start_over();

  // Shards of one input and shards of another must never stand side by side.
  [[nodiscard]] Result<void> same_input(const std::string& what, const std::string& value,
                                        const char* how);
  std::string other_input(const char* how) const;

  // The volume's own info: the given one, without our keys, with what the chunks are.
  [[nodiscard]] Result<void> write_info() const;
  [[nodiscard]] Result<void> write_reject(const RowHead& head, std::span<const uint8_t> reason);
  // Of the first scale, when it is done: the others may be built.
  uint64_t blocks_of_source() const {
    return scales_.empty() ? counts.blocks_in() : scales_.front().blocks_in;
  }
  void end_scale(const ScaleSummary& scale) { scales_.push_back(scale); }

  // Everything but the shards, the manifest last.
  [[nodiscard]] Result<void> finish();
  // The reasons alone, for a run that fails.
  [[nodiscard]] Result<void> keep_rejects();
  void close() { publisher_.reset(); }
  void describe(Report& report) const;
  ExportSummary summary() const;

  ExportCounts counts;
  OutputFigures figures;
  Histogram sizes_in{Histogram::Unit::kBytes};
  ContentSum content;  // of the first scale's blocks
  uint64_t sort_runs = 0;

 private:
  Manifest manifest() const;
  [[nodiscard]] Result<void> check_balance() const;
  [[nodiscard]] Result<void> show_pictures() const;

  const ExportRun& run_;
  std::unique_ptr<ShardPublisher> publisher_;
  std::unique_ptr<Output> rejects_;
  std::vector<ScaleSummary> scales_;  // done
};

}  // namespace spillway::exporter

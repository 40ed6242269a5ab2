// One scale of an export: its blocks into sorted rows, the rows into shards, and on the way the parts
// of the next scale.
//
// Threads  One caller, who may read blocks() and the like from others meanwhile.
// Fails    As its source, the workers and ShardOutput do; kUsage when the spec does not allow the
//          scale; kCancelled.
#pragma once

#include <memory>
#include <optional>
#include <stop_token>

#include "core/mutex.hpp"
#include "core/records/external_sort.hpp"
#include "export/job/export_output.hpp"
#include "export/job/export_run.hpp"
#include "export/shard/shard_output.hpp"
#include "export/source/downscale.hpp"

namespace spillway::exporter {

// Of the next scale, sorted by where they belong.
struct ScaleParts {
  std::unique_ptr<ExternalSort> sort;
  std::unique_ptr<PartFile> file;
};

class ScaleRun {
 public:
  // Looks at what the scale needs; nothing is read yet.
  [[nodiscard]] static Result<std::unique_ptr<ScaleRun>> plan(const ExportRun& run, uint32_t scale);
  bool builds_next() const { return builds_next_; }

  // `parts`: of this scale, when it is built from the one before.
  [[nodiscard]] Result<void> open(ScaleParts parts);
  // The first of the source is read, and kept for run(): it is what it should be.
  [[nodiscard]] Result<void> read_first();
  // Shards to the same shards with another mapping, each file by itself. False when the source is none
  // that can be rewritten so, or the place in it of each block makes a difference.
  [[nodiscard]] Result<bool> rewrite(ExportOutput& output);
  // Blocks in to shards written; returns the parts of the next scale.
  [[nodiscard]] Result<ScaleParts> run(ExportOutput& output);
  // After a failure: what is whole is published. The failure is the one to tell.
  void save(ExportOutput& output);

  // For the progress line.
  bool is_writing() const { return writing_; }
  uint64_t blocks() const { return source_ ? source_->blocks() : 0; }
  uint64_t bytes_read() const { return source_ ? source_->bytes_read() : 0; }
  uint64_t bytes_total() const { return source_ ? source_->bytes_total() : 0; }

 private:
  ScaleRun(const ExportRun& run, uint32_t scale) : run_(run), scale_(scale) {}
  ExternalSortOptions sort_options() const;
  std::optional<uint64_t> file_of_name(const std::string& name) const;
  [[nodiscard]] Result<void> look_at_finished(ExportOutput& output);
  [[nodiscard]] Result<void> make_workers();
  [[nodiscard]] Result<void> ingest();
  [[nodiscard]] Result<void> write(ExportOutput& output);
  [[nodiscard]] Result<void> write_rows(ExportOutput& output);
  [[nodiscard]] Result<void> check_input(ExportOutput& output) const;
  const Scale& scale() const { return run_.spec.scales[scale_]; }

  const ExportRun& run_;
  const uint32_t scale_;
  bool is_built_ = false;  // from the scale before
  bool builds_next_ = false;
  WorkPlan plan_;
  LeasedList<uint64_t> finished_;  // files of earlier runs
  ScaleStep step_in_, step_out_;   // to this scale, and to the next
  std::unique_ptr<BlockSource> source_;
  std::optional<BlockUnit> first_;
  std::unique_ptr<ExternalSort> sort_;
  std::unique_ptr<LargeRoom> large_;
  ScaleParts next_;
  struct Seat {
    std::unique_ptr<BlockWorker> worker;
    size_t input;
  };
  Mutex seats_mutex_;
  std::vector<Seat> seats_ GUARDED_BY(seats_mutex_);  // those that are free
  ContentSum seen_;                                   // of this scale's blocks
  std::unique_ptr<ShardOutput> shards_;               // while writing
  std::atomic<bool> writing_{false};
};

}  // namespace spillway::exporter

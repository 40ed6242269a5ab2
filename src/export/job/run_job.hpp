// The export's own header: what its parts share. run.cpp begins, goes scale by scale and ends,
// run_blocks.cpp brings blocks into order and writes them, run_results.cpp says what came of it.
// Everybody else includes export.hpp.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "core/disk/durable_file.hpp"
#include "core/disk/scratch.hpp"
#include "core/disk/work_folder.hpp"
#include "core/job/progress.hpp"
#include "core/job/report.hpp"
#include "core/memory/budget.hpp"
#include "core/mutex.hpp"
#include "core/records/external_sort.hpp"
#include "export/job/export.hpp"
#include "export/job/manifest.hpp"
#include "export/job/memory_plan.hpp"
#include "export/job/rewrite.hpp"
#include "export/job/source.hpp"
#include "export/shard/histogram.hpp"
#include "export/shard/shard_output.hpp"
#include "export/shard/shard_publisher.hpp"
#include "export/source/downscale.hpp"
#include "export/spec/input_mark.hpp"
#include "export/work/slice_pictures.hpp"

namespace spillway::exporter {

inline bool wants_page(const ExportOptions& options) {
  return options.job.report.ends_with(".html");
}

// One run. Threads: run() by one; the progress line reads the counts beside it.
class ExportJob {
 public:
  ExportJob(const ExportOptions& options, WorkFolder& work) : options_(options), work_(work) {}
  Result<ExportSummary> run(std::stop_token stop);

 private:
  // run.cpp
  Result<void> prepare(const std::stop_token& stop);
  Result<void> plan_scale(uint32_t scale);
  Result<std::unique_ptr<BlockSource>> open_scale();
  Result<void> run_scale(uint32_t scale, const std::stop_token& stop);
  Result<void> open_publisher();
  Result<void> same_input(const std::string& what, const std::string& value, const char* how);
  std::string other_input(const char* how) const;
  Result<void> same_glance() const;

  // run_blocks.cpp
  Result<bool> rewrite(const std::stop_token& stop);
  ExternalSortOptions sort_options() const;
  Result<void> ingest(std::stop_token stop);
  Result<void> write(const std::stop_token& stop);
  Result<void> write_reject(const RowHead& head, std::span<const uint8_t> reason);

  // run_results.cpp
  uint64_t blocks_in() const;
  ProgressSnapshot snapshot();
  Result<void> write_info();
  Manifest manifest() const;
  void describe();
  Result<void> show_pictures();
  Result<ExportSummary> finish();

  const ExportOptions& options_;
  WorkFolder& work_;
  VolumeSpec spec_;
  std::optional<Source> origin_;
  uint32_t first_scale_ = 0, end_scale_ = 0;  // those that are written
  uint32_t scale_ = 0;                        // the one in work
  bool is_built_ = false;                     // from the scale before
  bool builds_next_ = false;
  WorkPlan plan_;
  MemoryPlan memory_;
  uint64_t batch_rows_ = 1;
  std::string config_;
  std::string glance_;
  ContentSum content_, seen_;  // of the first scale's blocks, of those of the scale in work
  std::unique_ptr<Budget> budget_;
  Account read_account_, fetch_account_, work_account_, sort_account_, publish_account_;
  std::array<Account, 2> part_accounts_;  // of the parts of even and odd scales
  std::shared_ptr<ScratchSpace> space_;
  std::unique_ptr<Mapping> mapping_, identity_;
  Mutex source_mutex_;                   // source_, beside the progress line
  std::unique_ptr<BlockSource> source_;  // of the scale in work
  std::unique_ptr<ExternalSort> parts_;  // of the next scale
  std::unique_ptr<PartFile> part_file_;
  ScaleStep step_in_, step_out_;  // to the scale in work, and to the next
  std::unique_ptr<ExternalSort> sort_;
  std::unique_ptr<LargeRoom> large_;
  std::unique_ptr<ShardPublisher> publisher_;
  std::unique_ptr<Report> report_;
  std::unique_ptr<Progress> progress_;
  struct Rates {
    Rate blocks, bytes;
  };
  std::array<Rates, 2> rates_;  // while reading, while writing
  std::unique_ptr<SlicePictures> pictures_;
  struct {
    std::atomic<uint64_t> written{0}, empty{0}, rejected{0}, duplicates{0}, merged{0};
    std::atomic<uint64_t> rewritten{0}, rewritten_bytes{0};  // blocks that were not sorted
  } counts_;
  std::atomic<uint64_t> blocks_before_{0};  // of the scales that are done
  uint64_t sort_runs_ = 0;
  std::vector<ScaleSummary> scales_;  // done
  std::atomic<bool> writing_{false};

  // While writing:
  std::unique_ptr<ShardOutput> output_;
  OutputFigures output_figures_;
  std::unique_ptr<DurableFile> rejects_;
  Histogram sizes_in_{Histogram::Unit::kBytes};
};

}  // namespace spillway::exporter

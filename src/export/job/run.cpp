#include <fmt/format.h>

#include "core/disk/work_folder.hpp"
#include "core/file/folders.hpp"
#include "core/job/outputs.hpp"
#include "core/job/runtime.hpp"
#include "export/job/checks.hpp"
#include "export/job/earlier_run.hpp"
#include "export/job/export.hpp"
#include "export/job/export_output.hpp"
#include "export/job/export_run.hpp"
#include "export/job/old_results.hpp"
#include "export/job/scale_run.hpp"
#include "export/source/precomputed_source.hpp"

namespace spillway::exporter {
namespace {

// One run. Threads: run() by one; the progress line reads the counts beside it.
class ExportJob {
 public:
  ExportJob(const ExportOptions& options, WorkFolder& work)
      : work_(work), run_{.options = options, .work_folder = work.path()}, output_(run_) {}

  Result<ExportSummary> run(std::stop_token stop);
  bool has_shards() const { return output_.has_shards(); }
  bool has_begun() const { return has_begun_; }  // what stood there before may be gone

 private:
  Result<void> prepare(std::stop_token stop);
  Result<bool> downscales() const;
  Result<void> open_accounts();
  Result<void> load_mapping();
  Result<void> work();
  Result<void> run_scales();
  Result<void> begin_output(ScaleRun& first);
  Result<void> refuse_nothing();
  // Until the journal is open: what an earlier run left.
  bool can_resume() const { return run_.config.empty() ? was_begun_ : output_.has_shards(); }
  ProgressSnapshot snapshot();

  WorkFolder& work_;
  ExportRun run_;
  ExportOutput output_;
  bool was_begun_ = false, has_begun_ = false;
  Mutex scale_mutex_;                                         // beside the progress line
  std::unique_ptr<ScaleRun> scale_ GUARDED_BY(scale_mutex_);  // the one in work
  struct Rates {
    Rate blocks, bytes;
  };
  std::array<Rates, 2> rates_;  // while reading, while writing
};

// Whether a scale has to be built from the one before; all are looked at before anything is done.
Result<bool> ExportJob::downscales() const {
  bool builds = false;
  for (uint32_t s = run_.end_scale; s-- > run_.first_scale;)
    builds |= TRY(ScaleRun::plan(run_, s))->builds_next();
  return builds;
}

Result<void> ExportJob::prepare(std::stop_token stop) {
  const ExportOptions& options = run_.options;
  run_.spec = TRY(read_spec(options, stop));
  run_.first_scale = first_scale(options);
  run_.end_scale = end_scale(options, run_.spec);
  run_.batch_rows = options.batch_size.value_or(run_.spec.batch_size.value_or(1));
  run_.origin.emplace(TRY(Source::look(options, stop)));
  run_.plan = TRY(plan_export(options, *run_.origin, run_.batch_rows, TRY(downscales())));
  run_.runtime = TRY(JobRuntime::start({.command = "export",
                                        .job = options.job,
                                        .plan = run_.plan.memory,
                                        .scratch_folder = run_.work_folder,
                                        .own_report = options.out + "/report.json",
                                        .stop = std::move(stop),
                                        .keeps = "the shards that are finished"}));
  was_begun_ = options.resume != Resume::kNever && TRY(work_.has_anchor());
  return open_accounts();
}

Result<void> ExportJob::open_accounts() {
  JobRuntime& runtime = *run_.runtime;
  run_.read = TRY(runtime.open("read"));
  run_.work = TRY(runtime.open("work"));
  run_.sort = TRY(runtime.open("sort"));
  run_.publish = TRY(runtime.open("publish"));
  const MemoryPlan& plan = runtime.plan();
  if (plan.has("fetch")) run_.fetch = TRY(runtime.open("fetch"));
  if (plan.has("parts")) {
    for (Account& account : run_.parts) account = TRY(runtime.open("parts"));
  }
  if (plan.has("pictures"))
    run_.pictures =
        SlicePictures::create({.size = run_.spec.scales[run_.first_scale].size,
                               .opens_frames = run_.origin->kind() == SourceKind::kArrowShards},
                              TRY(runtime.open("pictures")));
  return {};
}

Result<void> ExportJob::load_mapping() {
  JobRuntime& runtime = *run_.runtime;
  Account sort = TRY(runtime.open("mapping"));
  Account table = TRY(runtime.open("table"));
  run_.mapping = TRY(Mapping::load({.path = run_.options.mapping,
                                    .format = run_.options.mapping_format,
                                    .sort = sort,
                                    .table = table,
                                    .space = runtime.space(),
                                    .most_table_bytes = run_.plan.most_table_bytes},
                                   runtime.stop()));
  run_.identity =
      TRY(Mapping::load({.sort = sort, .table = table, .space = runtime.space()}, runtime.stop()));
  runtime.budget().retire(sort);
  return {};
}

Result<ExportSummary> ExportJob::run(std::stop_token stop) {
  TRY(prepare(std::move(stop)));
  TRY(run_.runtime->run({.snapshot = [this] { return snapshot(); },
                         .work = [this] { return work(); },
                         .can_resume = [this] { return can_resume(); },
                         .describe = [this](Report& report) { output_.describe(report); }}));
  ExportSummary summary = output_.summary();
  for (uint32_t s = run_.end_scale; s < run_.spec.scales.size(); ++s)
    summary.scales_left += run_.origin->has_scale(run_.spec, s).value_or(false) ? 1 : 0;
  output_.close();
  TRY(work_.remove());
  return summary;
}

Result<void> ExportJob::work() {
  TRY(load_mapping());
  run_.config = configuration(run_.options, run_.spec, run_.batch_rows, run_.mapping->sha256());
  run_.glance = TRY(glance_at(run_.options.source));
  if (auto done = run_scales(); !done) {
    ScaleRun* now = nullptr;
    {
      MutexLock lock(scale_mutex_);
      now = scale_.get();
    }
    if (now != nullptr)
      now->save(output_);  // on this thread alone, the lock is free for the others
    return done;
  }
  {
    MutexLock lock(scale_mutex_);
    scale_.reset();
  }
  TRY(refuse_nothing());
  return output_.finish();
}

// What an earlier run left goes when the inputs are open and are what they should be.
Result<void> ExportJob::begin_output(ScaleRun& first) {
  const bool anew = run_.options.resume == Resume::kNever;
  if (anew && run_.origin->kind() == SourceKind::kBlockStream) TRY(first.read_first());
  has_begun_ = true;
  if (anew) {
    TRY(remove_old_results(run_.options.out));
    TRY(work_.clear());
  }
  return output_.open();
}

// Blocks in to shards written, scale by scale.
Result<void> ExportJob::run_scales() {
  ScaleParts parts;
  for (uint32_t s = run_.first_scale; s < run_.end_scale; ++s) {
    auto scale = TRY(ScaleRun::plan(run_, s));
    TRY(scale->open(std::move(parts)));
    if (s == run_.first_scale) TRY(begin_output(*scale));
    ScaleRun* const now = scale.get();
    {
      MutexLock lock(scale_mutex_);
      scale_ = std::move(scale);
    }
    if (TRY(now->rewrite(output_))) return {};
    parts = TRY(now->run(output_));
    MutexLock lock(scale_mutex_);
    output_.counts.blocks_before += now->blocks();
    scale_.reset();
  }
  return {};
}

// An export of nothing, or of another number of blocks, is a mistake, not a result. (Blocks that are all empty are one.)
Result<void> ExportJob::refuse_nothing() {
  const ExportOptions& options = run_.options;
  const ExportCounts& counts = output_.counts;
  const std::string source = run_.source_name();
  const uint64_t blocks = output_.blocks_of_source();
  if (options.expect_blocks.value_or(blocks) != blocks)
    return fail(Code::kInvalid, fmt::format("{}: has {} blocks, --expect-blocks says {}", source,
                                            grouped(blocks), grouped(*options.expect_blocks)));
  if (counts.blocks_in() == 0) return fail(Code::kInvalid, source + ": holds no blocks");
  if (counts.rejected < counts.blocks_in()) return {};
  TRY(output_.keep_rejects());
  return fail(Code::kInvalid,
              fmt::format("{}: all {} blocks were rejected; {}/rejects.csv has the reasons", source,
                          grouped(counts.rejected), run_.options.out));
}

ProgressSnapshot ExportJob::snapshot() {
  ProgressSnapshot now;
  const ExportCounts& counts = output_.counts;
  uint64_t in = 0, bytes = 0, bytes_total = 0;
  bool writing = false;
  {
    MutexLock lock(scale_mutex_);
    in = counts.blocks_in() + (scale_ ? scale_->blocks() : 0);
    bytes = scale_ ? scale_->bytes_read() : 0;
    bytes_total = scale_ ? scale_->bytes_total() : 0;
    writing = !scale_ || scale_->is_writing();
  }
  const uint64_t rewritten = counts.rewritten, done = rewritten + counts.merged;
  run_.runtime->count(writing ? done : in);
  now.phase = writing ? "write" : "read";
  Rates& rates = rates_[writing ? 1 : 0];
  const auto blocks = rates.blocks.per_second(writing ? done : in);
  const auto per_second = rates.bytes.per_second(writing ? output_.figures.bytes.load() : bytes);
  const uint64_t open = output_.figures.shards_open, closed = output_.figures.shards_done;
  now.text = fmt::format("{} blocks in  {} written  {} blocks/s  {} MB/s  shards {} open {} done",
                         grouped(in), grouped(counts.written), rate_text(blocks),
                         rate_text(per_second, 1e6, 1), grouped(open), grouped(closed));
  if (writing && rewritten == 0 && in > 0) {
    now.fraction = static_cast<double>(done) / static_cast<double>(in);
  } else if (bytes_total > 0) {
    now.fraction =
        static_cast<double>(bytes + counts.rewritten_bytes) / static_cast<double>(bytes_total);
  }
  now.spilled = run_.runtime->space()->used();
  now.json = fmt::format(
      "\"blocks_in\":{},\"written\":{},\"blocks_per_second\":{},\"bytes_per_second\":{},"
      "\"shards_open\":{},\"shards_done\":{}",
      in, counts.written.load(), rate_json(blocks), rate_json(per_second), open, closed);
  return now;
}

// What lies where the run writes would be read and replaced, or removed, at once.
Result<void> refuse_inputs_within(const ExportOptions& options) {
  if (!TRY(is_folder(options.out))) return {};
  const std::string source = precomputed_place(options.source).value_or(options.source);
  for (const std::string& input : {source, options.spec, options.mapping}) {
    if (input.empty() || input == "-" || input.find("://") != std::string::npos) continue;
    if (TRY(is_within(input, options.out)))
      return fail(Code::kUsage,
                  fmt::format("{}: is read, and lies in --out {}, where this run writes; choose "
                              "another folder, or copy it elsewhere first",
                              input, options.out));
  }
  return {};
}

}  // namespace

Result<ExportSummary> run(const ExportOptions& options, std::stop_token stop) {
  const OutputName report{"--report", options.job.report, is_own_report, options.out};
  std::vector<std::string> own;
  for (const char* const name : {"manifest.json", "spec.json", "info", "rejects.csv", ".spillway"})
    own.push_back(options.out + "/" + name);
  TRY(check_outputs({&report, 1}, {.inputs = {options.source, options.spec, options.mapping},
                                   .own = own,
                                   .overwrite = options.job.overwrite}));
  if (options.resume == Resume::kAuto) {
    if (auto done = TRY(finished(options))) return *done;
  }
  TRY(refuse_inputs_within(options));
  const bool fresh = !TRY(exists(options.out + "/.spillway"));
  const bool had_results = TRY(exists(options.out + "/manifest.json"));
  WorkFolder work = TRY(WorkFolder::inside(options.out, "journal", "manifest.json"));
  ExportJob job(options, work);
  auto summary = job.run(std::move(stop));
  const bool has_reasons = TRY(exists(options.out + "/rejects.csv"));
  if (!summary && fresh && had_results && !job.has_begun()) {
    TRY(work.remove());  // what stands there is as it was
  } else if (!summary && fresh && !job.has_shards() &&
             !has_reasons) {  // nothing to resume: leave nothing
    TRY(remove_old_results(options.out));
    TRY(work.leave_nothing(options.out));
  }
  return summary;
}

}  // namespace spillway::exporter

#include "transform/merge/merge.hpp"

#include <fmt/format.h>

#include "core/disk/work_folder.hpp"
#include "core/file/folders.hpp"
#include "core/job/outputs.hpp"
#include "core/job/runtime.hpp"
#include "core/json.hpp"
#include "format/parquet/parquet_footer.hpp"
#include "transform/job/earlier_run.hpp"
#include "transform/job/run_texts.hpp"
#include "transform/merge/merge_journal.hpp"
#include "transform/merge/merge_side.hpp"
#include "transform/records/name_stream.hpp"
#include "transform/records/product_table.hpp"

namespace spillway::transform {
namespace {

struct MergePlan {
  MemoryPlan memory;
};

MergePlan plan_merge(const MergeOptions& options, const std::vector<bool>& ordered, Bytes memory) {
  MergePlan plan;
  plan.memory.reserve(std::max(20_MiB, memory / 24), "code, libraries, stacks");
  for (size_t i = 0; i < ordered.size(); ++i) {
    plan.memory.account({fmt::format("read {}", i + 1), 10, MergeSide::cost(ordered[i])},
                        options.inputs[i] + (ordered[i] ? "" : ": read and sorted"));
  }
  plan.memory.account({"write", 20, format::ParquetWriter::cost(size_t{24})},
                      "one column of one row group");
  return plan;
}

class Merge {
 public:
  explicit Merge(const MergeOptions& options) : options_(options) {}
  ~Merge() {
    if (!work_) return;
    const bool keeps = (journal_ ? journal_->has_entries() : was_begun_) && !is_over_;
    journal_.reset();
    if (keeps) return;
    const auto ignored = work_->remove();  // the next run clears what stays
    (void)ignored;
  }

  Result<MergeSummary> run(std::stop_token stop) {
    TRY(prepare(std::move(stop)));
    if (was_finished_) return MergeSummary{rows_in_, rows_out_, Bytes(0), true};
    const auto done = runtime_->run({.snapshot = [this] { return snapshot(); },
                                     .work = [this] { return work(); },
                                     .can_resume = [this] { return journal_->has_entries(); },
                                     .describe = [this](Report& report) { describe(report); }});
    // What is a bug, or the content of a file, would only be met again.
    is_over_ = done.has_value() || done.error().code() == Code::kInternal ||
               done.error().code() == Code::kInvalid;
    if (!done) return fail(done.error().clone());
    return MergeSummary{rows_in_, rows_out_, runtime_->report().peak(), false};
  }

 private:
  Result<void> prepare(std::stop_token stop) {
    TRY(must_be_parquet_name(options_.out));
    TRY(look_at_inputs());
    const MergePlan plan = TRY(plan_or_refuse<MergePlan>(
        options_.job.memory, [this](Bytes memory) -> std::optional<MergePlan> {
          MergePlan made = plan_merge(options_, ordered_, memory);
          if (made.memory.total() > memory) return std::nullopt;
          return made;
        }));
    if (!TRY(is_folder(folder_of(options_.out))))
      return fail(Code::kUsage, fmt::format("--out {}: there is no folder {}", options_.out,
                                            folder_of(options_.out)));
    work_.emplace(TRY(WorkFolder::beside(options_.out + ".merge", "journal")));
    was_begun_ = TRY(work_->has_anchor());  // another merge's, until it is known whose
    TRY(look_at_outputs());
    if (was_finished_) return {};
    runtime_ = TRY(JobRuntime::start({.command = "transform merge",
                                      .job = options_.job,
                                      .plan = plan.memory,
                                      .scratch_folder = work_->path(),
                                      .own_report = report_beside(options_.out),
                                      .stop = std::move(stop),
                                      .keeps = "the last sorted run"}));
    write_ = TRY(runtime_->open("write"));
    return {};
  }

  // What is merged, and which of it is in key order.
  Result<void> look_at_inputs() {
    const auto budget = Budget::create(options_.job.memory);
    const Account look = TRY(budget->open({"look", 0, Bytes(0), std::nullopt}));
    OrderedJson inputs = OrderedJson::array();
    for (const std::string& path : options_.inputs) {
      if (!format::RowReader::is_parquet(path))
        return fail(Code::kUsage, path + ": merge wants Parquet files");
      ordered_.push_back(TRY(is_key_ordered(path, look)));
      const std::string identity = TRY(open_source(path))->identity();
      inputs.push_back({path, identity});
    }
    configuration_ =
        OrderedJson{{"format", 2}, {"version", SPILLWAY_VERSION}, {"merge", inputs}}.dump();
    if (!options_.resume || options_.job.overwrite) return {};
    const OrderedJson before = finished_report(options_.out, configuration_);
    if (before.is_null() || !TRY(is_file(options_.out))) return {};
    const auto seal = seal_of(options_.out, look);
    was_finished_ = seal && !seal->empty() && before.value("checksum", OrderedJson()) == *seal;
    rows_in_ = before.value("rows_in", uint64_t{0});
    rows_out_ = before.value("unique", uint64_t{0});
    return {};
  }

  // The journal says whose output it is that a run gave its name just before it was killed.
  Result<void> look_at_outputs() {
    if (!options_.resume) {
      TRY(check_names(false));
      TRY(work_->clear());
      was_begun_ = false;
    }
    was_finished_ = was_finished_ && !was_begun_;
    if (was_finished_) return {};
    rows_in_ = rows_out_ = 0;
    journal_.emplace(TRY(MergeJournal::open(*work_, configuration_, options_.inputs.size())));
    resumed_ = journal_->has_entries();
    TRY(check_names(journal_->has_begun_output()));
    standing_ = TRY(StandingFile::look(options_.out));
    return {};
  }

  Result<void> check_names(bool is_marked) const {
    const auto is_own = [&](const std::string&) {
      return is_marked || is_result_of(options_.out, configuration_);
    };
    const std::vector<OutputName> outputs{
        {"--out", options_.out, is_own},
        {"--report", options_.job.report, is_own_report},
        {"the report", report_beside(options_.out), is_own_report}};
    return check_outputs(
        outputs,
        {.inputs = options_.inputs, .own = {work_->path()}, .overwrite = options_.job.overwrite});
  }

  Result<void> work() {
    if (resumed_) runtime_->note(fmt::format("resuming {} from {}", options_.out, work_->path()));
    TRY(open_sides());
    phase_ = 1;
    TRY(write());
    checksum_ = TRY(seal_of(options_.out, write_));
    return runtime_->finish_report();
  }

  Result<void> open_sides() {
    for (size_t i = 0; i < options_.inputs.size(); ++i) {
      MergeSide::Options side;
      side.is_ordered = ordered_[i];
      side.account = TRY(runtime_->open(fmt::format("read {}", i + 1)));
      side.space = runtime_->space();
      side.stop = runtime_->stop();
      side.runs_folder = MergeJournal::runs_folder(*work_, i);
      side.sorted = journal_->sorted(i);
      side.on_run = [this, i](const DurableRun& run, uint64_t rows) {
        return journal_->add_run(i, run, rows);
      };
      side.on_sorted = [this, i](uint64_t rows) { return journal_->finish_file(i, rows); };
      side.rows_read = &rows_sorted_;
      sides_.push_back(TRY(MergeSide::open(options_.inputs[i], std::move(side))));
    }
    columns_ = TRY(joined_columns(sides_));
    for (const auto& side : sides_) TRY(side->start());
    return {};
  }

  ProgressSnapshot snapshot() {
    const char* const phases[] = {"sort", "merge", "finish"};
    ProgressSnapshot now;
    now.phase = phases[phase_];
    now.text = phase_ == 0
                   ? fmt::format("{} rows read", grouped(rows_sorted_))
                   : fmt::format("{} rows in  {} out", grouped(rows_in_), grouped(rows_out_));
    now.spilled = runtime_->space()->used();
    now.json = fmt::format("\"rows_in\":{},\"rows_out\":{}", rows_in_.load(), rows_out_.load());
    return now;
  }

  void describe(Report& report) const {
    report.fact("configuration", configuration_);
    report.fact("rows_in", fmt::format("{}", rows_in_.load()));
    report.fact("unique", fmt::format("{}", rows_out_.load()));
    report.fact("duplicates", fmt::format("{}", rows_in_ - rows_out_));
    report.fact("resumed", resumed_ ? "true" : "false");
    if (!checksum_.empty()) report.fact("checksum", Json(checksum_).dump());
  }

  Result<void> write() {
    format::ParquetOptions table;
    table.columns = table_columns(columns_);
    table.partial = work_->path() + "/products.partial";
    table.space = runtime_->space();
    std::vector<std::vector<uint8_t>> absent;
    for (const auto& side : sides_) absent.push_back(absent_in(*side, columns_));
    auto writer = TRY(format::ParquetWriter::create(options_.out, std::move(table), write_));
    std::vector<bool> open(sides_.size());
    for (size_t i = 0; i < sides_.size(); ++i) open[i] = TRY(advance(*sides_[i]));
    std::string last;
    while (true) {
      size_t least = sides_.size();
      for (size_t i = 0; i < sides_.size(); ++i) {
        if (open[i] && (least == sides_.size() || sides_[i]->name() < sides_[least]->name()))
          least = i;
      }
      if (least == sides_.size()) break;
      MergeSide& side = *sides_[least];
      if (side.name() != last) {
        last = side.name();
        writer->text(side.text());
        format::ValueReader values(side.values());
        put_values(*writer, columns_, values, absent[least]);
        TRY(writer->end_row());
        ++rows_out_;
      }
      open[least] = TRY(advance(side));
      if (runtime_->stop().stop_requested()) return fail(Code::kCancelled, "stopped");
    }
    OrderedJson counts = {{"rows_in", rows_in_.load()},
                          {"unique", rows_out_.load()},
                          {"duplicates", rows_in_ - rows_out_}};
    writer->metadata("spillway.version", SPILLWAY_VERSION);
    writer->metadata("spillway.order", "key");
    writer->metadata("spillway.key", "xxh3-128/1");
    writer->metadata("spillway.options", OrderedJson{{"merge", options_.inputs.size()}}.dump());
    writer->metadata("spillway.counts", counts.dump());
    TRY(standing_.must_be_as_it_was());
    TRY(journal_->begin_output());
    phase_ = 2;  // the last row group, the disk, and all of it read back
    return std::move(*writer).close();
  }
  Result<bool> advance(MergeSide& side) {
    const bool more = TRY(side.next());
    rows_in_ += more ? 1 : 0;
    return more;
  }

  const MergeOptions& options_;
  std::vector<bool> ordered_;
  std::string configuration_;
  std::optional<WorkFolder> work_;
  std::optional<MergeJournal> journal_;
  // An earlier run left something (until the journal is open: some merge's); this one goes on from it;
  // an earlier run did it all; there is nothing to go on from any more.
  bool was_begun_ = false, resumed_ = false, was_finished_ = false, is_over_ = false;
  std::string checksum_;
  StandingFile standing_;  // at --out
  std::unique_ptr<JobRuntime> runtime_;
  Account write_;
  std::vector<std::unique_ptr<MergeSide>> sides_;
  std::vector<format::ColumnSpec> columns_;  // of all sides, smiles aside
  std::atomic<int> phase_{0};                // 0 sort, 1 merge, 2 finish
  std::atomic<uint64_t> rows_sorted_{0}, rows_in_{0}, rows_out_{0};
};

}  // namespace

Result<MergeSummary> merge(const MergeOptions& options, std::stop_token stop) {
  Merge job(options);
  return job.run(std::move(stop));
}

}  // namespace spillway::transform

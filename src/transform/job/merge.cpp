#include "transform/job/merge.hpp"

#include <fmt/format.h>

#include "core/disk/work_folder.hpp"
#include "core/file/output.hpp"
#include "core/job/outputs.hpp"
#include "core/job/runtime.hpp"
#include "core/json.hpp"
#include "format/parquet/parquet_footer.hpp"
#include "transform/job/merge_side.hpp"
#include "transform/job/run_texts.hpp"
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
    if (!work_ || keep_work_) return;
    const auto ignored = work_->remove();  // the next run clears what stays
    (void)ignored;
  }

  Result<MergeSummary> run(std::stop_token stop) {
    TRY(prepare(std::move(stop)));
    TRY(runtime_->run({.snapshot = [this] { return snapshot(); },
                       .work = [this]() -> Result<void> {
                         TRY(open_sides());
                         TRY(write());
                         return runtime_->finish_report();
                       },
                       .describe = [this](Report& report) { describe(report); }}));
    keep_work_ = false;
    return MergeSummary{rows_in_, rows_out_, runtime_->report().peak()};
  }

 private:
  Result<void> prepare(std::stop_token stop) {
    TRY(look_at_inputs());
    const MergePlan plan = TRY(plan_or_refuse<MergePlan>(
        options_.job.memory, [this](Bytes memory) -> std::optional<MergePlan> {
          MergePlan made = plan_merge(options_, ordered_, memory);
          if (made.memory.total() > memory) return std::nullopt;
          return made;
        }));
    work_.emplace(TRY(WorkFolder::beside(options_.out + ".merge", "output.json")));
    TRY(look_at_outputs());
    runtime_ = TRY(JobRuntime::start({.command = "transform merge",
                                      .job = options_.job,
                                      .plan = plan.memory,
                                      .scratch_folder = work_->path(),
                                      .own_report = report_beside(options_.out),
                                      .stop = std::move(stop)}));
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
    configuration_ = OrderedJson{{"version", SPILLWAY_VERSION}, {"merge", inputs}}.dump();
    return {};
  }

  // The anchor says whose output it is that a run gave its name just before it was killed.
  Result<void> look_at_outputs() {
    keep_work_ = TRY(work_->has_anchor());  // another merge's, until it is known whose
    bool is_marked = false;
    if (keep_work_) is_marked = TRY(read_small_file(work_->anchor(), 1 << 20)) == configuration_;
    const auto is_own = [&](const std::string&) {
      return is_marked || is_result_of(options_.out, configuration_);
    };
    const std::vector<OutputName> outputs{
        {"--out", options_.out, is_own},
        {"--report", options_.job.report, is_own_report},
        {"the report", report_beside(options_.out), is_own_report}};
    TRY(check_outputs(
        outputs,
        {.inputs = options_.inputs, .own = {work_->path()}, .overwrite = options_.job.overwrite}));
    standing_ = TRY(StandingFile::look(options_.out));
    if (!is_marked) TRY(work_->clear());
    keep_work_ = is_marked;
    return {};
  }

  Result<void> open_sides() {
    for (size_t i = 0; i < options_.inputs.size(); ++i) {
      const Account account = TRY(runtime_->open(fmt::format("read {}", i + 1)));
      sides_.push_back(TRY(MergeSide::open(options_.inputs[i], ordered_[i], account,
                                           runtime_->space(), runtime_->stop())));
    }
    columns_ = TRY(joined_columns(sides_));
    return {};
  }

  ProgressSnapshot snapshot() {
    ProgressSnapshot now;
    now.phase = "merge";
    now.text = fmt::format("{} rows in  {} out", grouped(rows_in_), grouped(rows_out_));
    now.spilled = runtime_->space()->used();
    now.json = fmt::format("\"rows_in\":{},\"rows_out\":{}", rows_in_.load(), rows_out_.load());
    return now;
  }

  void describe(Report& report) const {
    report.fact("configuration", configuration_);
    report.fact("rows_in", fmt::format("{}", rows_in_.load()));
    report.fact("unique", fmt::format("{}", rows_out_.load()));
    report.fact("duplicates", fmt::format("{}", rows_in_ - rows_out_));
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
    TRY(write_durably(work_->anchor(), configuration_));
    keep_work_ = true;
    TRY(standing_.must_be_as_it_was());
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
  bool keep_work_ = false;  // the output may have its name, and its report be missing
  StandingFile standing_;   // at --out
  std::unique_ptr<JobRuntime> runtime_;
  Account write_;
  std::vector<std::unique_ptr<MergeSide>> sides_;
  std::vector<format::ColumnSpec> columns_;  // of all sides, smiles aside
  std::atomic<uint64_t> rows_in_{0}, rows_out_{0};
};

}  // namespace

Result<MergeSummary> merge(const MergeOptions& options, std::stop_token stop) {
  Merge job(options);
  return job.run(std::move(stop));
}

}  // namespace spillway::transform

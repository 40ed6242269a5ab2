#include "transform/job/merge.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "core/disk/work_folder.hpp"
#include "core/file/output.hpp"
#include "core/job/outputs.hpp"
#include "core/job/runtime.hpp"
#include "format/parquet/parquet_footer.hpp"
#include "format/rows/row_reader.hpp"
#include "transform/job/run_texts.hpp"
#include "transform/records/name_stream.hpp"
#include "transform/records/product_table.hpp"

namespace spillway::transform {
namespace {

using Json = nlohmann::ordered_json;
constexpr size_t kFrame = size_t{256} << 10;

ExternalSortOptions sort_options() {
  ExternalSortOptions options;
  options.memory = 8_MiB;
  options.frame_bytes = kFrame;
  return options;
}

Bytes side_cost(bool ordered) {
  return format::RowReader::cost() + (ordered ? Bytes(0) : ExternalSort::floor(sort_options()));
}

// Rows of one file in key order: a name (record.hpp), then the row's number when it was sorted, then
// its carried values.
class Side {
 public:
  static Result<std::unique_ptr<Side>> open(const std::string& path, bool ordered, Account account,
                                            std::shared_ptr<ScratchSpace> space,
                                            const std::stop_token& stop) {
    std::unique_ptr<Side> side(new Side(path, ordered));
    format::RowOptions options;
    options.carry_all = true;
    side->reader_ = TRY(format::RowReader::open(path, options, account));
    side->columns_ = side->reader_->carried();
    if (!ordered) TRY(side->sort(std::move(account), std::move(space), stop));
    return side;
  }

  // The next row into name() and values(); false at the end.
  Result<bool> next() {
    if (!ordered_) {
      const auto record = TRY(stream_->next());
      if (!record) return false;
      const auto* const from = reinterpret_cast<const char*>(record->data());
      const size_t end = std::string_view(from, record->size()).find('\0', 17) + 1;
      name_.assign(from, end);
      values_.assign(from + end + sizeof(uint64_t), record->size() - end - sizeof(uint64_t));
      ++rows_;
      return true;
    }
    format::InputRow row;
    if (!TRY(reader_->next(row))) return false;
    ++rows_;
    TRY(check(row));
    const Record input = maker_.input(*row.text);
    const std::string last = std::exchange(
        name_, std::string(reinterpret_cast<const char*>(input.data()), input.size() - 1));
    if (!last.empty() && last > name_) {  // char_traits<char> compares as unsigned
      return fail(
          Code::kCorrupt,
          fmt::format("{}: says that it is ordered by key, and row {} is not", path_, rows_));
    }
    values_ = row.carried;
    return true;
  }
  const std::string& name() const { return name_; }
  std::string_view text() const { return std::string_view(name_).substr(17, name_.size() - 18); }
  const std::string& values() const { return values_; }
  const std::vector<format::ColumnSpec>& columns() const { return columns_; }
  const std::string& path() const { return path_; }
  uint64_t rows() const { return rows_; }

 private:
  Side(std::string path, bool ordered)
      : path_(std::move(path)), ordered_(ordered), maker_(RecordShape{}) {}
  Result<void> check(const format::InputRow& row) const {
    if (!row.text)
      return fail(Code::kInvalid, fmt::format("{}: row {} has no smiles", path_, rows_));
    if (!row.problem.empty())
      return fail(Code::kTooLarge, fmt::format("{}: row {}: {}", path_, rows_, row.problem));
    return {};
  }
  Result<void> sort(Account account, std::shared_ptr<ScratchSpace> space,
                    const std::stop_token& stop) {
    ExternalSortOptions options = sort_options();
    options.stop = stop;
    sort_ = TRY(ExternalSort::create(std::move(options), std::move(account), std::move(space)));
    format::InputRow row;
    std::string record;
    uint64_t number = 0;
    while (TRY(reader_->next(row))) {
      if ((++number & 0xfff) == 0 && stop.stop_requested())
        return fail(Code::kCancelled, "stopped");
      TRY(check(row));
      const Record input = maker_.input(*row.text);
      record.assign(reinterpret_cast<const char*>(input.data()), input.size() - 1);
      for (size_t i = sizeof number; i-- > 0;) record += static_cast<char>(number >> (8 * i));
      record += row.carried;
      TRY(sort_->input(0).add({reinterpret_cast<const uint8_t*>(record.data()), record.size()}));
    }
    reader_.reset();
    stream_.emplace(TRY(sort_->stream()));
    return {};
  }

  std::string path_;
  bool ordered_;
  RecordMaker maker_;
  std::unique_ptr<format::RowReader> reader_;
  std::unique_ptr<ExternalSort> sort_;
  std::optional<ExternalSort::Stream> stream_;
  std::vector<format::ColumnSpec> columns_;
  std::string name_, values_;
  uint64_t rows_ = 0;
};

Result<void> check_columns(const Side& first, const Side& other) {
  const auto& a = first.columns();
  const auto& b = other.columns();
  for (size_t i = 0; i < std::max(a.size(), b.size()); ++i) {
    if (i < a.size() && i < b.size() && a[i].is_like(b[i])) continue;
    const std::string& name = i < a.size() ? a[i].name : b[i].name;
    return fail(Code::kInvalid, fmt::format("{} and {} differ in the column '{}'; files to merge "
                                            "must have the same columns",
                                            first.path(), other.path(), name));
  }
  return {};
}

// Of all sides together: a column is nullable when it is in one of them.
std::vector<format::ColumnSpec> table_columns(const std::vector<std::unique_ptr<Side>>& sides) {
  std::vector<format::ColumnSpec> columns{{"smiles", format::ColumnType::kString, false}};
  for (size_t i = 0; i < sides[0]->columns().size(); ++i) {
    format::ColumnSpec column = sides[0]->columns()[i];
    for (const auto& side : sides) column.nullable = column.nullable || side->columns()[i].nullable;
    const bool text = column.type == format::ColumnType::kString;
    if (text && (column.name == "rule" || column.name == "source_file"))
      column.type = format::ColumnType::kDictionary;
    columns.push_back(std::move(column));
  }
  return columns;
}

struct MergePlan {
  MemoryPlan memory;
};

MergePlan plan_merge(const MergeOptions& options, const std::vector<bool>& ordered, Bytes memory) {
  MergePlan plan;
  plan.memory.reserve(std::max(20_MiB, memory / 24), "code, libraries, stacks");
  for (size_t i = 0; i < ordered.size(); ++i) {
    plan.memory.account({fmt::format("read {}", i + 1), 10, side_cost(ordered[i])},
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
    Json inputs = Json::array();
    for (const std::string& path : options_.inputs) {
      if (!format::RowReader::is_parquet(path))
        return fail(Code::kUsage, path + ": merge wants Parquet files");
      ordered_.push_back(TRY(is_key_ordered(path, look)));
      const std::string identity = TRY(open_source(path))->identity();
      inputs.push_back({path, identity});
    }
    configuration_ = Json{{"version", SPILLWAY_VERSION}, {"merge", inputs}}.dump();
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
    TRY(check_outputs(outputs, options_.inputs, options_.job.overwrite));
    if (!is_marked) TRY(work_->clear());
    keep_work_ = is_marked;
    return {};
  }

  Result<void> open_sides() {
    for (size_t i = 0; i < options_.inputs.size(); ++i) {
      const Account account = TRY(runtime_->open(fmt::format("read {}", i + 1)));
      sides_.push_back(TRY(Side::open(options_.inputs[i], ordered_[i], account, runtime_->space(),
                                      runtime_->stop())));
      TRY(check_columns(*sides_[0], *sides_.back()));
    }
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
    table.columns = table_columns(sides_);
    table.partial = work_->path() + "/products.partial";
    table.space = runtime_->space();
    const auto& carried = sides_[0]->columns();
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
      Side& side = *sides_[least];
      if (side.name() != last) {
        last = side.name();
        writer->text(side.text());
        format::ValueReader values(side.values());
        put_values(*writer, carried, values);
        TRY(writer->end_row());
        ++rows_out_;
      }
      open[least] = TRY(advance(side));
      if (runtime_->stop().stop_requested()) return fail(Code::kCancelled, "stopped");
    }
    Json counts = {{"rows_in", rows_in_.load()},
                   {"unique", rows_out_.load()},
                   {"duplicates", rows_in_ - rows_out_}};
    writer->metadata("spillway.version", SPILLWAY_VERSION);
    writer->metadata("spillway.order", "key");
    writer->metadata("spillway.key", "xxh3-128/1");
    writer->metadata("spillway.options", Json{{"merge", options_.inputs.size()}}.dump());
    writer->metadata("spillway.counts", counts.dump());
    TRY(write_durably(work_->anchor(), configuration_));
    keep_work_ = true;
    return std::move(*writer).close();
  }
  Result<bool> advance(Side& side) {
    const bool more = TRY(side.next());
    rows_in_ += more ? 1 : 0;
    return more;
  }

  const MergeOptions& options_;
  std::vector<bool> ordered_;
  std::string configuration_;
  std::optional<WorkFolder> work_;
  bool keep_work_ = false;  // the output may have its name, and its report be missing
  std::unique_ptr<JobRuntime> runtime_;
  Account write_;
  std::vector<std::unique_ptr<Side>> sides_;
  std::atomic<uint64_t> rows_in_{0}, rows_out_{0};
};

}  // namespace

Result<MergeSummary> merge(const MergeOptions& options, std::stop_token stop) {
  Merge job(options);
  return job.run(std::move(stop));
}

}  // namespace spillway::transform

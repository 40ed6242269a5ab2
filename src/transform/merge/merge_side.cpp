#include "transform/merge/merge_side.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/file/folders.hpp"
#include "core/printable.hpp"
#include "transform/records/product_table.hpp"

namespace spillway::transform {
namespace {

constexpr size_t kFrame = size_t{256} << 10;

ExternalSortOptions sort_options() {
  ExternalSortOptions options;
  options.memory = 8_MiB;
  options.frame_bytes = kFrame;
  return options;
}

}  // namespace

Bytes MergeSide::cost(bool is_ordered) {
  return format::RowReader::cost() + (is_ordered ? Bytes(0) : ExternalSort::floor(sort_options()));
}

Result<std::unique_ptr<MergeSide>> MergeSide::open(const std::string& path, Options options) {
  std::unique_ptr<MergeSide> side(new MergeSide(path, std::move(options)));
  format::RowOptions rows;
  rows.carry_all = true;
  rows.text_columns = {"smiles"};
  rows.first_token = false;
  rows.most_text = format::RowReader::kMaxRecord;  // what apply made may be above 16 KiB
  side->reader_ = TRY(format::RowReader::open(path, rows, side->options_.account));
  side->columns_ = side->reader_->carried();
  return side;
}

Result<bool> MergeSide::next() {
  if (!options_.is_ordered) {
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
    return fail(Code::kCorrupt,
                fmt::format("{}: says that it is ordered by key, and row {} is not", path_, rows_));
  }
  values_ = row.carried;
  return true;
}

Result<void> MergeSide::check(const format::InputRow& row) const {
  if (!row.text) return fail(Code::kInvalid, fmt::format("{}: row {} has no smiles", path_, rows_));
  if (!row.problem.empty())
    return fail(Code::kTooLarge, fmt::format("{}: row {}: {}", path_, rows_, row.problem));
  return {};
}

Result<void> MergeSide::start() {
  if (options_.is_ordered) return {};
  added_ = options_.sorted.rows;
  ExternalSortOptions sorting = sort_options();
  sorting.stop = options_.stop;
  sorting.folder = options_.runs_folder;
  sorting.on_run = [this](size_t, const DurableRun& run) { return options_.on_run(run, added_); };
  TRY(make_folders(options_.runs_folder));
  sort_ = TRY(ExternalSort::create(std::move(sorting), options_.account, options_.space));
  for (const DurableRun& run : options_.sorted.runs) TRY(sort_->adopt(run));
  if (!options_.sorted.is_all) {
    TRY(add_rows());
    TRY(sort_->input(0).flush());
    TRY(options_.on_sorted(added_));
  }
  reader_.reset();
  stream_.emplace(TRY(sort_->stream()));
  return {};
}

// Those that are in no run yet; with their numbers, so that of equal ones the first comes first.
Result<void> MergeSide::add_rows() {
  format::InputRow row;
  std::string record;
  while (TRY(reader_->next(row))) {
    const uint64_t number = ++rows_;
    if ((number & 0xfff) == 0 && options_.stop.stop_requested())
      return fail(Code::kCancelled, "stopped");
    if (options_.rows_read != nullptr) ++*options_.rows_read;
    if (number <= options_.sorted.rows) continue;
    TRY(check(row));
    const Record input = maker_.input(*row.text);
    record.assign(reinterpret_cast<const char*>(input.data()), input.size() - 1);
    for (size_t i = sizeof number; i-- > 0;) record += static_cast<char>(number >> (8 * i));
    record += row.carried;
    TRY(sort_->input(0).add({reinterpret_cast<const uint8_t*>(record.data()), record.size()}));
    ++added_;
  }
  rows_ = 0;
  return {};
}

namespace {

using Columns = std::vector<format::ColumnSpec>;

bool has_column(const Columns& columns, const std::string& name) {
  return std::any_of(columns.begin(), columns.end(),
                     [&](const format::ColumnSpec& column) { return column.name == name; });
}

// The column at `at`, where the other side has none of its name and need not.
bool may_be_alone(const Columns& columns, size_t at, const Columns& other) {
  return at < columns.size() && may_be_absent(columns[at].name) &&
         !has_column(other, columns[at].name);
}

// The columns of both, in their order; or the name of the one in which they differ.
tl::expected<Columns, std::string> join(const Columns& a, const Columns& b) {
  Columns joined;
  size_t i = 0, k = 0;
  while (i < a.size() || k < b.size()) {
    if (i < a.size() && k < b.size() && a[i].is_like(b[k])) {
      joined.push_back(a[i]);
      joined.back().nullable = a[i].nullable || b[k].nullable;
      ++i;
      ++k;
    } else if (may_be_alone(a, i, b)) {
      joined.push_back(a[i++]);
      joined.back().nullable = true;
    } else if (may_be_alone(b, k, a)) {
      joined.push_back(b[k++]);
      joined.back().nullable = true;
    } else {
      return tl::unexpected<std::string>(i < a.size() ? a[i].name : b[k].name);
    }
  }
  return joined;
}

}  // namespace

Result<Columns> joined_columns(const std::vector<std::unique_ptr<MergeSide>>& sides) {
  Columns joined = sides[0]->columns();
  for (const auto& side : sides) {
    auto wider = join(joined, side->columns());
    if (!wider) {
      return fail(Code::kInvalid,
                  fmt::format("{} and {} differ in the column '{}'; files to merge must have the "
                              "same columns (source_file, root_row and route may be missing)",
                              sides[0]->path(), side->path(), printable(wider.error())));
    }
    joined = std::move(*wider);
  }
  return joined;
}

std::vector<uint8_t> absent_in(const MergeSide& side, const Columns& joined) {
  std::vector<uint8_t> absent;
  for (const format::ColumnSpec& column : joined)
    absent.push_back(has_column(side.columns(), column.name) ? 0 : 1);
  return absent;
}

Columns table_columns(const Columns& joined) {
  Columns columns{{"smiles", format::ColumnType::kString, false}};
  for (format::ColumnSpec column : joined) {
    const bool text = column.type == format::ColumnType::kString;
    if (text && (column.name == "rule" || column.name == "source_file"))
      column.type = format::ColumnType::kDictionary;
    columns.push_back(std::move(column));
  }
  return columns;
}

}  // namespace spillway::transform

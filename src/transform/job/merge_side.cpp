#include "transform/job/merge_side.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

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

Result<std::unique_ptr<MergeSide>> MergeSide::open(const std::string& path, bool is_ordered,
                                                   Account account,
                                                   std::shared_ptr<ScratchSpace> space,
                                                   const std::stop_token& stop) {
  std::unique_ptr<MergeSide> side(new MergeSide(path, is_ordered));
  format::RowOptions options;
  options.carry_all = true;
  options.text_columns = {"smiles"};
  options.first_token = false;
  side->reader_ = TRY(format::RowReader::open(path, options, account));
  side->columns_ = side->reader_->carried();
  if (!is_ordered) TRY(side->sort(std::move(account), std::move(space), stop));
  return side;
}

Result<bool> MergeSide::next() {
  if (!is_ordered_) {
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

Result<void> MergeSide::sort(Account account, std::shared_ptr<ScratchSpace> space,
                             const std::stop_token& stop) {
  ExternalSortOptions options = sort_options();
  options.stop = stop;
  sort_ = TRY(ExternalSort::create(std::move(options), std::move(account), std::move(space)));
  format::InputRow row;
  std::string record;
  uint64_t number = 0;
  while (TRY(reader_->next(row))) {
    if ((++number & 0xfff) == 0 && stop.stop_requested()) return fail(Code::kCancelled, "stopped");
    rows_ = number;
    TRY(check(row));
    const Record input = maker_.input(*row.text);
    record.assign(reinterpret_cast<const char*>(input.data()), input.size() - 1);
    for (size_t i = sizeof number; i-- > 0;) record += static_cast<char>(number >> (8 * i));
    record += row.carried;
    TRY(sort_->input(0).add({reinterpret_cast<const uint8_t*>(record.data()), record.size()}));
  }
  rows_ = 0;
  reader_.reset();
  stream_.emplace(TRY(sort_->stream()));
  return {};
}

Result<void> check_columns(const MergeSide& first, const MergeSide& other) {
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

std::vector<format::ColumnSpec> table_columns(
    const std::vector<std::unique_ptr<MergeSide>>& sides) {
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

}  // namespace spillway::transform

// A file that is merged, as rows in order of key: streamed when it is in that order, else sorted first,
// in durable runs.
//
// Threads  One. Memory: cost(), charged to the account.
// Fails    kInvalid, kTooLarge: a row that can't be merged, by its number. kCorrupt: out of the order
//          that the file says it has. kCancelled. Else as RowReader and ExternalSort do.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "core/records/external_sort.hpp"
#include "format/rows/row_reader.hpp"
#include "transform/merge/merge_journal.hpp"
#include "transform/records/record.hpp"

namespace spillway::transform {

class MergeSide {
 public:
  static Bytes cost(bool is_ordered);
  struct Options {
    bool is_ordered = false;
    Account account;
    std::shared_ptr<ScratchSpace> space;
    std::stop_token stop;
    // When it is not in order: where the runs go, what an earlier process sorted, and who is told of
    // each further run, with the rows that are in runs then, and of the end.
    std::string runs_folder;
    SortedRows sorted;
    std::function<Result<void>(const DurableRun&, uint64_t rows)> on_run;
    std::function<Result<void>(uint64_t rows)> on_sorted;
    std::atomic<uint64_t>* rows_read = nullptr;  // kept up while it is sorted
  };
  // For its columns.
  [[nodiscard]] static Result<std::unique_ptr<MergeSide>> open(const std::string& path,
                                                               Options options);
  // Sorts what is not in order.
  [[nodiscard]] Result<void> start();

  // The next row into name() and values(); false at the end.
  [[nodiscard]] Result<bool> next();
  const std::string& name() const { return name_; }  // as a record begins: key, text, 0
  std::string_view text() const { return std::string_view(name_).substr(17, name_.size() - 18); }
  const std::string& values() const { return values_; }
  const std::vector<format::ColumnSpec>& columns() const { return columns_; }
  const std::string& path() const { return path_; }

 private:
  MergeSide(std::string path, Options options)
      : path_(std::move(path)), options_(std::move(options)), maker_(RecordShape{}) {}
  [[nodiscard]] Result<void> check(const format::InputRow& row) const;
  [[nodiscard]] Result<void> add_rows();

  std::string path_;
  Options options_;
  RecordMaker maker_;
  std::unique_ptr<format::RowReader> reader_;
  std::unique_ptr<ExternalSort> sort_;
  std::optional<ExternalSort::Stream> stream_;
  std::vector<format::ColumnSpec> columns_;
  std::string name_, values_;
  uint64_t rows_ = 0, added_ = 0;  // added to the sort, of the rows
};

// The columns of all sides together, `smiles` aside. A column is nullable when it is in one of them,
// or when one lacks it, which may be of those that may_be_absent(). kInvalid, naming the column, when
// they cannot be in one table otherwise.
[[nodiscard]] Result<std::vector<format::ColumnSpec>> joined_columns(
    const std::vector<std::unique_ptr<MergeSide>>& sides);
// Which of `joined` a side lacks.
std::vector<uint8_t> absent_in(const MergeSide& side,
                               const std::vector<format::ColumnSpec>& joined);
// The joined columns behind `smiles`, as they are written.
std::vector<format::ColumnSpec> table_columns(const std::vector<format::ColumnSpec>& joined);

}  // namespace spillway::transform

// A file that is merged, as rows in order of key: streamed when it is in that order, else sorted on
// scratch first, which is when it is opened.
//
// Threads  One. Memory: cost(), charged to the account.
// Fails    kInvalid, kTooLarge: a row that can't be merged, by its number. kCorrupt: out of the order
//          that the file says it has. kCancelled. Else as RowReader and ExternalSort do.
#pragma once

#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "core/records/external_sort.hpp"
#include "format/rows/row_reader.hpp"
#include "transform/records/record.hpp"

namespace spillway::transform {

class MergeSide {
 public:
  static Bytes cost(bool is_ordered);
  [[nodiscard]] static Result<std::unique_ptr<MergeSide>> open(const std::string& path,
                                                               bool is_ordered, Account account,
                                                               std::shared_ptr<ScratchSpace> space,
                                                               const std::stop_token& stop);

  // The next row into name() and values(); false at the end.
  [[nodiscard]] Result<bool> next();
  const std::string& name() const { return name_; }  // as a record begins: key, text, 0
  std::string_view text() const { return std::string_view(name_).substr(17, name_.size() - 18); }
  const std::string& values() const { return values_; }
  const std::vector<format::ColumnSpec>& columns() const { return columns_; }
  const std::string& path() const { return path_; }

 private:
  MergeSide(std::string path, bool is_ordered)
      : path_(std::move(path)), is_ordered_(is_ordered), maker_(RecordShape{}) {}
  [[nodiscard]] Result<void> check(const format::InputRow& row) const;
  [[nodiscard]] Result<void> sort(Account account, std::shared_ptr<ScratchSpace> space,
                                  const std::stop_token& stop);

  std::string path_;
  bool is_ordered_;
  RecordMaker maker_;
  std::unique_ptr<format::RowReader> reader_;
  std::unique_ptr<ExternalSort> sort_;
  std::optional<ExternalSort::Stream> stream_;
  std::vector<format::ColumnSpec> columns_;
  std::string name_, values_;
  uint64_t rows_ = 0;
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

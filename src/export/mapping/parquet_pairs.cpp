#include "export/mapping/parquet_pairs.hpp"

#include <arrow/api.h>
#include <fmt/format.h>

#include <memory>
#include <utility>
#include <vector>

#include "format/parquet/parquet_file.hpp"

namespace spillway::exporter {
namespace {

constexpr int64_t kBatchRows = 16384;

// A column of whole numbers, of 32 or 64 bits.
class Numbers {
 public:
  static Result<Numbers> of(const arrow::RecordBatch& batch, const char* name, uint64_t first_row,
                            const std::string& path) {
    const auto column = batch.GetColumnByName(name);
    if (!column) return fail(Code::kInvalid, fmt::format("{}: has no column {}", path, name));
    Numbers numbers;
    numbers.type_ = column->type_id();
    numbers.data_ = column->data();
    switch (numbers.type_) {
      case arrow::Type::UINT64:
      case arrow::Type::INT64:
      case arrow::Type::UINT32:
      case arrow::Type::INT32:
        break;
      default:
        return fail(Code::kInvalid,
                    fmt::format("{}: column {} is {}, must be uint64, int64, uint32 or int32", path,
                                name, column->type()->ToString()));
    }
    if (column->null_count() != 0)
      return fail(Code::kInvalid, fmt::format("{}: column {} has nulls", path, name));
    for (int64_t i = 0; i < batch.num_rows(); ++i) {
      if (!numbers.is_negative(i)) continue;
      return fail(Code::kInvalid, fmt::format("{}: row {}: {} is negative", path,
                                              first_row + static_cast<uint64_t>(i), name));
    }
    return numbers;
  }
  uint64_t at(int64_t i) const {
    switch (type_) {
      case arrow::Type::UINT32:
      case arrow::Type::INT32:
        return data_->GetValues<uint32_t>(1)[i];
      default:
        return data_->GetValues<uint64_t>(1)[i];
    }
  }

 private:
  bool is_negative(int64_t i) const {
    if (type_ == arrow::Type::INT64) return data_->GetValues<int64_t>(1)[i] < 0;
    return type_ == arrow::Type::INT32 && data_->GetValues<int32_t>(1)[i] < 0;
  }
  arrow::Type::type type_ = arrow::Type::UINT64;
  std::shared_ptr<arrow::ArrayData> data_;
};

}  // namespace

Result<void> read_parquet_pairs(std::unique_ptr<Source> source, Account account,
                                const std::function<Result<void>(uint64_t, uint64_t)>& take,
                                const std::stop_token& stop) {
  const std::string path = source->name();
  const auto file = TRY(format::ParquetFile::open(std::move(source), std::move(account)));
  std::vector<int> columns;
  for (const char* name : {"supervoxel", "body"}) {
    const int at = file->metadata().schema()->ColumnIndex(name);
    if (at < 0) return fail(Code::kInvalid, fmt::format("{}: has no column {}", path, name));
    columns.push_back(at);
  }
  TRY(file->start(columns, kBatchRows));
  uint64_t rows = 0;
  while (const auto batch = TRY(file->next())) {
    if (stop.stop_requested()) return fail(Code::kCancelled, "stopped");
    const Numbers ids = TRY(Numbers::of(*batch, "supervoxel", rows, path));
    const Numbers bodies = TRY(Numbers::of(*batch, "body", rows, path));
    for (int64_t i = 0; i < batch->num_rows(); ++i) TRY(take(ids.at(i), bodies.at(i)));
    rows += static_cast<uint64_t>(batch->num_rows());
  }
  return {};
}

}  // namespace spillway::exporter

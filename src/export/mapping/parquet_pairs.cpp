#include "export/mapping/parquet_pairs.hpp"

#include <arrow/api.h>
#include <fmt/format.h>

#include "format/parquet/parquet_file.hpp"

namespace spillway::exporter {
namespace {

constexpr int64_t kBatchRows = 16384;

// The column's values as uint64, whichever of the two types they have.
Result<const uint64_t*> values_of(const arrow::RecordBatch& batch, const char* name,
                                  const std::string& path) {
  const auto column = batch.GetColumnByName(name);
  if (!column) return fail(Code::kInvalid, fmt::format("{}: has no column {}", path, name));
  if (column->type_id() != arrow::Type::UINT64 && column->type_id() != arrow::Type::INT64)
    return fail(Code::kInvalid, fmt::format("{}: column {} is {}, must be uint64 or int64", path,
                                            name, column->type()->ToString()));
  if (column->null_count() != 0)
    return fail(Code::kInvalid, fmt::format("{}: column {} has nulls", path, name));
  return column->data()->GetValues<uint64_t>(1);
}

}  // namespace

Result<void> read_parquet_pairs(const std::string& path, Account account,
                                const std::function<Result<void>(uint64_t, uint64_t)>& take) {
  const auto file =
      TRY(format::ParquetFile::open(TRY(open_source(path)), std::move(account)));
  std::vector<int> columns;
  for (const char* name : {"supervoxel", "body"}) {
    const int at = file->metadata().schema()->ColumnIndex(name);
    if (at < 0) return fail(Code::kInvalid, fmt::format("{}: has no column {}", path, name));
    columns.push_back(at);
  }
  TRY(file->start(columns, kBatchRows));
  while (const auto batch = TRY(file->next())) {
    const uint64_t* const ids = TRY(values_of(*batch, "supervoxel", path));
    const uint64_t* const bodies = TRY(values_of(*batch, "body", path));
    for (int64_t i = 0; i < batch->num_rows(); ++i) TRY(take(ids[i], bodies[i]));
  }
  return {};
}

}  // namespace spillway::exporter

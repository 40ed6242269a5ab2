#include "export/mapping/parquet_pairs.hpp"

#include <arrow/api.h>
#include <arrow/io/file.h>
#include <fmt/format.h>
#include <parquet/arrow/reader.h>
#include <parquet/properties.h>

#include "format/parquet/arrow_memory.hpp"

namespace spillway::exporter {
namespace {

tl::unexpected<Error> error_of(const arrow::Status& status, const std::string& path) {
  const Code code = status.IsOutOfMemory() ? Code::kMemoryLimit
                    : status.IsIOError()   ? Code::kIo
                                           : Code::kInvalid;
  return fail(code, fmt::format("{}: {}", path, status.ToString()));
}

#define ARROW_TRY(expression)                                             \
  __extension__({                                                         \
    auto arrow_result = (expression);                                     \
    if (!arrow_result.ok()) return error_of(arrow_result.status(), path); \
    std::move(arrow_result).ValueUnsafe();                                \
  })

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
  format::LeasedPool pool(std::move(account));
  try {
    auto file = ARROW_TRY(arrow::io::ReadableFile::Open(path, &pool));
    parquet::ReaderProperties properties(&pool);
    properties.enable_buffered_stream();
    properties.set_buffer_size(64 << 10);
    parquet::arrow::FileReaderBuilder builder;
    if (const auto status = builder.Open(file, properties); !status.ok())
      return error_of(status, path);
    parquet::ArrowReaderProperties arrow_properties(false);
    arrow_properties.set_batch_size(16384);
    arrow_properties.set_pre_buffer(false);
    builder.memory_pool(&pool)->properties(arrow_properties);
    std::unique_ptr<parquet::arrow::FileReader> reader;
    if (const auto status = builder.Build(&reader); !status.ok()) return error_of(status, path);
    std::vector<int> groups(static_cast<size_t>(reader->num_row_groups()));
    for (size_t i = 0; i < groups.size(); ++i) groups[i] = static_cast<int>(i);
    std::vector<int> columns;
    for (const char* name : {"supervoxel", "body"}) {
      const int at = reader->parquet_reader()->metadata()->schema()->ColumnIndex(name);
      if (at < 0) return fail(Code::kInvalid, fmt::format("{}: has no column {}", path, name));
      columns.push_back(at);
    }
    auto batches = ARROW_TRY(reader->GetRecordBatchReader(groups, columns));
    while (true) {
      auto batch = ARROW_TRY(batches->Next());
      if (!batch) return {};
      const uint64_t* const ids = TRY(values_of(*batch, "supervoxel", path));
      const uint64_t* const bodies = TRY(values_of(*batch, "body", path));
      for (int64_t i = 0; i < batch->num_rows(); ++i) TRY(take(ids[i], bodies[i]));
    }
  } catch (const std::exception& error) {
    return fail(Code::kInvalid, fmt::format("{}: {}", path, error.what()));
  }
}

}  // namespace spillway::exporter

// What the Parquet writer is made of: types, properties, errors, the check before the final name.
#pragma once

#include <arrow/api.h>
#include <parquet/properties.h>

#include <memory>
#include <string>

#include "core/file/output.hpp"
#include "core/result.hpp"
#include "format/column.hpp"
#include "format/parquet/parquet_writer.hpp"

namespace spillway::format {

std::shared_ptr<arrow::DataType> arrow_type(ColumnType type);
// With columns of kArrow the footer gets the schema in Arrow's own form, too, which has what Parquet's
// lacks: time zones, durations, the sizes of lists.
[[nodiscard]] Result<std::shared_ptr<arrow::Schema>> arrow_schema(const ParquetOptions& options);
std::shared_ptr<parquet::WriterProperties> writer_properties(const ParquetOptions& options,
                                                             arrow::MemoryPool& pool);
Error parquet_error(const arrow::Status& status, const std::string& path);
// The file as a reader will see it: the footer parses and counts the rows that were written.
[[nodiscard]] Result<void> verify_parquet(Output& sink, uint64_t rows, Account account);

}  // namespace spillway::format

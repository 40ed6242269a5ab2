#include "format/parquet/parquet_parts.hpp"

#include <arrow/ipc/api.h>
#include <arrow/util/base64.h>
#include <fmt/format.h>

#include "format/parquet/arrow_value.hpp"
#include "format/parquet/parquet_file.hpp"
#include "format/parquet/parquet_seal.hpp"

namespace spillway::format {

Error parquet_error(const arrow::Status& status, const std::string& path) {
  if (status.IsOutOfMemory()) {
    return Error(Code::kMemoryLimit,
                 fmt::format("writing {}: no memory left for Parquet; raise --memory", path));
  }
  const std::string text = status.ToString();
  const bool full = text.find("No space left") != std::string::npos ||
                    text.find("File too large") != std::string::npos;
  return Error(full ? Code::kDiskFull : Code::kIo, fmt::format("writing {}: {}", path, text));
}

std::shared_ptr<arrow::DataType> arrow_type(ColumnType type) {
  switch (type) {
    case ColumnType::kUint8:
      return arrow::uint8();
    case ColumnType::kUint16:
      return arrow::uint16();
    case ColumnType::kUint32:
      return arrow::uint32();
    case ColumnType::kUint64:
      return arrow::uint64();
    case ColumnType::kString:
      return arrow::utf8();
    case ColumnType::kBinary:
      return arrow::binary();
    case ColumnType::kUint32List:
      return arrow::list(arrow::field("item", arrow::uint32(), false));
    case ColumnType::kBool:
      return arrow::boolean();
    case ColumnType::kInt8:
      return arrow::int8();
    case ColumnType::kInt16:
      return arrow::int16();
    case ColumnType::kInt32:
      return arrow::int32();
    case ColumnType::kInt64:
      return arrow::int64();
    case ColumnType::kFloat:
      return arrow::float32();
    case ColumnType::kDouble:
      return arrow::float64();
    case ColumnType::kInt32List:
      return arrow::list(arrow::field("item", arrow::int32(), false));
    case ColumnType::kDictionary:
      return arrow::utf8();
    case ColumnType::kArrow:
      break;  // says itself what it is
  }
  return arrow::uint64();
}

Result<std::shared_ptr<arrow::Schema>> arrow_schema(const ParquetOptions& options) {
  arrow::FieldVector fields;
  bool has_other = false;
  for (const ColumnSpec& column : options.columns) {
    const bool other = column.type == ColumnType::kArrow;
    has_other = has_other || other;
    fields.push_back(arrow::field(column.name,
                                  other ? TRY(type_of(column.arrow)) : arrow_type(column.type),
                                  column.nullable));
  }
  auto metadata = std::make_shared<arrow::KeyValueMetadata>();
  for (const auto& [key, value] : options.metadata) metadata->Append(key, value);
  if (has_other) {
    const auto bytes = arrow::ipc::SerializeSchema(*arrow::schema(fields));
    if (!bytes.ok()) return fail(Code::kInternal, bytes.status().ToString());
    metadata->Append("ARROW:schema", arrow::util::base64_encode((*bytes)->ToString()));
  }
  return arrow::schema(fields, metadata);
}

std::shared_ptr<parquet::WriterProperties> writer_properties(const ParquetOptions& options,
                                                             arrow::MemoryPool& pool) {
  parquet::WriterProperties::Builder properties;
  properties.memory_pool(&pool)
      ->compression(parquet::Compression::ZSTD)
      ->enable_page_checksum()
      ->disable_write_page_index()  // it would grow in memory with every page, until the end
      ->write_batch_size(1024)
      ->data_pagesize(256 << 10)
      ->dictionary_pagesize_limit(64 << 10)
      ->created_by(std::string(kCreator));
  for (const ColumnSpec& column : options.columns) {
    // Ids never repeat; a dictionary would only be thrown away.
    if (column.type == ColumnType::kUint64 || column.type == ColumnType::kBinary ||
        column.type == ColumnType::kDouble || column.type == ColumnType::kFloat)
      properties.disable_dictionary(column.name);
  }
  return properties.build();
}

Result<void> verify_parquet(Output& sink, uint64_t rows, Account account) {
  const auto file = TRY(
      ParquetFile::open(std::shared_ptr<const Source>(TRY(sink.read_back())), std::move(account)));
  const auto found = static_cast<uint64_t>(file->metadata().num_rows());
  if (found == rows && file->seal()) return {};
  return fail(Code::kCorrupt, fmt::format("{}: {} rows were written and {} are in the file",
                                          sink.name(), rows, found));
}

}  // namespace spillway::format

#include "format/parquet/parquet_writer.hpp"

#include <arrow/api.h>
#include <fmt/format.h>
#include <parquet/arrow/writer.h>
#include <parquet/file_reader.h>

#include <mutex>

#include "format/parquet/arrow_files.hpp"
#include "format/parquet/arrow_memory.hpp"
#include "format/parquet/parquet_parts.hpp"
#include "format/source.hpp"

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
  }
  return arrow::uint64();
}

std::shared_ptr<arrow::Schema> arrow_schema(const ParquetOptions& options) {
  arrow::FieldVector fields;
  for (const ColumnSpec& column : options.columns)
    fields.push_back(arrow::field(column.name, arrow_type(column.type), column.nullable));
  auto metadata = std::make_shared<arrow::KeyValueMetadata>();
  for (const auto& [key, value] : options.metadata) metadata->Append(key, value);
  return arrow::schema(fields, metadata);
}

std::shared_ptr<parquet::WriterProperties> writer_properties(const ParquetOptions& options,
                                                             arrow::MemoryPool& pool) {
  parquet::WriterProperties::Builder properties;
  properties.memory_pool(&pool)
      ->compression(parquet::Compression::ZSTD)
      ->max_row_group_length(ParquetWriter::kRowGroupRows)
      ->write_batch_size(1024)
      ->data_pagesize(256 << 10)
      ->dictionary_pagesize_limit(64 << 10)
      ->created_by("spillway");
  for (const ColumnSpec& column : options.columns) {
    // Ids never repeat; a dictionary would only be thrown away.
    if (column.type == ColumnType::kUint64 || column.type == ColumnType::kBinary ||
        column.type == ColumnType::kDouble || column.type == ColumnType::kFloat)
      properties.disable_dictionary(column.name);
  }
  return properties.build();
}

Result<void> verify_parquet(Sink& sink, uint64_t rows, arrow::MemoryPool& pool) {
  try {
    const parquet::ReaderProperties properties(&pool);
    const auto reader = parquet::ParquetFileReader::Open(
        arrow_file(std::shared_ptr<const Source>(TRY(sink.read_back()))), properties);
    const auto found = static_cast<uint64_t>(reader->metadata()->num_rows());
    if (found == rows) return {};
    return fail(Code::kCorrupt, fmt::format("{}: {} rows were written and {} are in the file",
                                            sink.name(), rows, found));
  } catch (const std::exception& problem) {
    return fail(Code::kCorrupt,
                fmt::format("{}: cannot be read back: {}", sink.name(), problem.what()));
  }
}

namespace {

constexpr int64_t kBatchRows = 8192;  // a divisor of the row group

class Writer final : public ParquetWriter {
 public:
  Writer(std::string path, ParquetOptions options, Account account)
      : path_(std::move(path)), options_(std::move(options)), pool_(std::move(account)) {}
  ~Writer() override {
    builders_.clear();
    writer_.reset();
  }

  Result<void> open() {
    sink_ = TRY(create_sink(path_, {.partial = options_.partial}));
    stream_ = std::make_shared<ArrowSink>(*sink_);
    const arrow::Status opened = open_writer();
    if (!opened.ok()) return fail(error_of(opened));
    return {};
  }

  arrow::Status open_writer() {
    schema_ = arrow_schema(options_);
    const auto arrow_properties =
        parquet::ArrowWriterProperties::Builder().set_use_threads(false)->build();
    ARROW_ASSIGN_OR_RAISE(writer_, parquet::arrow::FileWriter::Open(
                                       *schema_, &pool_, stream_,
                                       writer_properties(options_, pool_), arrow_properties));
    ARROW_RETURN_NOT_OK(writer_->AddKeyValueMetadata(schema_->metadata()));
    for (const ColumnSpec& column : options_.columns) {
      std::unique_ptr<arrow::ArrayBuilder> builder;
      ARROW_RETURN_NOT_OK(arrow::MakeBuilder(&pool_, arrow_type(column.type), &builder));
      builders_.push_back(std::move(builder));
    }
    return arrow::Status::OK();
  }

  void number(uint64_t value) override {
    arrow::ArrayBuilder* const builder = next();
    switch (options_.columns[column_ - 1].type) {
      case ColumnType::kUint8:
        return add<arrow::UInt8Builder, uint8_t>(builder, value);
      case ColumnType::kUint16:
        return add<arrow::UInt16Builder, uint16_t>(builder, value);
      case ColumnType::kUint32:
        return add<arrow::UInt32Builder, uint32_t>(builder, value);
      case ColumnType::kInt8:
        return add<arrow::Int8Builder, int8_t>(builder, value);
      case ColumnType::kInt16:
        return add<arrow::Int16Builder, int16_t>(builder, value);
      case ColumnType::kInt32:
        return add<arrow::Int32Builder, int32_t>(builder, value);
      case ColumnType::kInt64:
        return add<arrow::Int64Builder, int64_t>(builder, value);
      case ColumnType::kBool:
        return add<arrow::BooleanBuilder, bool>(builder, value);
      default:
        return add<arrow::UInt64Builder, uint64_t>(builder, value);
    }
  }
  void real(double value) override {
    arrow::ArrayBuilder* const builder = next();
    if (options_.columns[column_ - 1].type == ColumnType::kFloat)
      note(static_cast<arrow::FloatBuilder*>(builder)->Append(static_cast<float>(value)));
    else
      note(static_cast<arrow::DoubleBuilder*>(builder)->Append(value));
  }
  void text(std::string_view value) override {
    note(static_cast<arrow::BinaryBuilder*>(next())->Append(
        value));  // StringBuilder derives from it
  }
  void list(std::span<const uint32_t> values) override {
    auto* const builder = static_cast<arrow::ListBuilder*>(next());
    note(builder->Append());
    const auto count = static_cast<int64_t>(values.size());
    if (options_.columns[column_ - 1].type == ColumnType::kInt32List) {
      note(static_cast<arrow::Int32Builder*>(builder->value_builder())
               ->AppendValues(reinterpret_cast<const int32_t*>(values.data()), count));
    } else {
      note(static_cast<arrow::UInt32Builder*>(builder->value_builder())
               ->AppendValues(values.data(), count));
    }
  }
  void null() override { note(next()->AppendNull()); }

  Result<void> end_row() override {
    CHECK(column_ == builders_.size());
    column_ = 0;
    ++rows_;
    if (++pending_ == kBatchRows && failed_.ok()) failed_ = flush();
    if (!failed_.ok()) return fail(error_of(failed_));
    return {};
  }

  Result<void> close() && override {
    arrow::Status done = failed_.ok() ? flush() : failed_;
    if (done.ok()) done = writer_->Close();
    if (!done.ok()) return fail(error_of(done));
    TRY(verify_parquet(*sink_, rows_, pool_));
    return std::move(*sink_).commit();
  }
  void metadata(const std::string& key, const std::string& value) override {
    note(writer_->AddKeyValueMetadata(arrow::key_value_metadata({key}, {value})));
  }
  uint64_t rows() const override { return rows_; }

 private:
  // What the sink refused, as it said so; else what Arrow says.
  Error error_of(const arrow::Status& status) {
    if (auto refused = stream_ ? stream_->take_error() : std::nullopt)
      return std::move(*refused).with("writing " + path_);
    return parquet_error(status, path_);
  }
  template <class Builder, class Value>
  void add(arrow::ArrayBuilder* builder, uint64_t value) {
    note(static_cast<Builder*>(builder)->Append(static_cast<Value>(value)));
  }
  arrow::ArrayBuilder* next() { return builders_.at(column_++).get(); }
  void note(const arrow::Status& status) {
    if (!status.ok() && failed_.ok()) failed_ = status;
  }

  arrow::Status flush() {
    if (pending_ == 0) return arrow::Status::OK();
    if (group_rows_ == 0) ARROW_RETURN_NOT_OK(writer_->NewBufferedRowGroup());
    arrow::ArrayVector arrays;
    for (auto& builder : builders_) {
      std::shared_ptr<arrow::Array> array;
      ARROW_RETURN_NOT_OK(builder->Finish(&array));
      arrays.push_back(std::move(array));
    }
    ARROW_RETURN_NOT_OK(
        writer_->WriteRecordBatch(*arrow::RecordBatch::Make(schema_, pending_, std::move(arrays))));
    group_rows_ = (group_rows_ + pending_) % kRowGroupRows;
    pending_ = 0;
    return arrow::Status::OK();
  }

  std::string path_;
  ParquetOptions options_;
  LeasedPool pool_;
  std::shared_ptr<arrow::Schema> schema_;
  std::unique_ptr<Sink> sink_;
  std::shared_ptr<ArrowSink> stream_;
  std::unique_ptr<parquet::arrow::FileWriter> writer_;
  std::vector<std::unique_ptr<arrow::ArrayBuilder>> builders_;
  arrow::Status failed_ = arrow::Status::OK();
  size_t column_ = 0;
  int64_t pending_ = 0;
  int64_t group_rows_ = 0;
  uint64_t rows_ = 0;
};

}  // namespace

Result<std::unique_ptr<ParquetWriter>> ParquetWriter::create(std::string path,
                                                             ParquetOptions options,
                                                             Account account) {
  if (options.space) return create_spooled(std::move(path), std::move(options), std::move(account));
  auto writer = std::make_unique<Writer>(std::move(path), std::move(options), std::move(account));
  TRY(writer->open());
  return writer;
}

Bytes ParquetWriter::cost(const ParquetOptions& options, Bytes row_bytes) {
  constexpr uint64_t kColumnBytes = 2 << 20;  // two pages, a batch, a dictionary and its index
  constexpr uint64_t kLengthBytes = 4;        // of a text or list
  // Arrow's sink doubles, and holds the old and the new buffer while it copies.
  constexpr uint64_t kGrowth = 3;
  const uint64_t columns = options.columns.size();
  return Bytes(kGrowth * static_cast<uint64_t>(kRowGroupRows) *
                   (row_bytes.count() + columns * kLengthBytes) +
               columns * kColumnBytes);
}

}  // namespace spillway::format

#include "format/parquet_writer.hpp"

#include <arrow/api.h>
#include <arrow/io/file.h>
#include <fmt/format.h>
#include <parquet/arrow/writer.h>
#include <parquet/file_reader.h>
#include <sys/mman.h>
#include <unistd.h>

#include <filesystem>
#include <mutex>

#include "core/durable_file.hpp"
#include "format/arrow_memory.hpp"

namespace spillway::format {
namespace {

constexpr int64_t kBatchRows = 8192;  // a divisor of the row group

Error error_of(const arrow::Status& status, const std::string& path) {
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
  }
  return arrow::uint64();
}

class Writer final : public ParquetWriter {
 public:
  Writer(std::string path, ParquetOptions options, Account account)
      : path_(std::move(path)), options_(std::move(options)), pool_(std::move(account)) {}
  ~Writer() override {
    builders_.clear();
    writer_.reset();
    if (sink_) {
      const auto ignored = sink_->Close();
      (void)ignored;
      ::unlink(partial().c_str());
    }
  }

  arrow::Status open() {
    arrow::FieldVector fields;
    for (const ColumnSpec& column : options_.columns) {
      fields.push_back(arrow::field(column.name, arrow_type(column.type), column.nullable));
    }
    auto metadata = std::make_shared<arrow::KeyValueMetadata>();
    for (const auto& [key, value] : options_.metadata) metadata->Append(key, value);
    schema_ = arrow::schema(fields, metadata);
    ARROW_ASSIGN_OR_RAISE(sink_, arrow::io::FileOutputStream::Open(partial()));
    parquet::WriterProperties::Builder properties;
    properties.memory_pool(&pool_)
        ->compression(parquet::Compression::ZSTD)
        ->max_row_group_length(kRowGroupRows)
        ->write_batch_size(1024)
        ->data_pagesize(256 << 10)
        ->dictionary_pagesize_limit(64 << 10)
        ->created_by("spillway");
    for (const ColumnSpec& column : options_.columns) {
      // Ids never repeat; a dictionary would only be thrown away.
      if (column.type == ColumnType::kUint64 || column.type == ColumnType::kBinary)
        properties.disable_dictionary(column.name);
    }
    const auto arrow_properties =
        parquet::ArrowWriterProperties::Builder().set_use_threads(false)->build();
    ARROW_ASSIGN_OR_RAISE(
        writer_, parquet::arrow::FileWriter::Open(*schema_, &pool_, sink_, properties.build(),
                                                  arrow_properties));
    ARROW_RETURN_NOT_OK(writer_->AddKeyValueMetadata(metadata));
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
        note(static_cast<arrow::UInt8Builder*>(builder)->Append(static_cast<uint8_t>(value)));
        break;
      case ColumnType::kUint16:
        note(static_cast<arrow::UInt16Builder*>(builder)->Append(static_cast<uint16_t>(value)));
        break;
      case ColumnType::kUint32:
        note(static_cast<arrow::UInt32Builder*>(builder)->Append(static_cast<uint32_t>(value)));
        break;
      default:
        note(static_cast<arrow::UInt64Builder*>(builder)->Append(value));
    }
  }
  void text(std::string_view value) override {
    note(static_cast<arrow::BinaryBuilder*>(next())->Append(
        value));  // StringBuilder derives from it
  }
  void list(std::span<const uint32_t> values) override {
    auto* const builder = static_cast<arrow::ListBuilder*>(next());
    note(builder->Append());
    note(static_cast<arrow::UInt32Builder*>(builder->value_builder())
             ->AppendValues(values.data(), static_cast<int64_t>(values.size())));
  }
  void null() override { note(next()->AppendNull()); }

  Result<void> end_row() override {
    CHECK(column_ == builders_.size());
    column_ = 0;
    ++rows_;
    if (++pending_ == kBatchRows && failed_.ok()) failed_ = flush();
    if (!failed_.ok()) return fail(error_of(failed_, path_));
    return {};
  }

  Result<void> close() && override {
    arrow::Status done = flush();
    if (done.ok()) done = writer_->Close();
    if (done.ok()) done = sink_->Close();
    if (!done.ok()) return fail(error_of(done, path_));
    TRY(verify());
    TRY(publish());
    sink_.reset();
    return {};
  }
  uint64_t rows() const override { return rows_; }

 private:
  std::string partial() const { return path_ + ".partial"; }
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

  // The file as a reader will see it: the footer parses and counts the rows that were written.
  Result<void> verify() {
    try {
      parquet::ReaderProperties properties(&pool_);
      const auto reader = parquet::ParquetFileReader::OpenFile(partial(), false, properties);
      if (static_cast<uint64_t>(reader->metadata()->num_rows()) == rows_) return {};
      return fail(Code::kCorrupt, fmt::format("{}: {} rows were written and {} are in the file",
                                              path_, rows_, reader->metadata()->num_rows()));
    } catch (const std::exception& problem) {
      return fail(Code::kCorrupt,
                  fmt::format("{}: cannot be read back: {}", path_, problem.what()));
    }
  }

  Result<void> publish() { return adopt_durably(partial(), path_); }

  std::string path_;
  ParquetOptions options_;
  LeasedPool pool_;
  std::shared_ptr<arrow::Schema> schema_;
  std::shared_ptr<arrow::io::FileOutputStream> sink_;
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
  auto writer = std::make_unique<Writer>(path, std::move(options), std::move(account));
  const arrow::Status opened = writer->open();
  if (!opened.ok()) return fail(error_of(opened, path));
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

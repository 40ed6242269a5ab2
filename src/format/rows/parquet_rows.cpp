#include "format/rows/parquet_rows.hpp"

#include <arrow/api.h>
#include <fmt/format.h>
#include <parquet/arrow/reader.h>
#include <parquet/arrow/schema.h>
#include <parquet/file_reader.h>

#include <algorithm>

#include "format/parquet/arrow_files.hpp"
#include "format/parquet/arrow_memory.hpp"

namespace spillway::format {
namespace {

constexpr int64_t kReadAhead = int64_t{64} << 10;  // of a column chunk, at once

std::optional<ColumnType> column_type(const arrow::DataType& type) {
  switch (type.id()) {
    case arrow::Type::BOOL:
      return ColumnType::kBool;
    case arrow::Type::INT8:
      return ColumnType::kInt8;
    case arrow::Type::INT16:
      return ColumnType::kInt16;
    case arrow::Type::INT32:
      return ColumnType::kInt32;
    case arrow::Type::INT64:
      return ColumnType::kInt64;
    case arrow::Type::UINT8:
      return ColumnType::kUint8;
    case arrow::Type::UINT16:
      return ColumnType::kUint16;
    case arrow::Type::UINT32:
      return ColumnType::kUint32;
    case arrow::Type::UINT64:
      return ColumnType::kUint64;
    case arrow::Type::FLOAT:
      return ColumnType::kFloat;
    case arrow::Type::DOUBLE:
      return ColumnType::kDouble;
    case arrow::Type::STRING:
    case arrow::Type::LARGE_STRING:
      return ColumnType::kString;
    case arrow::Type::BINARY:
    case arrow::Type::LARGE_BINARY:
      return ColumnType::kBinary;
    case arrow::Type::LIST: {
      const auto& item = *static_cast<const arrow::ListType&>(type).value_type();
      if (item.id() == arrow::Type::INT32) return ColumnType::kInt32List;
      if (item.id() == arrow::Type::UINT32) return ColumnType::kUint32List;
      return std::nullopt;
    }
    case arrow::Type::DICTIONARY: {
      const auto value = column_type(*static_cast<const arrow::DictionaryType&>(type).value_type());
      if (value == ColumnType::kString) return ColumnType::kDictionary;
      return std::nullopt;
    }
    default:
      return std::nullopt;
  }
}

// The text at `row`, which is not null.
std::string_view text_at(const arrow::Array& array, int64_t row) {
  switch (array.type_id()) {
    case arrow::Type::STRING:
    case arrow::Type::BINARY:
      return static_cast<const arrow::BinaryArray&>(array).GetView(row);
    case arrow::Type::LARGE_STRING:
    case arrow::Type::LARGE_BINARY:
      return static_cast<const arrow::LargeBinaryArray&>(array).GetView(row);
    default: {
      const auto& dictionary = static_cast<const arrow::DictionaryArray&>(array);
      return text_at(*dictionary.dictionary(), dictionary.GetValueIndex(row));
    }
  }
}

void put_value(const arrow::Array& array, int64_t row, ValueWriter& out) {
  if (array.IsNull(row)) return out.null();
  switch (array.type_id()) {
    case arrow::Type::BOOL:
      return out.number(static_cast<const arrow::BooleanArray&>(array).Value(row) ? 1 : 0);
    case arrow::Type::INT8:
      return out.number(
          static_cast<uint64_t>(int64_t{static_cast<const arrow::Int8Array&>(array).Value(row)}));
    case arrow::Type::INT16:
      return out.number(
          static_cast<uint64_t>(int64_t{static_cast<const arrow::Int16Array&>(array).Value(row)}));
    case arrow::Type::INT32:
      return out.number(
          static_cast<uint64_t>(int64_t{static_cast<const arrow::Int32Array&>(array).Value(row)}));
    case arrow::Type::INT64:
      return out.number(
          static_cast<uint64_t>(static_cast<const arrow::Int64Array&>(array).Value(row)));
    case arrow::Type::UINT8:
      return out.number(static_cast<const arrow::UInt8Array&>(array).Value(row));
    case arrow::Type::UINT16:
      return out.number(static_cast<const arrow::UInt16Array&>(array).Value(row));
    case arrow::Type::UINT32:
      return out.number(static_cast<const arrow::UInt32Array&>(array).Value(row));
    case arrow::Type::UINT64:
      return out.number(static_cast<const arrow::UInt64Array&>(array).Value(row));
    case arrow::Type::FLOAT:
      return out.real(double{static_cast<const arrow::FloatArray&>(array).Value(row)});
    case arrow::Type::DOUBLE:
      return out.real(static_cast<const arrow::DoubleArray&>(array).Value(row));
    case arrow::Type::LIST: {
      const auto& list = static_cast<const arrow::ListArray&>(array);
      const auto& items = static_cast<const arrow::PrimitiveArray&>(*list.values());
      const auto* const first =
          items.values()->data() + (items.offset() + list.value_offset(row)) * 4;
      return out.text(
          {reinterpret_cast<const char*>(first), static_cast<size_t>(list.value_length(row)) * 4});
    }
    default:
      return out.text(text_at(array, row));
  }
}

class ParquetRows final : public RowReader {
 public:
  ParquetRows(std::shared_ptr<const Source> source, Account account)
      : source_(std::move(source)), pool_(std::move(account)) {}
  ~ParquetRows() override {
    batch_.reset();
    batches_.reset();
    reader_.reset();
  }

  Result<void> prepare(const RowOptions& options) {
    arrow::Status status;
    try {
      status = open();
    } catch (const std::exception& problem) {
      status = arrow::Status::IOError(problem.what());
    }
    if (!status.ok()) return fail(error_of(status));
    TRY(choose(options));
    status = start();
    if (!status.ok()) return fail(error_of(status));
    return {};
  }

  Result<bool> next(InputRow& row) override {
    while (batch_ == nullptr || at_ == batch_->num_rows()) {
      batch_.reset();
      arrow::Status status;
      try {
        status = batches_->ReadNext(&batch_);
      } catch (const std::exception& problem) {
        status = arrow::Status::IOError(problem.what());
      }
      if (!status.ok()) return fail(error_of(status));
      if (batch_ == nullptr) return false;
      at_ = 0;
    }
    row = InputRow{};
    const arrow::Array& texts = *batch_->column(places_[0]);
    if (!texts.IsNull(at_)) {
      const std::string_view text = text_at(texts, at_);
      if (!text.empty()) row.text = text.substr(0, kMaxText);
      if (text.size() > kMaxText) row.problem = "the text is longer than 16 KiB";
    }
    carried_bytes_.clear();
    ValueWriter values(carried_bytes_);
    for (size_t i = 1; i < places_.size(); ++i) put_value(*batch_->column(places_[i]), at_, values);
    row.carried = carried_bytes_;
    if (carried_bytes_.size() > kMaxCarried) {
      row.carried = empty_carried_;
      row.problem = "the carried columns are longer than 64 KiB together";
    }
    ++at_;
    ++done_;
    return true;
  }
  const std::vector<ColumnSpec>& carried() const override { return carried_; }
  double fraction() const override {
    return rows_ > 0 ? static_cast<double>(done_) / static_cast<double>(rows_) : 1.0;
  }

 private:
  Error error_of(const arrow::Status& status) const {
    const std::string& name = source_->name();
    if (status.IsOutOfMemory()) {
      return Error(Code::kMemoryLimit,
                   fmt::format("reading {}: its pages need more memory; raise --memory", name));
    }
    std::string text = status.message();
    std::replace(text.begin(), text.end(), '\n', ' ');
    return Error(Code::kCorrupt,
                 fmt::format("{}: cannot be read as Parquet (row {}): {}", name, done_, text));
  }

  arrow::Status open() {
    parquet::ReaderProperties properties(&pool_);
    properties.enable_buffered_stream();
    properties.set_buffer_size(kReadAhead);
    parquet::ArrowReaderProperties arrow_properties(/*use_threads=*/false);
    arrow_properties.set_batch_size(kBatchRows);
    arrow_properties.set_pre_buffer(false);
    parquet::arrow::FileReaderBuilder builder;
    ARROW_RETURN_NOT_OK(builder.Open(arrow_file(source_), properties));
    builder.memory_pool(&pool_)->properties(arrow_properties);
    ARROW_ASSIGN_OR_RAISE(reader_, builder.Build());
    rows_ = reader_->parquet_reader()->metadata()->num_rows();
    return reader_->GetSchema(&schema_);
  }

  // The file's column that holds a flat field, or the items of a list.
  int leaf_of(int field) const {
    const parquet::arrow::SchemaField* at =
        &reader_->manifest().schema_fields[static_cast<size_t>(field)];
    while (at->column_index < 0 && !at->children.empty()) at = &at->children[0];
    return at->column_index;
  }

  Result<int> field_of(const std::string& name) const {
    const int field = schema_->GetFieldIndex(name);
    if (field >= 0) return field;
    return fail(Code::kInvalid, fmt::format("{}: no column '{}'; there are {}", source_->name(),
                                            name, fmt::join(schema_->field_names(), ", ")));
  }

  Result<void> choose(const RowOptions& options) {
    if (options.text_columns.size() > 1) {
      return fail(Code::kUsage, source_->name() +
                                    ": --smiles-column may be given once for Parquet; each row is "
                                    "one molecule");
    }
    const std::string name =
        options.text_columns.empty() ? options.default_column : options.text_columns[0];
    const int text = TRY(field_of(name));
    const auto type = column_type(*schema_->field(text)->type());
    if (type != ColumnType::kString && type != ColumnType::kDictionary) {
      return fail(Code::kInvalid, fmt::format("{}: column '{}' is {}, not text", source_->name(),
                                              name, schema_->field(text)->type()->ToString()));
    }
    fields_.push_back(text);
    for (const std::string& word : options.carry) fields_.push_back(TRY(field_of(word)));
    if (options.carry_all) {
      for (int i = 0; i < schema_->num_fields(); ++i) {
        if (i != text) fields_.push_back(i);
      }
    }
    ValueWriter nothing(empty_carried_);
    for (size_t i = 1; i < fields_.size(); ++i) {
      const auto& field = schema_->field(fields_[i]);
      const auto carried = column_type(*field->type());
      if (!carried) {
        return fail(Code::kInvalid,
                    fmt::format("{}: column '{}' is {}, which cannot be carried; leave it out with "
                                "--carry",
                                source_->name(), field->name(), field->type()->ToString()));
      }
      carried_.push_back({field->name(), *carried, field->nullable()});
      nothing.null();
    }
    return {};
  }

  arrow::Status start() {
    std::vector<int> leaves;
    for (const int field : fields_) leaves.push_back(leaf_of(field));
    std::vector<int> groups(static_cast<size_t>(reader_->num_row_groups()));
    for (size_t i = 0; i < groups.size(); ++i) groups[i] = static_cast<int>(i);
    ARROW_ASSIGN_OR_RAISE(batches_, reader_->GetRecordBatchReader(groups, leaves));
    for (const int field : fields_)
      places_.push_back(batches_->schema()->GetFieldIndex(schema_->field(field)->name()));
    return arrow::Status::OK();
  }

  std::shared_ptr<const Source> source_;
  LeasedPool pool_;
  std::unique_ptr<parquet::arrow::FileReader> reader_;
  std::shared_ptr<arrow::Schema> schema_;
  std::unique_ptr<arrow::RecordBatchReader> batches_;
  std::shared_ptr<arrow::RecordBatch> batch_;
  std::vector<int> fields_;  // the text, then the carried ones
  std::vector<int> places_;  // of the same in a batch
  std::vector<ColumnSpec> carried_;
  std::string carried_bytes_, empty_carried_;
  int64_t at_ = 0, done_ = 0, rows_ = 0;
};

}  // namespace

Result<std::unique_ptr<RowReader>> open_parquet_rows(std::unique_ptr<Source> source,
                                                     const RowOptions& options, Account account) {
  auto rows = std::make_unique<ParquetRows>(std::move(source), std::move(account));
  TRY(rows->prepare(options));
  return rows;
}

}  // namespace spillway::format

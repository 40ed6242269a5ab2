#include "format/rows/parquet_rows.hpp"

#include <arrow/api.h>
#include <fmt/format.h>
#include <parquet/arrow/schema.h>

#include <algorithm>

#include "core/printable.hpp"
#include "format/parquet/parquet_file.hpp"

namespace spillway::format {
namespace {

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

bool has_null_item(const arrow::Array& array, int64_t row) {
  if (array.type_id() != arrow::Type::LIST || array.IsNull(row)) return false;
  const auto& list = static_cast<const arrow::ListArray&>(array);
  return list.values()->null_count() > 0 && list.value_slice(row)->null_count() > 0;
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
  explicit ParquetRows(std::unique_ptr<ParquetFile> file)
      : file_(std::move(file)), rows_(file_->metadata().num_rows()) {}

  Result<void> prepare(const RowOptions& options) {
    schema_ = TRY(file_->schema());
    most_text_ = options.most_text;
    too_long_ = "the text is longer than " + to_string(Bytes(most_text_));
    TRY(choose(options));
    return start();
  }

  Result<bool> next(InputRow& row) override {
    while (batch_ == nullptr || at_ == batch_->num_rows()) {
      batch_.reset();
      batch_ = TRY(file_->next());
      if (batch_ == nullptr) return false;
      at_ = 0;
    }
    row = InputRow{};
    const arrow::Array& texts = *batch_->column(places_[0]);
    if (!texts.IsNull(at_)) {
      const std::string_view text = text_at(texts, at_);
      if (!text.empty()) row.text = text.substr(0, most_text_);
      if (text.size() > most_text_) row.problem = too_long_;
    }
    carried_bytes_.clear();
    ValueWriter values(carried_bytes_);
    for (size_t i = 1; i < places_.size(); ++i) {
      const arrow::Array& column = *batch_->column(places_[i]);
      if (has_null_item(column, at_)) return fail(null_item(i));
      put_value(column, at_, values);
    }
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
  Error null_item(size_t place) const {
    return Error(Code::kInvalid,
                 fmt::format("{}: row {}: column '{}' has a null within its list, which cannot be "
                             "carried; leave it out with --carry",
                             file_->source().name(), done_, printable(carried_[place - 1].name)));
  }

  // The file's column that holds a flat field, or the items of a list.
  int leaf_of(int field) const {
    const parquet::arrow::SchemaField* at =
        &file_->manifest().schema_fields[static_cast<size_t>(field)];
    while (at->column_index < 0 && !at->children.empty()) at = &at->children[0];
    return at->column_index;
  }

  Result<int> field_of(const std::string& name) const {
    const std::vector<int> found = schema_->GetAllFieldIndices(name);
    if (found.size() == 1) return found[0];
    const std::string& path = file_->source().name();
    if (found.size() > 1) {
      return fail(Code::kUsage, fmt::format("{}: {} columns are named '{}'; which is meant?", path,
                                            found.size(), printable(name)));
    }
    return fail(
        Code::kUsage,
        fmt::format("{}: no column '{}'; there are {}", path, printable(name),
                    printable(fmt::format("{}", fmt::join(schema_->field_names(), ", ")), 500)));
  }

  Result<void> choose(const RowOptions& options) {
    if (options.text_columns.size() > 1) {
      return fail(Code::kUsage, file_->source().name() +
                                    ": --smiles-column may be given once for Parquet; each row is "
                                    "one molecule");
    }
    const std::string name =
        options.text_columns.empty() ? options.default_column : options.text_columns[0];
    const int text = TRY(field_of(name));
    const auto type = column_type(*schema_->field(text)->type());
    if (type != ColumnType::kString && type != ColumnType::kDictionary) {
      return fail(Code::kUsage,
                  fmt::format("{}: column '{}' is {}, not text", file_->source().name(), name,
                              printable(schema_->field(text)->type()->ToString(), 100)));
    }
    fields_.push_back(text);
    for (const std::string& word : options.carry) fields_.push_back(TRY(field_of(word)));
    if (options.carry_all) {
      for (int i = 0; i < schema_->num_fields(); ++i) {
        if (i != text) fields_.push_back(i);
      }
    }
    TRY(check_carried(fields_.size() - 1, file_->source().name()));
    ValueWriter nothing(empty_carried_);
    for (size_t i = 1; i < fields_.size(); ++i) {
      const auto& field = schema_->field(fields_[i]);
      const auto carried = column_type(*field->type());
      if (!carried) {
        return fail(Code::kUsage,
                    fmt::format("{}: column '{}' is {}, which cannot be carried; leave it out with "
                                "--carry",
                                file_->source().name(), printable(field->name()),
                                printable(field->type()->ToString(), 100)));
      }
      carried_.push_back({field->name(), *carried, field->nullable()});
      nothing.null();
    }
    return {};
  }

  // Batches have the top-level columns that were asked for, in the order of the file.
  Result<void> start() {
    std::vector<int> sorted = fields_;
    std::sort(sorted.begin(), sorted.end());
    sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());
    std::vector<int> leaves;
    for (const int field : sorted) leaves.push_back(leaf_of(field));
    for (const int field : fields_) {
      const auto place = std::lower_bound(sorted.begin(), sorted.end(), field);
      places_.push_back(static_cast<int>(place - sorted.begin()));
    }
    return file_->start(leaves, kBatchRows);
  }

  std::unique_ptr<ParquetFile> file_;
  std::shared_ptr<arrow::Schema> schema_;
  std::shared_ptr<arrow::RecordBatch> batch_;
  std::vector<int> fields_;  // the text, then the carried ones
  std::vector<int> places_;  // of the same in a batch
  std::vector<ColumnSpec> carried_;
  size_t most_text_ = kMaxText;
  std::string carried_bytes_, empty_carried_, too_long_;
  int64_t at_ = 0, done_ = 0, rows_ = 0;
};

}  // namespace

Result<std::unique_ptr<RowReader>> open_parquet_rows(std::unique_ptr<Source> source,
                                                     const RowOptions& options, Account account) {
  auto rows =
      std::make_unique<ParquetRows>(TRY(ParquetFile::open(std::move(source), std::move(account))));
  TRY(rows->prepare(options));
  return rows;
}

}  // namespace spillway::format

#include "format/rows/parquet_rows.hpp"

#include <arrow/api.h>
#include <fmt/format.h>
#include <parquet/arrow/schema.h>

#include <algorithm>

#include "core/printable.hpp"
#include "format/parquet/arrow_value.hpp"
#include "format/parquet/parquet_file.hpp"
#include "format/rows/text_reader.hpp"
#include "format/rows/usual_columns.hpp"

namespace spillway::format {
namespace {

// kArrow where no other is like it.
ColumnType column_type(const arrow::DataType& type) {
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
    case arrow::Type::STRING_VIEW:
      return ColumnType::kString;
    case arrow::Type::BINARY:
    case arrow::Type::LARGE_BINARY:
      return ColumnType::kBinary;
    case arrow::Type::LIST: {
      const arrow::Field& item = *type.field(0);
      if (item.nullable()) return ColumnType::kArrow;
      if (item.type()->id() == arrow::Type::INT32) return ColumnType::kInt32List;
      if (item.type()->id() == arrow::Type::UINT32) return ColumnType::kUint32List;
      return ColumnType::kArrow;
    }
    case arrow::Type::DICTIONARY: {
      const auto value = column_type(*static_cast<const arrow::DictionaryType&>(type).value_type());
      return value == ColumnType::kString ? ColumnType::kDictionary : ColumnType::kArrow;
    }
    default:
      return ColumnType::kArrow;
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
    case arrow::Type::STRING_VIEW:
      return static_cast<const arrow::BinaryViewArray&>(array).GetView(row);
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
  explicit ParquetRows(std::unique_ptr<ParquetFile> file)
      : file_(std::move(file)), rows_(file_->metadata().num_rows()) {}

  Result<void> prepare(const RowOptions& options) {
    schema_ = TRY(file_->schema());
    first_token_ = options.first_token;
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
      if (first_token_) {
        put_text(row, text, most_text_, too_long_);
      } else {
        if (!text.empty()) row.text = text.substr(0, most_text_);
        if (text.size() > most_text_) row.problem = too_long_;
      }
    }
    carried_bytes_.clear();
    ValueWriter values(carried_bytes_);
    std::optional<std::string_view> problem;
    for (size_t i = 1; i < places_.size() && !problem; ++i) problem = put(i, values);
    if (!problem && carried_bytes_.size() > kMaxCarried) problem = kCarriedTooLong;
    row.carried = problem ? empty_carried_ : carried_bytes_;
    if (problem) row.problem = *problem;
    ++at_;
    ++done_;
    return true;
  }
  const std::vector<ColumnSpec>& carried() const override { return carried_; }
  const std::string& guessed_column() const override { return guessed_; }
  double fraction() const override {
    return rows_ > 0 ? static_cast<double>(done_) / static_cast<double>(rows_) : 1.0;
  }

 private:
  // What is wrong with the value at `place`, if anything.
  std::optional<std::string_view> put(size_t place, ValueWriter& values) {
    const arrow::Array& column = *batch_->column(places_[place]);
    const ColumnType type = carried_[place - 1].type;
    // Before it grows: a value may be as large as a batch.
    if (carried_bytes_.size() > kMaxCarried) return kCarriedTooLong;
    if (type == ColumnType::kArrow && column.IsValid(at_)) {
      value_.clear();
      const auto problem = append_value(column, at_, kMaxCarried, value_);
      values.text(value_);
      return problem;
    }
    const bool is_string = type == ColumnType::kString || type == ColumnType::kDictionary;
    if (is_string && column.IsValid(at_) && text_at(column, at_).size() > kMaxCarried)
      return kCarriedTooLong;
    if (is_list(type) && column.IsValid(at_) &&
        static_cast<const arrow::ListArray&>(column).value_length(at_) > int64_t{kMaxCarried / 4})
      return kCarriedTooLong;
    put_value(column, at_, values);
    if (file_->texts_are_utf8() || !is_string || column.IsNull(at_)) return std::nullopt;
    if (is_utf8(text_at(column, at_))) return std::nullopt;
    return "a carried column is not UTF-8";
  }

  // The file's columns that hold the parts of a field.
  void add_leaves(const parquet::arrow::SchemaField& field, std::vector<int>& leaves) const {
    if (field.column_index >= 0) leaves.push_back(field.column_index);
    for (const auto& child : field.children) add_leaves(child, leaves);
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

  Result<int> text_field(const RowOptions& options) {
    if (!options.text_columns.empty()) return field_of(options.text_columns[0]);
    const auto usual = TRY(usual_column(schema_->field_names(), file_->source().name()));
    if (!usual) return field_of("smiles");  // which says that there is none
    const int field = static_cast<int>(*usual);
    if (schema_->field(field)->name() != "smiles") guessed_ = schema_->field(field)->name();
    return field;
  }

  Result<void> choose(const RowOptions& options) {
    if (options.text_columns.size() > 1) {
      return fail(Code::kUsage, file_->source().name() +
                                    ": --smiles-column may be given once for Parquet; each row is "
                                    "one molecule");
    }
    const int text = TRY(text_field(options));
    const std::string& name = schema_->field(text)->name();
    const auto type = column_type(*schema_->field(text)->type());
    if (type != ColumnType::kString && type != ColumnType::kDictionary) {
      return fail(
          Code::kUsage,
          fmt::format("{}: column '{}' is {}, not text", file_->source().name(), printable(name),
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
      ColumnSpec carried{field->name(), column_type(*field->type()), field->nullable(), {}};
      const auto written = written_type(field->type());
      if (!written) {
        return fail(Code::kUsage,
                    fmt::format("{}: column '{}' is {}, which cannot be carried; leave it out with "
                                "--carry",
                                file_->source().name(), printable(field->name()),
                                printable(field->type()->ToString(), 100)));
      }
      if (carried.type == ColumnType::kArrow) carried.arrow = TRY(type_text(written));
      carried_.push_back(std::move(carried));
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
    for (const int field : sorted)
      add_leaves(file_->manifest().schema_fields[static_cast<size_t>(field)], leaves);
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
  std::string carried_bytes_, empty_carried_, guessed_, value_, too_long_;
  bool first_token_ = true;
  size_t most_text_ = kMaxText;
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

#include "format/parquet/arrow_value.hpp"

#include <arrow/api.h>
#include <arrow/extension_type.h>
#include <arrow/io/memory.h>
#include <arrow/ipc/api.h>
#include <fmt/format.h>

#include "core/printable.hpp"

namespace spillway::format {
namespace {

using arrow::Type;

std::shared_ptr<arrow::Field> written_field(const std::shared_ptr<arrow::Field>& field) {
  auto type = written_type(field->type());
  return type ? arrow::field(field->name(), std::move(type), field->nullable()) : nullptr;
}

void append_count(std::string& out, int64_t count) {
  const auto narrow = static_cast<uint32_t>(count);
  out.append(reinterpret_cast<const char*>(&narrow), sizeof narrow);
}

std::optional<std::string_view> append_text(std::string_view text, bool must_be_utf8, size_t most,
                                            std::string& out) {
  if (text.size() > most) return kValueTooLong;
  append_count(out, static_cast<int64_t>(text.size()));
  out += text;
  if (must_be_utf8 && !is_utf8(text)) return "a carried column is not UTF-8";
  return std::nullopt;
}

std::optional<std::string_view> append_item(const arrow::Array& array, int64_t row, bool nullable,
                                            size_t most, std::string& out) {
  if (out.size() > most) return kValueTooLong;
  const bool there = array.IsValid(row);
  if (!there && !nullable) return "a carried column has a null where its type has none";
  out += there ? '\1' : '\0';
  return there ? append_value(array, row, most, out) : std::nullopt;
}

template <class List>
std::optional<std::string_view> append_list(const arrow::Array& array, int64_t row, size_t most,
                                            std::string& out) {
  const auto& list = static_cast<const List&>(array);
  const bool nullable = array.type()->field(0)->nullable();
  const int64_t begin = list.value_offset(row), count = list.value_length(row);
  append_count(out, count);
  for (int64_t i = 0; i < count; ++i) {
    if (auto problem = append_item(*list.values(), begin + i, nullable, most, out)) return problem;
  }
  return std::nullopt;
}

std::optional<std::string_view> append_struct(const arrow::Array& array, int64_t row, size_t most,
                                              std::string& out) {
  const auto& fields = static_cast<const arrow::StructArray&>(array);
  for (int i = 0; i < fields.num_fields(); ++i) {
    const bool nullable = array.type()->field(i)->nullable();
    if (auto problem = append_item(*fields.field(i), row, nullable, most, out)) return problem;
  }
  return std::nullopt;
}

}  // namespace

ValueKind value_kind(const arrow::DataType& type) {
  switch (type.id()) {
    case Type::NA:
      return ValueKind::kNull;
    case Type::BOOL:
      return ValueKind::kBool;
    case Type::STRING:
    case Type::BINARY:
    case Type::LARGE_STRING:
    case Type::LARGE_BINARY:
      return ValueKind::kText;
    case Type::LIST:
    case Type::LARGE_LIST:
    case Type::FIXED_SIZE_LIST:
    case Type::MAP:
      return ValueKind::kList;
    case Type::STRUCT:
      return ValueKind::kStruct;
    default:
      return ValueKind::kFixed;
  }
}

int64_t fixed_width(const arrow::DataType& type) {
  return static_cast<const arrow::FixedWidthType&>(type).byte_width();
}

std::shared_ptr<arrow::DataType> written_type(const std::shared_ptr<arrow::DataType>& type) {
  switch (type->id()) {
    case Type::STRING_VIEW:
      return arrow::utf8();
    case Type::BINARY_VIEW:
      return arrow::binary();
    case Type::DICTIONARY:
      return written_type(static_cast<const arrow::DictionaryType&>(*type).value_type());
    case Type::EXTENSION:
      return written_type(static_cast<const arrow::ExtensionType&>(*type).storage_type());
    case Type::LIST:
    case Type::LARGE_LIST:
    case Type::LIST_VIEW:
    case Type::LARGE_LIST_VIEW:
    case Type::FIXED_SIZE_LIST: {
      const auto item = written_field(type->field(0));
      if (!item) return nullptr;
      if (type->id() == Type::LIST || type->id() == Type::LIST_VIEW) return arrow::list(item);
      if (type->id() != Type::FIXED_SIZE_LIST) return arrow::large_list(item);
      return arrow::fixed_size_list(
          item, static_cast<const arrow::FixedSizeListType&>(*type).list_size());
    }
    case Type::MAP: {
      const auto& map = static_cast<const arrow::MapType&>(*type);
      const auto key = written_field(map.key_field()), item = written_field(map.item_field());
      if (!key || !item) return nullptr;
      return std::make_shared<arrow::MapType>(key, item, map.keys_sorted());
    }
    case Type::STRUCT: {
      arrow::FieldVector fields;
      for (const auto& field : type->fields()) {
        fields.push_back(written_field(field));
        if (!fields.back()) return nullptr;
      }
      return fields.empty() ? nullptr : arrow::struct_(fields);
    }
    case Type::NA:
    case Type::BOOL:
    case Type::UINT8:
    case Type::INT8:
    case Type::UINT16:
    case Type::INT16:
    case Type::UINT32:
    case Type::INT32:
    case Type::UINT64:
    case Type::INT64:
    case Type::HALF_FLOAT:
    case Type::FLOAT:
    case Type::DOUBLE:
    case Type::STRING:
    case Type::BINARY:
    case Type::LARGE_STRING:
    case Type::LARGE_BINARY:
    case Type::FIXED_SIZE_BINARY:
    case Type::DATE32:
    case Type::DATE64:
    case Type::TIMESTAMP:
    case Type::TIME32:
    case Type::TIME64:
    case Type::DURATION:
    case Type::DECIMAL32:
    case Type::DECIMAL64:
    case Type::DECIMAL128:
    case Type::DECIMAL256:
      return type;
    default:
      return nullptr;
  }
}

Result<std::string> type_text(const std::shared_ptr<arrow::DataType>& type) {
  const auto buffer = arrow::ipc::SerializeSchema(*arrow::schema({arrow::field("", type)}));
  if (!buffer.ok()) return fail(Code::kInvalid, buffer.status().ToString());
  return (*buffer)->ToString();
}

Result<std::shared_ptr<arrow::DataType>> type_of(const std::string& text) {
  arrow::io::BufferReader reader(arrow::Buffer::FromString(text));
  arrow::ipc::DictionaryMemo memo;
  const auto schema = arrow::ipc::ReadSchema(&reader, &memo);
  if (!schema.ok()) return fail(Code::kInternal, schema.status().ToString());
  return (*schema)->field(0)->type();
}

std::optional<std::string_view> append_value(const arrow::Array& array, int64_t row, size_t most,
                                             std::string& out) {
  switch (array.type_id()) {
    case Type::DICTIONARY: {
      const auto& coded = static_cast<const arrow::DictionaryArray&>(array);
      const int64_t at = coded.GetValueIndex(row);
      if (coded.dictionary()->IsNull(at)) return "a carried column has a null in its dictionary";
      return append_value(*coded.dictionary(), at, most, out);
    }
    case Type::EXTENSION:
      return append_value(*static_cast<const arrow::ExtensionArray&>(array).storage(), row, most,
                          out);
    case Type::STRING_VIEW:
    case Type::BINARY_VIEW:
      return append_text(static_cast<const arrow::BinaryViewArray&>(array).GetView(row),
                         array.type_id() == Type::STRING_VIEW, most, out);
    case Type::STRING:
    case Type::BINARY:
      return append_text(static_cast<const arrow::BinaryArray&>(array).GetView(row),
                         array.type_id() == Type::STRING, most, out);
    case Type::LARGE_STRING:
    case Type::LARGE_BINARY:
      return append_text(static_cast<const arrow::LargeBinaryArray&>(array).GetView(row),
                         array.type_id() == Type::LARGE_STRING, most, out);
    case Type::LIST:
    case Type::MAP:
      return append_list<arrow::ListArray>(array, row, most, out);
    case Type::LIST_VIEW:
      return append_list<arrow::ListViewArray>(array, row, most, out);
    case Type::LARGE_LIST_VIEW:
      return append_list<arrow::LargeListViewArray>(array, row, most, out);
    case Type::LARGE_LIST:
      return append_list<arrow::LargeListArray>(array, row, most, out);
    case Type::FIXED_SIZE_LIST:
      return append_list<arrow::FixedSizeListArray>(array, row, most, out);
    case Type::STRUCT:
      return append_struct(array, row, most, out);
    case Type::NA:
      return std::nullopt;
    case Type::BOOL:
      out += static_cast<const arrow::BooleanArray&>(array).Value(row) ? '\1' : '\0';
      return std::nullopt;
    default: {
      const auto width = static_cast<size_t>(fixed_width(*array.type()));
      const auto at = static_cast<size_t>(array.offset() + row);
      out.append(reinterpret_cast<const char*>(array.data()->buffers[1]->data()) + at * width,
                 width);
      return std::nullopt;
    }
  }
}

}  // namespace spillway::format

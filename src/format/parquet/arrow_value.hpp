// One value of any Arrow type that Parquet has, as bytes between reader and writer (ColumnType::kArrow).
//
// Bytes    numbers, times, decimals, fixed-size binaries: as Arrow has them; booleans one byte;
//          texts and binaries: length (4), bytes; lists and maps: count (4), then the items; structs:
//          the fields. Before each item and field a byte: 0 null, 1 there. Dictionaries are the values
//          they stand for, extensions their storage, views what they view.
// Threads  Any: plain functions.
#pragma once

#include <arrow/type_fwd.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/result.hpp"

namespace spillway::format {

// The type that a column of `type` is written as; null where it cannot be (unions, intervals, ...).
std::shared_ptr<arrow::DataType> written_type(const std::shared_ptr<arrow::DataType>& type);

// A written type as text, equal for equal types, and back.
[[nodiscard]] Result<std::string> type_text(const std::shared_ptr<arrow::DataType>& type);
[[nodiscard]] Result<std::shared_ptr<arrow::DataType>> type_of(const std::string& text);

inline constexpr std::string_view kValueTooLong = "a carried value is longer than 64 KiB";

// Appends the value at `row`, which is not null. What is wrong with it, when something is: a null
// where its type has none, text that is not UTF-8, kValueTooLong. `out` grows to twice `most` at most.
std::optional<std::string_view> append_value(const arrow::Array& array, int64_t row, size_t most,
                                             std::string& out);

// How a type's values are laid out, in the bytes and in Parquet.
enum class ValueKind { kNull, kFixed, kBool, kText, kList, kStruct };
ValueKind value_kind(const arrow::DataType& type);
int64_t fixed_width(const arrow::DataType& type);  // bytes, of kFixed

}  // namespace spillway::format

// Columns of a table and the bytes that one row's values of them take between reader and writer.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "core/result.hpp"

namespace spillway::format {

enum class ColumnType {
  kUint8,
  kUint16,
  kUint32,
  kUint64,
  kString,
  kBinary,
  kUint32List,
  kBool,
  kInt8,
  kInt16,
  kInt32,
  kInt64,
  kFloat,
  kDouble,
  kInt32List,
  kDictionary,  // strings of which few differ
  kArrow,       // any other type of Arrow's: ColumnSpec::arrow
};

inline bool is_list(ColumnType type) {
  return type == ColumnType::kUint32List || type == ColumnType::kInt32List;
}
inline bool is_text(ColumnType type) {
  return type == ColumnType::kString || type == ColumnType::kBinary ||
         type == ColumnType::kDictionary || type == ColumnType::kArrow;
}
inline bool is_real(ColumnType type) {
  return type == ColumnType::kFloat || type == ColumnType::kDouble;
}

struct ColumnSpec {
  std::string name;
  ColumnType type = ColumnType::kUint64;
  bool nullable = false;
  std::string arrow;  // of kArrow: type_text() of parquet/arrow_value.hpp
  bool is_like(const ColumnSpec& other) const {
    return name == other.name && type == other.type && arrow == other.arrow;
  }
};

// Values behind each other: a byte (0 null, 1 there), then 8 bytes (numbers, reals) or 4 bytes of
// length and the text, the list's 4-byte items, or append_value()'s bytes. Little-endian.
class ValueWriter {
 public:
  explicit ValueWriter(std::string& out) : out_(out) {}
  void null() { out_ += '\0'; }
  void number(uint64_t value) {
    out_ += '\1';
    out_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void real(double value) {
    uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof bits);
    number(bits);
  }
  void text(std::string_view value) {
    out_ += '\1';
    const auto length = static_cast<uint32_t>(value.size());
    out_.append(reinterpret_cast<const char*>(&length), sizeof length);
    out_ += value;
  }

 private:
  std::string& out_;
};

// Reads them again; whoever wrote them knows the types.
class ValueReader {
 public:
  explicit ValueReader(std::string_view bytes) : rest_(bytes) {}
  bool null() { return take(1)[0] == '\0'; }  // of the next value; then, unless null, one of:
  uint64_t number() {
    uint64_t value = 0;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }
  double real() {
    const uint64_t bits = number();
    double value = 0;
    std::memcpy(&value, &bits, sizeof value);
    return value;
  }
  std::string_view text() {
    uint32_t length = 0;
    std::memcpy(&length, take(sizeof length).data(), sizeof length);
    return take(length);
  }
  std::string_view rest() const { return rest_; }

 private:
  std::string_view take(size_t count) {
    CHECK(count <= rest_.size());
    const std::string_view taken = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return taken;
  }
  std::string_view rest_;
};

}  // namespace spillway::format

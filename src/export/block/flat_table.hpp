// The few things of FlatBuffers that Arrow's metadata needs to be read with: tables, fields, vectors.
// By hand, since Arrow C++ reads a batch only with its whole body, which may be gigabytes.
//
// Threads  A view: any.
// Fails    kInvalid where an offset leaves the bytes.
// Source   FlatBuffers, "FlatBuffer Internals"; Apache Arrow, format/Message.fbs.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>

#include "core/result.hpp"

namespace spillway::exporter {

class FlatTable {
 public:
  static Result<FlatTable> root(std::span<const uint8_t> bytes) {
    FlatTable table(bytes, 0);
    table.at_ = TRY(table.number<uint32_t>(0));
    return table;
  }
  // Where the field's value stands; 0 when the field is not there.
  Result<uint64_t> field(uint32_t index) const {
    const auto back = TRY(number<int32_t>(at_));
    const int64_t vtable = static_cast<int64_t>(at_) - back;
    if (vtable < 0) return fail(Code::kInvalid, "damaged metadata");
    const auto size = TRY(number<uint16_t>(static_cast<uint64_t>(vtable)));
    const uint64_t slot = 4 + 2 * uint64_t{index};
    if (slot + 2 > size) return uint64_t{0};
    const auto offset = TRY(number<uint16_t>(static_cast<uint64_t>(vtable) + slot));
    return offset == 0 ? uint64_t{0} : at_ + offset;
  }
  Result<uint64_t> reference(uint64_t at) const { return at + TRY(number<uint32_t>(at)); }
  FlatTable table_at(uint64_t at) const { return FlatTable(bytes_, at); }
  template <class T>
  Result<T> number(uint64_t at) const {
    if (at > bytes_.size() || sizeof(T) > bytes_.size() - at)
      return fail(Code::kInvalid, "damaged metadata");
    T value;
    std::memcpy(&value, bytes_.data() + at, sizeof value);
    return value;
  }

 private:
  FlatTable(std::span<const uint8_t> bytes, uint64_t at) : bytes_(bytes), at_(at) {}
  std::span<const uint8_t> bytes_;
  uint64_t at_;
};

// Where the numbers of a record batch's message stand. Message: version, header_type, header,
// bodyLength; RecordBatch: length, nodes, buffers, compression.
struct BatchFields {
  static constexpr uint8_t kRecordBatch = 3;  // of MessageHeader
  uint8_t type = 0;
  uint64_t body_length = 0, rows = 0;  // 0: not there
  uint64_t nodes = 0, buffers = 0;     // of the vectors, at their counts; 0: not there
  bool is_compressed = false;

  static Result<BatchFields> of(std::span<const uint8_t> message) {
    const FlatTable root = TRY(FlatTable::root(message));
    BatchFields fields;
    if (const uint64_t type = TRY(root.field(1)); type != 0)
      fields.type = TRY(root.number<uint8_t>(type));
    if (fields.type != kRecordBatch) return fields;
    fields.body_length = TRY(root.field(3));
    const uint64_t header = TRY(root.field(2));
    if (header == 0) return fail(Code::kInvalid, "a message without a header");
    const FlatTable batch = root.table_at(TRY(root.reference(header)));
    fields.rows = TRY(batch.field(0));
    if (const uint64_t nodes = TRY(batch.field(1)); nodes != 0)
      fields.nodes = TRY(batch.reference(nodes));
    if (const uint64_t buffers = TRY(batch.field(2)); buffers != 0)
      fields.buffers = TRY(batch.reference(buffers));
    fields.is_compressed = TRY(batch.field(3)) != 0;
    return fields;
  }
};

}  // namespace spillway::exporter

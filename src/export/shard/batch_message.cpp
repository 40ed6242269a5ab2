#include "export/shard/batch_message.hpp"

#include <arrow/api.h>
#include <arrow/ipc/api.h>

#include <array>
#include <cstring>

#include "export/block/flat_table.hpp"

namespace spillway::exporter {
namespace {

constexpr size_t kPrefix = 8;
constexpr size_t kNodes = 9, kBuffers = 19;

// The sizes of a batch's buffers in the order of the schema; 0: no validity bitmap.
std::array<uint64_t, kBuffers> buffer_sizes(const BatchShape& shape) {
  const uint64_t number = 4 * shape.rows, offsets = number + 4, items = 8 * shape.labels;
  return {0,      number,  0,
          number, 0,       number,  // x, y, z
          0,      offsets, 0,
          items,  // labels
          0,      offsets, 0,
          items,  // supervoxels
          0,      offsets, shape.frame_bytes,
          0,      number};  // block, size
}

arrow::Result<std::shared_ptr<arrow::Buffer>> metadata_of(
    const std::shared_ptr<arrow::Schema>& schema, const BatchShape& shape) {
  const auto rows = static_cast<int64_t>(shape.rows);
  // Arrow looks at offsets, never at values: those are given by size only.
  std::vector<int32_t> lists(shape.rows + 1), frames(shape.rows + 1);
  lists.back() = static_cast<int32_t>(shape.labels);
  frames.back() = static_cast<int32_t>(shape.frame_bytes);
  const auto by_size = [&](uint64_t size) {
    return std::make_shared<arrow::Buffer>(reinterpret_cast<const uint8_t*>(lists.data()),
                                           static_cast<int64_t>(size));
  };
  const auto offsets = [](const std::vector<int32_t>& values) {
    return std::make_shared<arrow::Buffer>(reinterpret_cast<const uint8_t*>(values.data()),
                                           static_cast<int64_t>(values.size() * sizeof(int32_t)));
  };
  const auto numbers = [&](auto type) {
    return arrow::ArrayData::Make(type, rows, {nullptr, by_size(4 * shape.rows)}, 0);
  };
  const auto list = [&](int field) {
    auto child = arrow::ArrayData::Make(arrow::uint64(), static_cast<int64_t>(shape.labels),
                                        {nullptr, by_size(8 * shape.labels)}, 0);
    return arrow::ArrayData::Make(schema->field(field)->type(), rows, {nullptr, offsets(lists)},
                                  {child}, 0);
  };
  const auto batch = arrow::RecordBatch::Make(
      schema, rows,
      std::vector<std::shared_ptr<arrow::ArrayData>>{
          numbers(arrow::int32()), numbers(arrow::int32()), numbers(arrow::int32()), list(3),
          list(4),
          arrow::ArrayData::Make(arrow::binary(), rows,
                                 {nullptr, offsets(frames), by_size(shape.frame_bytes)}, 0),
          numbers(arrow::uint32())});
  arrow::ipc::IpcPayload payload;
  ARROW_RETURN_NOT_OK(
      arrow::ipc::GetRecordBatchPayload(*batch, arrow::ipc::IpcWriteOptions::Defaults(), &payload));
  return payload.metadata;
}

}  // namespace

std::shared_ptr<arrow::Schema> shard_schema() {
  const auto list = arrow::list(arrow::field("item", arrow::uint64(), true));
  const auto compressed = arrow::key_value_metadata({{"compression", "true"}, {"codec", "zstd"}});
  return arrow::schema({arrow::field("chunk_x", arrow::int32(), false),
                        arrow::field("chunk_y", arrow::int32(), false),
                        arrow::field("chunk_z", arrow::int32(), false),
                        arrow::field("labels", list, false),
                        arrow::field("supervoxels", list, false),
                        arrow::field("dvid_compressed_block", arrow::binary(), false, compressed),
                        arrow::field("uncompressed_size", arrow::uint32(), false)});
}

Result<std::vector<uint8_t>> batch_message_by_arrow(const std::shared_ptr<arrow::Schema>& schema,
                                                    const BatchShape& shape) {
  const auto made = metadata_of(schema, shape);
  if (!made.ok()) return fail(Code::kInternal, made.status().ToString());
  const arrow::Buffer& message = **made;
  const auto size = static_cast<size_t>(message.size());
  std::vector<uint8_t> bytes(padded(kPrefix + size));
  const uint32_t prefix[2] = {0xFFFFFFFFu, static_cast<uint32_t>(bytes.size() - kPrefix)};
  std::memcpy(bytes.data(), prefix, kPrefix);
  std::memcpy(bytes.data() + kPrefix, message.data(), size);
  return bytes;
}

Result<BatchMessage> BatchMessage::create(const std::shared_ptr<arrow::Schema>& schema) {
  BatchMessage made;
  made.bytes_ = TRY(batch_message_by_arrow(schema, {1, 1, 1}));
  const auto message = std::span<const uint8_t>(made.bytes_).subspan(kPrefix);
  const BatchFields fields = TRY(BatchFields::of(message));
  const auto other = [] {
    return fail(Code::kInternal, "this Arrow makes record batches of another shape");
  };
  if (fields.body_length == 0 || fields.rows == 0 || fields.nodes == 0 || fields.buffers == 0)
    return other();
  const auto count_at = [&](uint64_t at) {
    uint32_t count;
    std::memcpy(&count, message.data() + at, sizeof count);
    return count;
  };
  if (fields.nodes + 4 + 16 * kNodes > message.size() ||
      fields.buffers + 4 + 16 * kBuffers > message.size() || count_at(fields.nodes) != kNodes ||
      count_at(fields.buffers) != kBuffers)
    return other();
  made.body_length_at_ = kPrefix + fields.body_length;
  made.rows_at_ = kPrefix + fields.rows;
  made.nodes_at_ = kPrefix + fields.nodes + 4;
  made.buffers_at_ = kPrefix + fields.buffers + 4;
  for (const BatchShape& shape : {BatchShape{1, 24, 3500}, {7, 0, 1}, {1000, 30001, 123456789}}) {
    const auto ours = made.of(shape);
    const auto theirs = TRY(batch_message_by_arrow(schema, shape));
    if (!std::equal(ours.begin(), ours.end(), theirs.begin(), theirs.end())) return other();
  }
  return made;
}

uint64_t BatchMessage::body_length(const BatchShape& shape) {
  uint64_t length = 0;
  for (const uint64_t size : buffer_sizes(shape)) length += padded(size);
  return length;
}

std::span<const uint8_t> BatchMessage::of(const BatchShape& shape) {
  const auto put = [this](size_t at, uint64_t value) {
    std::memcpy(bytes_.data() + at, &value, sizeof value);
  };
  put(rows_at_, shape.rows);
  const uint64_t rows = shape.rows, items = shape.labels;
  const std::array<uint64_t, kNodes> nodes{rows, rows, rows, rows, items, rows, items, rows, rows};
  for (size_t i = 0; i < kNodes; ++i) put(nodes_at_ + 16 * i, nodes[i]);  // null counts stay 0
  uint64_t offset = 0;
  const auto sizes = buffer_sizes(shape);
  for (size_t i = 0; i < kBuffers; ++i) {
    put(buffers_at_ + 16 * i, offset);
    put(buffers_at_ + 16 * i + 8, sizes[i]);
    offset += padded(sizes[i]);
  }
  put(body_length_at_, offset);
  return bytes_;
}

}  // namespace spillway::exporter

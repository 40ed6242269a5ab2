// The message in front of a shard's record batch: made once by Arrow C++, then only its numbers are
// changed, which is what a shard with one row a batch is fast by.
//
// Layout   docs/formats.md, "Arrow shards".
// Cost     About 0.1 us a batch; Arrow C++ takes 10.
// Threads  One.
// Fails    create: kInternal when Arrow makes a message of another shape than is known here.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/result.hpp"

namespace arrow {
class Schema;
}

namespace spillway::exporter {

// Up to the next multiple of 8.
inline uint64_t padded(uint64_t size) { return (size + 7) & ~uint64_t{7}; }

// The columns of a batch, by size.
struct BatchShape {
  uint64_t rows = 0;
  uint64_t labels = 0;       // items of all lists of one column
  uint64_t frame_bytes = 0;  // of all blocks
  bool operator==(const BatchShape&) const = default;
};

class BatchMessage {
 public:
  [[nodiscard]] static Result<BatchMessage> create(const std::shared_ptr<arrow::Schema>& schema);

  // The message with its 8-byte prefix, padded to 8; valid until the next call.
  std::span<const uint8_t> of(const BatchShape& shape);
  static uint64_t body_length(const BatchShape& shape);

 private:
  std::vector<uint8_t> bytes_;
  size_t body_length_at_ = 0, rows_at_ = 0, nodes_at_ = 0, buffers_at_ = 0;
};

std::shared_ptr<arrow::Schema> shard_schema();

// What Arrow C++ makes itself, for the check at creation and for tests.
[[nodiscard]] Result<std::vector<uint8_t>> batch_message_by_arrow(
    const std::shared_ptr<arrow::Schema>& schema, const BatchShape& shape);

}  // namespace spillway::exporter

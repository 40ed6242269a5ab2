// Arrow shards: an IPC stream of rows (one a block) and a CSV index beside it.
//
// Layout   docs/formats.md, "Arrow shards". Batches are cut by row count only.
// Memory   Writer: what Writer::room() says, whatever the rows: a batch that is larger than its
//          buffers lies on scratch until its size is known.
// Cost     A row is copied into its batch's columns, if it does not last, and once into the file's
//          buffer. Bytes written twice only where a batch is above the buffers.
// Threads  One, and the one of WriteBehind.
// Fails    kDiskFull, kIo, kScratchFull; kTooLarge when a batch passes 2^31 bytes in a column.
// Source   Apache Arrow, format/Message.fbs; message metadata begins as Arrow C++ makes it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/bytes.hpp"
#include "core/disk/scratch.hpp"
#include "core/file/write_behind.hpp"
#include "core/memory/budget.hpp"
#include "core/result.hpp"
#include "export/spec/row.hpp"

namespace spillway::exporter {

struct ShardFigures {
  uint64_t rows = 0, batches = 0, bytes = 0, csv_bytes = 0;
  std::string sha256, csv_sha256;
};

// Writes shards one after the other, each to the two paths given.
class ArrowShardWriter {
 public:
  static Bytes room(uint64_t batch_rows);
  // `lease`: room().
  [[nodiscard]] static Result<std::unique_ptr<ArrowShardWriter>> create(
      uint64_t batch_rows, const std::shared_ptr<ScratchSpace>& space, Lease lease,
      WriteBehind::Tap tap);
  virtual ~ArrowShardWriter() = default;

  [[nodiscard]] virtual Result<void> begin(const std::string& arrow_path,
                                           const std::string& csv_path) = 0;
  [[nodiscard]] virtual Result<void> add(const RowView& row) = 0;  // in file order
  // As add(), but supervoxels and frame stay where they are until settle(): where a batch is whole by
  // then they are copied once less.
  [[nodiscard]] virtual Result<void> add_lasting(const RowView& row) = 0;
  [[nodiscard]] virtual Result<void> settle() = 0;
  [[nodiscard]] virtual Result<ShardFigures> end() = 0;  // not yet synced
};

}  // namespace spillway::exporter

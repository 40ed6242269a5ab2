// Reads an Arrow shard row by row, without copying what a row holds.
//
// Small batches are read many at a time through one window; of a batch that is larger than that
// each column has a window of its own.
//
// Memory   room(), for life: the windows, and one row of any size.
// Threads  One.
// Cost     One read of 512 KiB for as many batches as it holds; about 0.1 us a row.
// Fails    open, next: kInvalid, with file and byte, on what is no shard; kIo.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "core/memory/budget.hpp"
#include "core/memory/pages.hpp"
#include "export/spec/volume_spec.hpp"

namespace spillway::exporter {

struct ArrowMessage {
  uint64_t offset = 0, size = 0;  // of a whole record batch in the file
};

struct ArrowRow {
  BlockAt at{};
  uint32_t block_size = 0;
  uint64_t offset = 0;  // of the frame in the file
  std::span<const uint8_t> supervoxels, frame;
  std::span<const uint8_t> labels;  // with kAll: as many as supervoxels, else kInvalid
  ArrowMessage message;             // that it stands in
  uint64_t number = 0;              // there
  bool is_last = false;             // there
  bool is_lasting = false;          // its bytes stay until the next row of another message
  size_t bytes() const { return supervoxels.size() + frame.size(); }
};

class ArrowReader {
 public:
  enum class Columns { kBlocks, kAll };  // kBlocks: all but `labels`, which are not looked at
  static Bytes room(Columns columns = Columns::kBlocks);
  // `lease`: room(columns).
  [[nodiscard]] static Result<std::unique_ptr<ArrowReader>> create(
      Lease lease, Columns columns = Columns::kBlocks);
  virtual ~ArrowReader() = default;

  [[nodiscard]] virtual Result<void> open(const std::string& path) = 0;  // the next file
  // Valid until the next call; none at the end of the file.
  [[nodiscard]] virtual Result<std::optional<ArrowRow>> next() = 0;
  virtual uint64_t schema_size() const = 0;  // of the file's whole first message
};

}  // namespace spillway::exporter

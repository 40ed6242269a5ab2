// Writes rows to one Parquet file, column by column, in bounded memory.
//
// The file appears under its name only when it is whole: written beside it, footer, fsync, read
// back, renamed. zstd, page checksums, a seal over every byte (parquet_seal.hpp); the same rows give
// the same bytes. Row groups hold 122,880 rows; long files have larger ones, up to eight times that,
// so that the footer, which stays in memory until the end, grows with the logarithm of the rows.
//
// Memory   Charged to `account`: cost(columns), and above it 1.5 KiB a column of each row group.
//          A row group's values wait on scratch, column by column, and one column is encoded at a
//          time: how wide the rows are does not matter. Refusal is kMemoryLimit.
//          Outside the ledger: zstd's contexts, which the codec allocates itself.
// Threads  One. Arrow's own thread pools are not used.
// Fails    kDiskFull, kIo, kMemoryLimit, kScratchFull. Destroyed without close(): nothing is left.
// Source   Apache Parquet format 2.6, through Apache Arrow C++.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/disk/scratch.hpp"
#include "core/memory/budget.hpp"
#include "core/result.hpp"
#include "format/column.hpp"

namespace spillway::format {

struct ParquetOptions {
  std::vector<ColumnSpec> columns;
  std::vector<std::pair<std::string, std::string>> metadata;  // into the footer
  std::string partial;  // the temporary name, on the same file system; empty: path + ".partial"
  std::shared_ptr<ScratchSpace> space;  // where values wait; required
};

class ParquetWriter {
 public:
  static constexpr int64_t kRowGroupRows = 122880;  // of the first ones

  [[nodiscard]] static Result<std::unique_ptr<ParquetWriter>> create(std::string path,
                                                                     ParquetOptions options,
                                                                     Account account);
  static Bytes cost(size_t columns);
  virtual ~ParquetWriter() = default;

  // One value a column, in the order of the columns; then end_row().
  virtual void number(uint64_t value) = 0;  // signed ones as two's complement
  virtual void real(double value) = 0;
  virtual void text(std::string_view value) = 0;
  virtual void list(std::span<const uint32_t> values) = 0;
  virtual void null() = 0;
  [[nodiscard]] virtual Result<void> end_row() = 0;

  // Into the footer, at any time before close().
  virtual void metadata(const std::string& key, const std::string& value) = 0;
  [[nodiscard]] virtual Result<void> close() && = 0;
  virtual uint64_t rows() const = 0;
};

}  // namespace spillway::format

// Writes rows to one Parquet file, column by column, in bounded memory.
//
// The file appears under its name only when it is whole: written beside it, footer, fsync, read
// back, renamed. Row groups hold 122,880 rows whatever the memory; zstd; the same rows give the
// same bytes.
//
// Memory   Arrow's allocations are charged to `account`, at most cost(); refusal is kMemoryLimit.
//          With scratch (`space`) a row group's values wait there, column by column, and only one
//          column is encoded at a time; without, the row group is gathered in memory.
//          Outside the ledger: zstd's contexts, which the codec allocates itself, and the footer.
// Threads  One. Arrow's own thread pools are not used.
// Fails    kDiskFull, kIo, kMemoryLimit. Destroyed without close(): nothing is left.
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
  std::shared_ptr<ScratchSpace> space;  // where a row group's values wait for their column
};

class ParquetWriter {
 public:
  static constexpr int64_t kRowGroupRows = 122880;

  [[nodiscard]] static Result<std::unique_ptr<ParquetWriter>> create(std::string path,
                                                                     ParquetOptions options,
                                                                     Account account);
  // What a writer may come to hold: a row group of rows of `row_bytes` (the mean over a row group),
  // as if nothing compressed, and each column's page, batch and dictionary.
  static Bytes cost(const ParquetOptions& options, Bytes row_bytes);
  // The same with scratch: one column's pages, and a buffer a column; row groups of any width.
  static Bytes cost(size_t columns) { return 5_MiB + columns * 128_KiB; }
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

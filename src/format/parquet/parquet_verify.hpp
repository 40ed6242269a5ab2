// Whether a Parquet file that spillway wrote is, byte for byte, what was written.
//
// Both hashes of its seal are held against the file; then every page of every column is read (its
// CRC, its decompression) and counted against the footer. Damage is told by row group, column and
// page where it lies in one.
//
// Memory   1 MiB and a page, from `account`. Cost: the file, twice.
// Fails    kCorrupt: damaged. kInvalid: has no seal, so another program wrote it. kCancelled.
#pragma once

#include <cstdint>
#include <stop_token>
#include <string>

#include "core/memory/budget.hpp"
#include "core/result.hpp"

namespace spillway::format {

struct ParquetContents {
  uint64_t rows = 0, row_groups = 0, columns = 0, pages = 0;
};
[[nodiscard]] Result<ParquetContents> verify_parquet_file(const std::string& path, Account account,
                                                          const std::stop_token& stop);

}  // namespace spillway::format

// Reads a mapping from Parquet: the columns `supervoxel` and `body`, int64 or uint64, without nulls.
//
// Memory   Arrow's, charged to `account`: a batch of rows of both columns and their pages.
// Threads  One.
// Fails    kInvalid (no such column, another type, a null), kMemoryLimit, kIo.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "core/memory/budget.hpp"
#include "core/result.hpp"

namespace spillway::exporter {

[[nodiscard]] Result<void> read_parquet_pairs(
    const std::string& path, Account account,
    const std::function<Result<void>(uint64_t supervoxel, uint64_t body)>& take);

}  // namespace spillway::exporter

// Reads a mapping from Parquet: the columns `supervoxel` and `body`, of 32 or 64 bits, signed or not,
// without nulls and negative numbers.
//
// Memory   Arrow's, charged to `account`: a batch of rows of both columns and their pages.
// Threads  One.
// Fails    kInvalid (no such column, another type, a null, a negative number with its row), kMemoryLimit, kIo.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>

#include "core/file/source.hpp"
#include "core/memory/budget.hpp"
#include "core/result.hpp"

namespace spillway::exporter {

[[nodiscard]] Result<void> read_parquet_pairs(
    std::unique_ptr<Source> source, Account account,
    const std::function<Result<void>(uint64_t, uint64_t)>& take, const std::stop_token& stop);

}  // namespace spillway::exporter

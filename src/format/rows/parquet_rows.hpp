// Rows of a Parquet file; see row_reader.hpp for what they are.
//
// Memory   Pages are read and decoded one by one (a row group may hold any number of rows), in
//          batches of RowReader::kBatchRows rows, all from a LeasedPool on `account`.
#pragma once

#include <memory>

#include "format/rows/row_reader.hpp"

namespace spillway::format {

[[nodiscard]] Result<std::unique_ptr<RowReader>> open_parquet_rows(std::unique_ptr<Source> source,
                                                                   const RowOptions& options,
                                                                   Account account);

}  // namespace spillway::format

// Arrow shards as blocks: the rows of every .arrow file of a folder, their zstd frames untouched.
//
// Order    Files in name order, rows in file order; any order of rows is read.
// Memory   A unit of about 512 KiB of rows from the account, or one row of any legal size; a record
//          batch's columns are read by range, never the batch as a whole.
// Threads  One.
// Fails    kInvalid for another schema, an offset out of order or beyond the batch (with the file
//          and the byte), kIo. The frames are not opened here.
// Source   Apache Arrow IPC stream format; messages are read with Arrow C++.
#pragma once

#include <memory>
#include <string>

#include "export/source/block_source.hpp"

namespace spillway::exporter {

// `folder`: s<S> of an export.
[[nodiscard]] Result<std::unique_ptr<BlockSource>> open_arrow_source(const std::string& folder,
                                                                     uint64_t missing,
                                                                     Account account);
Bytes arrow_source_floor();

}  // namespace spillway::exporter

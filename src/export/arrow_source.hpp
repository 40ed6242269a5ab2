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
#include <vector>

#include "export/block_source.hpp"

namespace spillway::exporter {

// `folder`: s<S> of an export.
[[nodiscard]] Result<std::unique_ptr<BlockSource>> open_arrow_source(const std::string& folder,
                                                                     Account account);
Bytes arrow_source_floor();

// One file with all its columns, for who checks it: each item's bytes are its supervoxels, its frame,
// and then its labels, of the same length as the supervoxels (else kInvalid).
class ArrowFile : public BlockSource {
 public:
  struct Message {
    uint64_t offset = 0, size = 0;  // of the item's whole record batch
    uint64_t row = 0;               // in it
  };
  // Of the items of the unit that was read last.
  virtual const std::vector<Message>& messages() const = 0;
  virtual uint64_t schema_size() const = 0;  // of the whole first message; after the first next()
};
[[nodiscard]] Result<std::unique_ptr<ArrowFile>> open_arrow_file(const std::string& path,
                                                                 Account account);
Bytes arrow_file_floor();

}  // namespace spillway::exporter

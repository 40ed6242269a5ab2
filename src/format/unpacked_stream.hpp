// The bytes that bzip2 or zstd packed. Streams (frames) behind each other are one, zero bytes behind
// them are padding; anything else there is an error. gzip is ByteStream's.
//
// Memory   unpacking_cost(), leased from `account` by unpacked() and kept for life. bzip2 unpacks in
//          less than 4 MiB; of zstd, windows up to 8 MiB are read, which levels up to 19 keep to.
// Threads  One.
// Fails    kMemoryLimit; kInvalid: damaged or cut short, with its offset; a window above 8 MiB; and
//          as `packed` does.
// Source   libbz2 1.0, libzstd 1.5.
#pragma once

#include <memory>

#include "core/memory/budget.hpp"
#include "format/byte_stream.hpp"

namespace spillway::format {

enum class Unpack { kBzip2, kZstd };
Bytes unpacking_cost(Unpack packing);
[[nodiscard]] Result<std::unique_ptr<ByteStream>> unpacked(std::unique_ptr<ByteStream> packed,
                                                           Unpack packing, Account& account);

}  // namespace spillway::format

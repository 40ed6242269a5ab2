// How much memory the decoding of a Thrift structure (compact protocol, as in a Parquet footer) will
// take, counted before it is decoded: three bytes of a hostile footer become a kilobyte in memory.
//
// Memory   A fixed stack. Cost: one pass. Threads: any.
// Fails    kCorrupt: cut short, nested deeper than 64, a list longer than what is left of the bytes.
// Source   Apache Thrift, doc/specs/thrift-compact-protocol.md.
#pragma once

#include <cstdint>
#include <span>

#include "core/bytes.hpp"

namespace spillway::format {

[[nodiscard]] Result<Bytes> decoded_thrift_size(std::span<const uint8_t> bytes);

}  // namespace spillway::format

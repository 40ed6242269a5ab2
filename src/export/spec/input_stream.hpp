// Opens what is read in order: a file, a pipe, stdin ("-") or an http(s) address. The one way to do so.
//
// Memory   What format/byte_stream.hpp says, and net/stream.hpp for an address; not leased: part of the
//          program's reserve (a run has at most three of these).
// Threads  Any.
// Fails    As format/byte_stream.hpp; an address: when it is read first, a connection that is cut is kIo,
//          never a short end.
#pragma once

#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>

#include "core/result.hpp"
#include "format/byte_stream.hpp"

namespace spillway::exporter {

using format::ByteStream;

[[nodiscard]] Result<std::unique_ptr<ByteStream>> open_input(const std::string& path,
                                                             ByteStream::Gzip gzip);

// All of a small input; kTooLarge above `most`.
[[nodiscard]] Result<std::string> read_small_input(const std::string& path, uint64_t most,
                                                   const std::stop_token& stop);

}  // namespace spillway::exporter

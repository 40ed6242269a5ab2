// A source's bytes in order, inflated when it is gzip (told by its first two bytes, not its name).
//
// Several gzip members behind each other are one stream, and zero bytes behind the last are padding,
// as gzip(1) has it.
//
// Memory   cost(): one buffer; with gzip the window too, allocated by zlib.
// Threads  One.
// Fails    kCorrupt: gzip that is cut short or damaged, with the offset in the compressed file.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "core/bytes.hpp"
#include "core/file/source.hpp"

namespace spillway::format {

class ByteStream {
 public:
  static Bytes cost() { return Bytes(size_t{192} << 10); }
  [[nodiscard]] static Result<std::unique_ptr<ByteStream>> open(std::unique_ptr<Source> source);
  virtual ~ByteStream() = default;
  // The next bytes, at most out.size(); 0 at the end.
  [[nodiscard]] virtual Result<size_t> read(std::span<uint8_t> out) = 0;
  virtual const Source& source() const = 0;
};

}  // namespace spillway::format

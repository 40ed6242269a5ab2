// Bytes one after the other, of a file, a pipe, stdin or any Source; inflated where wanted when they are
// gzip (told by the first two bytes, not by the name).
//
// What is changed while it is read is kConflict at its end. gzip: members behind each other are one
// stream, zero bytes behind them are padding, as gzip(1) has it; anything else there is an error.
//
// Memory   cost(): one buffer; with gzip the window too, allocated by zlib.
// Threads  One.
// Fails    kNotFound, kIo; kInvalid: damaged or cut gzip, with its offset, and what else it is packed
//          with, by name; kConflict.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <stop_token>
#include <string>

#include "core/bytes.hpp"
#include "core/file/source.hpp"
#include "core/result.hpp"

namespace spillway::format {

class ByteStream {
 public:
  enum class Gzip { kNever, kByContent };
  static Bytes cost() { return Bytes(size_t{192} << 10); }
  // "-": stdin.
  [[nodiscard]] static Result<std::unique_ptr<ByteStream>> open(const std::string& path, Gzip gzip);
  static std::unique_ptr<ByteStream> of(std::unique_ptr<Source> source, Gzip gzip);
  static std::unique_ptr<ByteStream> of(std::unique_ptr<ByteStream> packed, Gzip gzip);
  virtual ~ByteStream() = default;

  // Fills as much of `out` as there is; less only at the end.
  [[nodiscard]] virtual Result<size_t> read(std::span<uint8_t> out) = 0;
  virtual const std::string& name() const = 0;
  virtual uint64_t size() const { return 0; }  // 0: not known
  // Whether the bytes are those of a file, which can be read anywhere; with kByContent to be asked
  // after the first read.
  virtual bool is_plain_file() const { return false; }
  // read() fails with kCancelled from when this asks for it, also while a pipe or a network says
  // nothing.
  virtual void end_on(const std::stop_token& stop) = 0;
};

}  // namespace spillway::format

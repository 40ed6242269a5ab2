// Bytes one after the other, from a file, a pipe, stdin, an http(s) address or what a caller holds;
// gzip taken off where wanted. The one way to open what is read in order.
//
// A file that is changed while it is read (its size, its time of change, which file it is) is
// kConflict at its end. gzip: members one behind the other are one stream, zeros behind them are
// padding, anything else there is an error.
//
// Memory   One buffer of 64 KiB, and zlib's 45 KiB for gzip; what net/stream.hpp says for an address;
//          not leased: part of the program's reserve (a run has at most three of these).
// Threads  One.
// Fails    kNotFound, kIo (a connection that is cut, too: never a short end); kInvalid for damaged
//          gzip, with the offset, and for what else it is packed with; kConflict.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <stop_token>
#include <string>

#include "core/result.hpp"

namespace spillway::exporter {

class ByteSource {
 public:
  enum class Gzip { kNever, kByContent };  // kByContent: when the bytes begin with 1f 8b
  // "-": stdin.
  [[nodiscard]] static Result<std::unique_ptr<ByteSource>> open(const std::string& path, Gzip gzip);
  using ReadAt = std::function<Result<void>(uint64_t offset, std::span<uint8_t> out)>;
  // `size` bytes that can be read anywhere.
  static std::unique_ptr<ByteSource> of(std::string name, uint64_t size, ReadAt read_at, Gzip gzip);
  virtual ~ByteSource() = default;
  // Fills as much of `out` as there is; less only at the end.
  [[nodiscard]] virtual Result<size_t> read(std::span<uint8_t> out) = 0;
  virtual const std::string& path() const = 0;
  virtual uint64_t size() const { return 0; }  // 0: not known
  // Whether the bytes are those of a file, which can be read anywhere; with kByContent to be asked
  // after the first read.
  virtual bool is_plain_file() const { return false; }
  // Waits for the network end when this asks for it. A file's do not wait.
  virtual void end_on(const std::stop_token&) {}
};

// All of a small input; kTooLarge above `most`.
[[nodiscard]] Result<std::string> read_small_input(const std::string& path, uint64_t most,
                                                   const std::stop_token& stop);

}  // namespace spillway::exporter

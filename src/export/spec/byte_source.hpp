// Bytes one after the other, from a file, stdin or an http(s) address, gzip taken off where wanted.
//
// Memory   One buffer of 64 KiB, and zlib's 45 KiB for gzip; what net/stream.hpp says for an address;
//          not leased: part of the program's reserve (a run has at most three of these).
// Threads  One.
// Fails    kNotFound, kIo (a connection that is cut, too: never a short end); kInvalid for damaged
//          gzip, with the offset.
#pragma once

#include <cstdint>
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
  virtual ~ByteSource() = default;
  // Fills as much of `out` as there is; less only at the end.
  [[nodiscard]] virtual Result<size_t> read(std::span<uint8_t> out) = 0;
  virtual const std::string& path() const = 0;
  virtual uint64_t size() const { return 0; }  // 0: not known
  // Waits for the network end when this asks for it. A file's do not wait.
  virtual void end_on(const std::stop_token&) {}
};

}  // namespace spillway::exporter

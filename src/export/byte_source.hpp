// Bytes one after the other, from a file or stdin, gzip taken off where wanted.
//
// Memory   One buffer of 64 KiB, and zlib's 45 KiB for gzip; not leased: part of the program's
//          reserve (a run has at most three of these).
// Threads  One.
// Fails    kNotFound, kIo; kInvalid for damaged gzip, with the offset.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
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
};

}  // namespace spillway::exporter

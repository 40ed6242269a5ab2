// Gzip members written in one call: by ISA-L at level 1, by libdeflate at 2 to 9.
//
// A chunk of 31 KB of compressed_segmentation, one core, in bytes and time: level 1 6,133 in 68 us, 2 5,259 in 158 us,
// 6 4,924 in 320 us, 9 4,793 in 1,214 us (bench/results.md).
//
// Memory   About 400 KiB, whatever the level. Threads: one at a time.
// Fails    Never, with bound() bytes to write to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace spillway::exporter {

class Gzip {
 public:
  static constexpr unsigned kFastest = 1, kSmallest = 9;
  static constexpr size_t bound(size_t bytes) { return bytes + bytes / 1024 + 256; }

  [[nodiscard]] static std::unique_ptr<Gzip> create(unsigned level);
  virtual ~Gzip() = default;
  // The bytes written to `out`, which has at least bound(bytes.size()).
  virtual size_t compress(std::span<const uint8_t> bytes, std::span<uint8_t> out) = 0;
};

}  // namespace spillway::exporter

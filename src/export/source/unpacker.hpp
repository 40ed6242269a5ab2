// Takes off what a chunk is packed with, into room that the caller has.
//
// Memory   gzip, zstd: some 200 KiB, part of the program's reserve. brotli: what `arena` holds,
//          brotli_room() for chunks of that many bytes.
// Threads  One.
// Fails    kInvalid, in words: damaged, longer than the room, bytes behind it; for brotli without an
//          arena.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "core/result.hpp"

namespace spillway::exporter {

enum class Packing { kNone, kGzip, kZstd, kBrotli };

// By the first bytes; brotli has none to know it by.
Packing packing_of(std::span<const uint8_t> bytes);

class Unpacker {
 public:
  static size_t brotli_room(size_t bytes);
  Unpacker();
  ~Unpacker();
  Unpacker(const Unpacker&) = delete;
  Unpacker& operator=(const Unpacker&) = delete;

  void give_arena(std::span<uint8_t> arena) { arena_ = arena; }
  // How many bytes it made.
  [[nodiscard]] Result<size_t> unpack(Packing packing, std::span<const uint8_t> packed,
                                      std::span<uint8_t> out);

 private:
  Result<size_t> gzip(std::span<const uint8_t> packed, std::span<uint8_t> out);
  Result<size_t> zstd(std::span<const uint8_t> packed, std::span<uint8_t> out);
  Result<size_t> brotli(std::span<const uint8_t> packed, std::span<uint8_t> out);

  struct State;
  const std::unique_ptr<State> state_;
  std::span<uint8_t> arena_;
};

}  // namespace spillway::exporter

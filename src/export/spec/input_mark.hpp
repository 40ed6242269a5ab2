// What tells one input from another, so that a run is only continued over the input it began with.
//
// glance   Before reading: the size of a file and a hash of its first and last 64 KiB; of a folder,
//          its info, or else the names and sizes of its files, and its manifest.json, which has
//          their hashes. Not the time of change: a copy is the same input.
// sum      Of what was read: a hash of each block's coordinates and content, added up, so that it is
//          the same for any threads; and for any order where the order makes no difference.
// Threads  glance: any. ContentSum: one owner; sums of several threads are joined.
// Cost     glance: two reads a file, one listing of a folder without info. sum: 10 ns a block.
// Fails    kIo.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "core/result.hpp"
#include "export/spec/volume_spec.hpp"

namespace spillway::exporter {

// Empty for what cannot be looked at twice: stdin, an address.
[[nodiscard]] Result<std::string> glance_at(const std::string& source);
// The newest time of change, in ns since 1970, of the file, or of what is looked at of a folder; none as above.
[[nodiscard]] Result<std::optional<int64_t>> last_change(const std::string& source);

class ContentSum {
 public:
  void add(std::span<const uint8_t> item);
  // A block by the hash of its content; `ordinal` only where the order makes a difference.
  void add_block(BlockAt at, const std::array<uint64_t, 2>& hash, uint64_t ordinal = 0,
                 bool is_reject = false);
  void join(const ContentSum& other);
  std::string hex() const;

 private:
  std::array<uint64_t, 2> sum_{};
  uint64_t items_ = 0;
};

}  // namespace spillway::exporter

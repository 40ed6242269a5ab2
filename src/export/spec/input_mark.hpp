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
#include <filesystem>
#include <optional>
#include <span>
#include <string>

#include "core/result.hpp"
#include "export/spec/volume_spec.hpp"

namespace spillway::exporter {

// Empty for what cannot be looked at twice: stdin, an address.
[[nodiscard]] Result<std::string> glance_at(const std::string& source);
// The newest time of change of the file, or of what is looked at of a folder; none as above.
std::optional<std::filesystem::file_time_type> last_change(const std::string& source);

// A file at one time, so that it can be told whether it is still what it was.
struct FileState {
  uint64_t device = 0, inode = 0, size = 0;
  int64_t changed_ns = 0;
  bool operator==(const FileState&) const = default;

  [[nodiscard]] static Result<FileState> of(int fd, const std::string& path);
  // What the name leads to now.
  [[nodiscard]] static Result<FileState> at(const std::string& path);
  // kConflict, naming it, when the name leads to anything else by now.
  [[nodiscard]] Result<void> must_be_still(const std::string& path) const;
};
[[nodiscard]] Error changed_while_read(const std::string& path);

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

// A file written from begin to end through one buffer, hashed as it goes. It is not synced: who
// publishes it does that.
//
// Threads  One. Memory: the buffer.
// Fails    kIo, kDiskFull.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"
#include "export/shard/write_behind.hpp"
#include "export/spec/sha256.hpp"

namespace spillway::exporter {

inline uint64_t padded(uint64_t size) { return (size + 7) & ~uint64_t{7}; }

class OutputFile {
 public:
  enum class Hash { kAsItGoes, kNone };
  explicit OutputFile(size_t buffer, Hash hash = Hash::kAsItGoes)
      : hashes_(hash == Hash::kAsItGoes), own_(buffer), room_(own_) {}
  // Through the buffers of `behind`, which outlives it and serves one file at a time.
  explicit OutputFile(WriteBehind& behind) : behind_(&behind) {}
  ~OutputFile() { drop(); }
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  [[nodiscard]] Result<void> open(const std::string& path);
  [[nodiscard]] Result<void> append(std::span<const uint8_t> bytes);
  [[nodiscard]] Result<void> append(std::string_view text);
  [[nodiscard]] Result<void> pad();  // with zeros to a multiple of 8
  // Changes what was appended before; for files that are not hashed.
  [[nodiscard]] Result<void> write_at(uint64_t offset, std::span<const uint8_t> bytes);
  uint64_t size() const { return written_ + used_; }
  [[nodiscard]] Result<std::string> close();  // SHA-256 of what was appended, if hashed

 private:
  Result<void> flush();
  void drop();

  bool hashes_ = true;
  WriteBehind* behind_ = nullptr;
  std::string path_;
  int fd_ = -1;
  std::vector<uint8_t> own_;
  std::span<uint8_t> room_;
  size_t used_ = 0;
  uint64_t written_ = 0;
  Sha256 hash_;
};

}  // namespace spillway::exporter

// A file that survives the process: written under a temporary name, fsynced, renamed, its folder
// fsynced. Whoever sees the final name sees the whole content. Not a scratch file: the two types
// share nothing.
//
// Threads  One owner.
// Fails    kIo, kDiskFull. A file that is destroyed without commit() is unlinked.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "core/bytes.hpp"
#include "core/result.hpp"

namespace spillway {

class DurableFile {
 public:
  // The temporary is `path` + ".partial" in the same folder; an old one is replaced.
  [[nodiscard]] static Result<DurableFile> create(std::string path);

  DurableFile(DurableFile&& other) noexcept;
  DurableFile& operator=(DurableFile&& other) noexcept;
  ~DurableFile();

  [[nodiscard]] Result<void> append(std::span<const uint8_t> data);
  [[nodiscard]] Result<void> append(std::string_view text);
  [[nodiscard]] Result<void> write_at(uint64_t offset,
                                      std::span<const uint8_t> data);  // within what was appended
  uint64_t size() const { return size_; }
  int fd() const { return fd_; }
  const std::string& path() const { return path_; }

  // fsync, rename to the final name, fsync the folder.
  [[nodiscard]] Result<void> commit() &&;

 private:
  DurableFile() = default;
  std::string path_;
  int fd_ = -1;
  uint64_t size_ = 0;
};

// Whole small files: for results and configuration, at most a few MiB.
[[nodiscard]] Result<void> write_durably(const std::string& path, std::string_view content);
[[nodiscard]] Result<std::string> read_small_file(const std::string& path, uint64_t max_size);
// Gives a whole file that a library wrote its final name: fsync, rename, fsync of the folder.
[[nodiscard]] Result<void> adopt_durably(const std::string& from, const std::string& to);
[[nodiscard]] Result<void> sync_folder(const std::string& folder);

}  // namespace spillway

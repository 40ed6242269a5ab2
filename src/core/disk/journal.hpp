// What a job has finished, one durable line a piece: the file that resume reads.
//
// The first line is the job's configuration. Opening a journal that another configuration wrote is
// refused. A line counts once append() returned: it is on disk, checksummed and numbered. A last
// line that a crash cut short is removed; damage before the last line is an error, never skipped.
//
// Layout   docs/formats.md, "Journal": text lines "<XXH3-64 of the rest, 16 hex digits> <number>
//          <entry>\n".
// Cost     One write and one fdatasync an entry: a few ms on a disk. For units of work of seconds.
// Memory   The longest line while it is opened; entries are at most kMaxEntry bytes.
// Threads  One at a time.
// Fails    kUsage (another configuration), kCorrupt, kIo, kDiskFull. After a failed sync every
//          later append() fails too: what is not known to be on the disk is never built upon.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "core/file/file.hpp"
#include "core/result.hpp"

namespace spillway {

class Journal {
 public:
  static constexpr size_t kMaxEntry = size_t{1} << 20;
  using Replay = std::function<Result<void>(std::string_view entry)>;

  // Makes the file, or reads the one that is there: `replay` gets each entry in order. Both texts
  // are single lines (JSON without line breaks).
  [[nodiscard]] static Result<Journal> open(std::string path, std::string_view configuration,
                                            const Replay& replay);

  // What the journal at `path` is of, without reading it; an empty text when no line was written whole.
  struct Head {
    std::string configuration;
    bool has_entries = false;
  };
  [[nodiscard]] static Result<Head> head_of(const std::string& path);

  [[nodiscard]] Result<void> append(std::string_view entry);

  uint64_t entries() const { return next_ - 1; }  // without the configuration
  const std::string& path() const { return path_; }

 private:
  explicit Journal(std::string path) : path_(std::move(path)) {}
  Result<void> write_line(std::string_view entry);
  Result<void> read_back(std::string_view configuration, const Replay& replay);

  std::string path_;
  File file_;
  uint64_t size_ = 0;  // bytes that are whole lines
  uint64_t next_ = 0;  // number of the next line; 0 is the configuration
};

}  // namespace spillway

// Disk space that dies with the process: unnamed files in one folder, under one limit.
//
// Files are made with O_TMPFILE (or made and unlinked), so a killed process leaves nothing. Every
// byte written counts against --scratch-limit until its file is closed or the range is punched out.
// ENOSPC is an ordinary error that names the folder, what is used and what was needed. tmpfs is
// memory and is refused.
//
// Threads  ScratchSpace: any. ScratchFile: append() by one thread at a time; read() by any, also
//          beside an append.
// Fails    kScratchFull, kIo; create(): kInvalid for tmpfs, kNotFound for a missing folder.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "core/bytes.hpp"
#include "core/file/file.hpp"
#include "core/file/source.hpp"
#include "core/result.hpp"

namespace spillway {

class ScratchFile;

class ScratchSpace : public std::enable_shared_from_this<ScratchSpace> {
 public:
  struct Options {
    std::string folder;
    Bytes limit;               // 0: 90 % of what the disk has free at creation
    bool allow_tmpfs = false;  // tests only
  };
  [[nodiscard]] static Result<std::shared_ptr<ScratchSpace>> create(Options options);

  [[nodiscard]] Result<ScratchFile> open();

  const std::string& folder() const { return folder_; }
  Bytes limit() const { return limit_; }
  Bytes used() const { return Bytes(used_.load(std::memory_order_relaxed)); }
  Bytes peak() const { return Bytes(peak_.load(std::memory_order_relaxed)); }
  Bytes written() const {
    return Bytes(written_.load(std::memory_order_relaxed));
  }  // in total, for the report
  // Accounts for bytes that another kind of file (a checkpoint) keeps in the same folder.
  // kScratchFull when over the limit.
  [[nodiscard]] Result<void> reserve(Bytes bytes);
  void give_back(Bytes bytes);
  // A refused write to a file in `folder`, told so that the user knows which disk is full.
  Error explain(Error error, const std::string& folder) const;

 private:
  friend class ScratchFile;
  ScratchSpace() = default;
  std::string folder_;
  bool has_own_limit_ = false;  // else of the disk
  Bytes limit_;
  std::atomic<uint64_t> used_{0}, peak_{0}, written_{0};
};

class ScratchFile {
 public:
  ScratchFile() = default;  // closed
  ScratchFile(ScratchFile&& other) noexcept;
  ScratchFile& operator=(ScratchFile&& other) noexcept;
  ~ScratchFile();  // gives the space back

  bool is_open() const { return file_.is_open(); }
  uint64_t size() const { return size_; }
  // Writes all of `data` at the end; returns its offset.
  [[nodiscard]] Result<uint64_t> append(std::span<const uint8_t> data);
  // Writes all of `data` at `offset`, which may lie beyond the end (extents handed out by the
  // caller).
  [[nodiscard]] Result<void> write_at(uint64_t offset, std::span<const uint8_t> data);
  // Reads exactly `out.size()` bytes; a short file is kCorrupt.
  [[nodiscard]] Result<void> read_at(uint64_t offset, std::span<uint8_t> out) const;
  // Has a range read from the disk ahead of read_at(), where many runs in one file are read in turn.
  void will_read(uint64_t offset, uint64_t length) const;
  // Returns a consumed range to the disk and to the limit (page-aligned inside the range).
  void punch(uint64_t offset, uint64_t length);

 private:
  friend class ScratchSpace;
  std::shared_ptr<ScratchSpace> space_;
  File file_;
  uint64_t size_ = 0;
  std::atomic<uint64_t> charged_{0};
};

// A whole scratch file as a source; `name` is told in messages.
std::unique_ptr<Source> source_of(std::shared_ptr<const ScratchFile> file, std::string name);

}  // namespace spillway

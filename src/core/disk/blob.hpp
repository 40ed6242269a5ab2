// An append-only run of bytes that lives in memory while its account lends, and in a file of the
// work folder after that.
//
// A blob starts in memory. The first refusal moves the whole of it to its file and it stays there;
// moving acquires nothing. persist() makes it survive the process: it is written to its file (if it
// was in memory: as a copy, memory stays in use) and fsynced. The file is unlinked when the blob is
// destroyed, unless keep() was called: then its bytes stay counted in the scratch space, and whoever
// removes it later gives them back.
//
// Order    Bytes are found again by the offset that append() returned.
// Memory   Chunks of up to 1 MiB leased from `account`; appended pieces never straddle chunks, so
//          each is one span.
// Threads  append(), persist(), spill(): one thread. read(): any number of threads while none of
//          those runs.
// Fails    kScratchFull, kDiskFull, kIo; read: kCorrupt on a short file; persist: kCancelled, and the
//          blob is as it was.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "core/disk/scratch.hpp"
#include "core/memory/budget.hpp"
#include "core/memory/pages.hpp"

namespace spillway {

class Blob {
 public:
  static constexpr size_t kMaxPiece = size_t{1} << 20;

  // `path`: where the file is when there is one. `space` carries the disk limit.
  static std::unique_ptr<Blob> create(std::string path, Account account,
                                      std::shared_ptr<ScratchSpace> space);
  // A file left by persist(), `size` bytes of it.
  [[nodiscard]] static Result<std::unique_ptr<Blob>> open(std::string path, uint64_t size,
                                                          std::shared_ptr<ScratchSpace> space);
  ~Blob();
  Blob(const Blob&) = delete;
  Blob& operator=(const Blob&) = delete;

  [[nodiscard]] Result<uint64_t> append(std::span<const uint8_t> piece);  // <= kMaxPiece
  // The bytes at [offset, offset + length): a view of memory, or read into `buffer` (>= length).
  [[nodiscard]] Result<const uint8_t*> read(uint64_t offset, size_t length,
                                            std::span<uint8_t> buffer) const;

  [[nodiscard]] Result<void> persist(const std::stop_token& stop = {});
  void keep() { keep_ = true; }
  void let_go() { keep_ = false; }
  bool is_kept() const { return keep_; }
  [[nodiscard]] Result<void> spill();  // to its file now; frees the memory

  uint64_t size() const { return size_; }
  bool in_memory() const { return !file_.is_open() || !chunks_.empty(); }
  const std::string& path() const { return path_; }

 private:
  struct Chunk {
    Pages pages;
    uint64_t begin;  // offset of its first byte
    size_t used;
  };
  Blob(std::string path, Account account, std::shared_ptr<ScratchSpace> space)
      : path_(std::move(path)), account_(std::move(account)), space_(std::move(space)) {}
  Result<void> open_file();
  Result<void> write(std::span<const uint8_t> piece);
  Result<void> flush_tail(const std::stop_token& stop);

  std::string path_;
  Account account_;
  std::shared_ptr<ScratchSpace> space_;
  std::deque<Chunk> chunks_;  // empty when the blob is in its file
  File file_;
  uint64_t size_ = 0;
  uint64_t written_ = 0;  // bytes that are in the file
  bool keep_ = false;
  bool synced_ = false;
};

}  // namespace spillway

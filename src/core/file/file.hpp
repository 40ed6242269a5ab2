// An open file. Every call to the system about files' contents is made here, whole (short counts and
// EINTR are handled), with a fault site each (core/fault.hpp); core/file/folders.hpp has those about
// names.
//
// A failed sync is final: the system may have dropped what it could not write and say so once only.
// Every later sync of this File fails too, so nothing written after it counts as durable.
//
// Threads  read_at(), write_at(): any, also beside each other. The rest: one at a time.
// Fails    by errno's class (core/result.hpp); kCorrupt when a file ends before what is read.
#pragma once

#include <cstdint>
#include <span>
#include <stop_token>
#include <string>

#include "core/result.hpp"

namespace spillway {

struct FileInfo {
  enum class Kind { kFile, kFolder, kDevice, kOther };  // kOther: a pipe, a socket
  Kind kind = Kind::kOther;
  uint64_t size = 0;
  int64_t changed_ns = 0;  // the content's last change, since 1970
  uint64_t device = 0, inode = 0;

  bool is_folder() const { return kind == Kind::kFolder; }
  bool is_file() const { return kind == Kind::kFile; }
  bool is_same_file(const FileInfo& other) const {
    return device == other.device && inode == other.inode;
  }
  bool operator==(const FileInfo&) const = default;
};

class File {
 public:
  enum class Mode {
    kRead,
    kUpdate,   // read and write what is there
    kKeep,     // the same, made when missing
    kReplace,  // the same, emptied
  };
  File() = default;  // closed
  // To read a pipe that nobody has opened yet does not wait here, but in read().
  [[nodiscard]] static Result<File> open(std::string path, Mode mode = Mode::kRead);
  [[nodiscard]] static Result<File> open_folder(std::string path);
  // Without a name: gone with the process.
  [[nodiscard]] static Result<File> unnamed(const std::string& folder);
  static File standard_input();
  File(File&& other) noexcept;
  File& operator=(File&& other) noexcept;
  ~File();

  bool is_open() const { return fd_ >= 0; }
  const std::string& path() const { return path_; }
  void rename(std::string path) { path_ = std::move(path); }  // in messages

  [[nodiscard]] Result<void> write_at(uint64_t offset, std::span<const uint8_t> data) const;
  [[nodiscard]] Result<void> read_at(uint64_t offset, std::span<uint8_t> out) const;
  // As much of `out` as there is; less only at the end.
  [[nodiscard]] Result<size_t> read_some_at(uint64_t offset, std::span<uint8_t> out) const;
  // The same from where the last one ended: of a pipe, too, which is waited for until it says
  // something, or ends, or `stop`: kCancelled within 0.1 s.
  [[nodiscard]] Result<size_t> read(std::span<uint8_t> out, const std::stop_token& stop = {});
  [[nodiscard]] Result<FileInfo> info() const;
  [[nodiscard]] Result<void> truncate(uint64_t size);
  [[nodiscard]] Result<void> sync();              // the content is on the disk
  [[nodiscard]] Result<void> sync_names();        // of a folder: the names in it are
  [[nodiscard]] Result<void> sync_file_system();  // and all else of its file system
  // False: another process has it. Held until this is closed.
  [[nodiscard]] Result<bool> try_lock();

  // Hints; what a file system cannot do is not done.
  void write_direct(bool direct) const;                    // past the page cache
  void will_read(uint64_t offset, uint64_t length) const;  // ahead of read_at()
  void forget_pages() const;                               // out of the page cache
  bool punch(uint64_t offset, uint64_t length) const;      // back to the disk

 private:
  File(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  Result<void> sync_with(int (*call)(int));

  std::string path_;
  int fd_ = -1;
  int lost_ = 0;  // the errno of a failed sync
};

}  // namespace spillway

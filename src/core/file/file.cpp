#include "core/file/file.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <utility>

#include "core/fault.hpp"
#include "core/file/info_of.hpp"

namespace spillway {
namespace {

int open_with(const char* path, int flags) {
  return fault::fails(fault::Site::kOpen) ? -1 : ::open(path, flags | O_CLOEXEC, 0644);
}

// Until there is something to read, or the end: a pipe that nobody has opened yet has neither.
Result<void> wait_readable(int fd, const std::string& path, const std::stop_token& stop) {
  while (true) {
    if (stop.stop_requested()) return fail(Code::kCancelled, "stopped while reading " + path);
    pollfd one{fd, POLLIN, 0};
    const int ready = ::poll(&one, 1, 100);
    if (ready > 0) return {};
    if (ready < 0 && errno != EINTR) return fail_errno("reading " + path);
  }
}

}  // namespace

Result<File> File::open(std::string path, Mode mode) {
  int flags = O_RDONLY | O_NONBLOCK;
  if (mode == Mode::kUpdate) flags = O_RDWR;
  if (mode == Mode::kKeep) flags = O_RDWR | O_CREAT;
  if (mode == Mode::kReplace) flags = O_RDWR | O_CREAT | O_TRUNC;
  const int fd = open_with(path.c_str(), flags);
  if (fd < 0 && errno == ENOENT && mode <= Mode::kUpdate)
    return fail(Code::kNotFound, path + ": no such file", ENOENT);
  if (fd < 0) return fail_errno((mode <= Mode::kUpdate ? "opening " : "creating ") + path);
  return File(std::move(path), fd);
}

Result<File> File::open_folder(std::string path) {
  const int fd = open_with(path.c_str(), O_RDONLY | O_DIRECTORY);
  if (fd < 0) return fail_errno("opening " + path);
  return File(std::move(path), fd);
}

Result<File> File::unnamed(const std::string& folder) {
  int fd = open_with(folder.c_str(), O_TMPFILE | O_EXCL | O_RDWR);
  if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL)) {
    std::string name = folder + "/scratch-XXXXXX";
    fd = ::mkostemp(name.data(), O_CLOEXEC);
    if (fd >= 0) ::unlink(name.c_str());
  }
  if (fd < 0) return fail_errno("making a scratch file in " + folder);
  return File("scratch in " + folder, fd);
}

File File::standard_input() { return File("stdin", STDIN_FILENO); }

File::File(File&& other) noexcept
    : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)), lost_(other.lost_) {}

File& File::operator=(File&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(fd_, other.fd_);
  std::swap(lost_, other.lost_);
  return *this;
}

File::~File() {
  if (fd_ > STDIN_FILENO) ::close(fd_);
}

Result<void> File::write_at(uint64_t offset, std::span<const uint8_t> data) const {
  while (!data.empty()) {
    size_t size = data.size();
    if (fault::hit(fault::Site::kShortWrite) != 0) size = std::max<size_t>(1, size / 2);
    const ssize_t written = fault::fails(fault::Site::kWrite)
                                ? -1
                                : ::pwrite(fd_, data.data(), size, static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return fail_errno("writing " + path_);
    offset += static_cast<uint64_t>(written);
    data = data.subspan(static_cast<size_t>(written));
  }
  return {};
}

Result<void> File::read_at(uint64_t offset, std::span<uint8_t> out) const {
  if (TRY(read_some_at(offset, out)) == out.size()) return {};
  return fail(Code::kCorrupt, path_ + ": is shorter than expected");
}

Result<size_t> File::read_some_at(uint64_t offset, std::span<uint8_t> out) const {
  size_t filled = 0;
  while (filled < out.size()) {
    const std::span<uint8_t> rest = out.subspan(filled);
    const ssize_t got =
        fault::fails(fault::Site::kRead)
            ? -1
            : ::pread(fd_, rest.data(), rest.size(), static_cast<off_t>(offset + filled));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno("reading " + path_);
    if (got == 0) break;
    filled += static_cast<size_t>(got);
  }
  return filled;
}

Result<size_t> File::read(std::span<uint8_t> out, const std::stop_token& stop) {
  size_t filled = 0;
  while (filled < out.size()) {
    TRY(wait_readable(fd_, path_, stop));
    const std::span<uint8_t> rest = out.subspan(filled);
    const ssize_t got =
        fault::fails(fault::Site::kRead) ? -1 : ::read(fd_, rest.data(), rest.size());
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got < 0) return fail_errno("reading " + path_);
    if (got == 0) break;
    filled += static_cast<size_t>(got);
  }
  return filled;
}

Result<FileInfo> File::info() const {
  struct stat status {};
  if (fault::fails(fault::Site::kStat) || ::fstat(fd_, &status) != 0)
    return fail_errno("looking at " + path_);
  return info_of(status);
}

Result<void> File::truncate(uint64_t size) {
  if (fault::fails(fault::Site::kTruncate) || ::ftruncate(fd_, static_cast<off_t>(size)) != 0)
    return fail_errno("shortening " + path_);
  return {};
}

Result<void> File::sync_with(int (*call)(int)) {
  if (lost_ != 0) return fail(Error::from_errno("an earlier sync failed: " + path_, lost_));
  if (!fault::fails(fault::Site::kSync) && call(fd_) == 0) return {};
  lost_ = errno;
  return fail(Error::from_errno("syncing " + path_, lost_));
}

Result<void> File::sync() { return sync_with(::fdatasync); }
Result<void> File::sync_names() { return sync_with(::fsync); }
Result<void> File::sync_file_system() { return sync_with(::syncfs); }

Result<bool> File::try_lock() {
  if (!fault::fails(fault::Site::kLock) && ::flock(fd_, LOCK_EX | LOCK_NB) == 0) return true;
  if (errno == EWOULDBLOCK) return false;
  return fail_errno("locking " + path_);
}

void File::write_direct(bool direct) const {
  const int flags = ::fcntl(fd_, F_GETFL);
  if (flags >= 0) (void)::fcntl(fd_, F_SETFL, direct ? flags | O_DIRECT : flags & ~O_DIRECT);
}

void File::will_read(uint64_t offset, uint64_t length) const {
  (void)::posix_fadvise(fd_, static_cast<off_t>(offset), static_cast<off_t>(length),
                        POSIX_FADV_WILLNEED);
}

void File::forget_pages() const { (void)::posix_fadvise(fd_, 0, 0, POSIX_FADV_DONTNEED); }

bool File::punch(uint64_t offset, uint64_t length) const {
  return !fault::fails(fault::Site::kFallocate) &&
         ::fallocate(fd_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                     static_cast<off_t>(length)) == 0;
}

}  // namespace spillway

#include "core/disk/file_io.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "core/fault.hpp"

namespace spillway {
namespace {

ssize_t write_some(int fd, const uint8_t* data, size_t size, uint64_t offset) {
  if (const int error = fault::hit(fault::Site::kWrite); error != 0) {
    errno = error;
    return -1;
  }
  if (fault::hit(fault::Site::kShortWrite) != 0) size = std::max<size_t>(1, size / 2);
  return ::pwrite(fd, data, size, static_cast<off_t>(offset));
}

}  // namespace

Result<void> write_fully_at(int fd, uint64_t offset, std::span<const uint8_t> data,
                            const std::string& path) {
  while (!data.empty()) {
    const ssize_t written = write_some(fd, data.data(), data.size(), offset);
    if (written < 0) {
      if (errno == EINTR) continue;
      return fail_errno("writing " + path);
    }
    offset += static_cast<uint64_t>(written);
    data = data.subspan(static_cast<size_t>(written));
  }
  return {};
}

Result<void> read_fully_at(int fd, uint64_t offset, std::span<uint8_t> out,
                           const std::string& path) {
  while (!out.empty()) {
    if (const int error = fault::hit(fault::Site::kRead); error != 0) {
      errno = error;
      return fail_errno("reading " + path);
    }
    const ssize_t got = ::pread(fd, out.data(), out.size(), static_cast<off_t>(offset));
    if (got < 0) {
      if (errno == EINTR) continue;
      return fail_errno("reading " + path);
    }
    if (got == 0) return fail(Code::kCorrupt, path + ": is shorter than expected");
    offset += static_cast<uint64_t>(got);
    out = out.subspan(static_cast<size_t>(got));
  }
  return {};
}

Result<void> sync_file(int fd, const std::string& path) {
  if (const int error = fault::hit(fault::Site::kSync); error != 0) {
    errno = error;
    return fail_errno("syncing " + path);
  }
  if (::fdatasync(fd) != 0) return fail_errno("syncing " + path);
  return {};
}

}  // namespace spillway

#include "core/disk/scratch.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <utility>

#include "core/disk/file_io.hpp"

namespace spillway {

Result<std::shared_ptr<ScratchSpace>> ScratchSpace::create(Options options) {
  struct statfs disk {};
  if (::statfs(options.folder.c_str(), &disk) != 0)
    return fail_errno("--scratch " + options.folder);
  if (disk.f_type == TMPFS_MAGIC && !options.allow_tmpfs) {
    return fail(
        Code::kInvalid,
        fmt::format("{}: is on tmpfs, which is memory; choose a folder on a disk with --scratch",
                    options.folder));
  }
  auto space = std::shared_ptr<ScratchSpace>(new ScratchSpace);
  space->folder_ = options.folder;
  const uint64_t free = static_cast<uint64_t>(disk.f_bavail) * static_cast<uint64_t>(disk.f_frsize);
  space->limit_ = options.limit > Bytes(0) ? options.limit : Bytes(free / 10 * 9);
  return space;
}

Result<void> ScratchSpace::reserve(Bytes bytes) {
  const uint64_t used = used_.fetch_add(bytes.count(), std::memory_order_relaxed) + bytes.count();
  if (used > limit_.count()) {
    used_.fetch_sub(bytes.count(), std::memory_order_relaxed);
    return fail(
        Code::kScratchFull,
        fmt::format("scratch in {} is full: raise --scratch-limit (used {} of {}, needed {} more)",
                    folder_, to_string(Bytes(used - bytes.count())), to_string(limit_),
                    to_string(bytes)));
  }
  written_.fetch_add(bytes.count(), std::memory_order_relaxed);
  uint64_t peak = peak_.load(std::memory_order_relaxed);
  while (used > peak && !peak_.compare_exchange_weak(peak, used, std::memory_order_relaxed)) {
  }
  return {};
}

Error ScratchSpace::explain(Error error) const {
  if (error.code() != Code::kDiskFull) return error;
  return Error(Code::kScratchFull,
               fmt::format("the disk under scratch in {} is full (we use {} of it); make room or "
                           "choose another folder with --scratch",
                           folder_, to_string(used())));
}

void ScratchSpace::give_back(Bytes bytes) {
  used_.fetch_sub(bytes.count(), std::memory_order_relaxed);
}

Result<ScratchFile> ScratchSpace::open() {
  ScratchFile file;
  file.fd_ = ::open(folder_.c_str(), O_TMPFILE | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
  if (file.fd_ < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL)) {
    std::string name = folder_ + "/scratch-XXXXXX";
    file.fd_ = ::mkostemp(name.data(), O_CLOEXEC);
    if (file.fd_ >= 0) ::unlink(name.c_str());
  }
  if (file.fd_ < 0) return fail_errno("making a scratch file in " + folder_);
  file.space_ = shared_from_this();
  return file;
}

ScratchFile::ScratchFile(ScratchFile&& other) noexcept
    : space_(std::move(other.space_)),
      fd_(std::exchange(other.fd_, -1)),
      size_(std::exchange(other.size_, 0)),
      charged_(other.charged_.exchange(0)) {}

ScratchFile& ScratchFile::operator=(ScratchFile&& other) noexcept {
  if (this != &other) {
    this->~ScratchFile();
    new (this) ScratchFile(std::move(other));
  }
  return *this;
}

ScratchFile::~ScratchFile() {
  if (fd_ < 0) return;
  ::close(fd_);
  space_->give_back(Bytes(charged_.load()));
  fd_ = -1;
}

Result<uint64_t> ScratchFile::append(std::span<const uint8_t> data) {
  const uint64_t offset = size_;
  TRY(write_at(offset, data));
  return offset;
}

Result<void> ScratchFile::write_at(uint64_t offset, std::span<const uint8_t> data) {
  TRY(space_->reserve(Bytes(data.size())));
  auto written = write_fully_at(fd_, offset, data, "scratch in " + space_->folder());
  if (!written) {
    space_->give_back(Bytes(data.size()));
    return fail(space_->explain(std::move(written).error()));
  }
  charged_.fetch_add(data.size(), std::memory_order_relaxed);
  size_ = std::max(size_, offset + data.size());
  return {};
}

Result<void> ScratchFile::read_at(uint64_t offset, std::span<uint8_t> out) const {
  return read_fully_at(fd_, offset, out, "scratch in " + space_->folder());
}

void ScratchFile::will_read(uint64_t offset, uint64_t length) const {
  (void)::posix_fadvise(fd_, static_cast<off_t>(offset), static_cast<off_t>(length),
                        POSIX_FADV_WILLNEED);
}

void ScratchFile::punch(uint64_t offset, uint64_t length) {
  if (::fallocate(fd_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                  static_cast<off_t>(length)) != 0) {
    return;  // the space comes back when the file closes
  }
  const uint64_t given = std::min<uint64_t>(length, charged_.load());
  charged_.fetch_sub(given);
  space_->give_back(Bytes(given));
}

}  // namespace spillway

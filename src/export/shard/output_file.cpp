#include "export/shard/output_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/disk/file_io.hpp"

namespace spillway::exporter {

Result<void> OutputFile::open(const std::string& path) {
  drop();
  path_ = path;
  fd_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd_ < 0) return fail_errno("creating " + path);
  written_ = used_ = 0;
  if (behind_ != nullptr) room_ = behind_->buffer();
  return {};
}

Result<void> OutputFile::append(std::span<const uint8_t> bytes) {
  while (!bytes.empty()) {
    if (used_ == room_.size()) TRY(flush());
    const size_t part = std::min(bytes.size(), room_.size() - used_);
    std::memcpy(room_.data() + used_, bytes.data(), part);
    used_ += part;
    bytes = bytes.subspan(part);
  }
  return {};
}

Result<void> OutputFile::append(std::string_view text) {
  return append({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
}

Result<void> OutputFile::pad() {
  static constexpr uint8_t kZeros[8] = {};
  return append(std::span(kZeros).first(padded(size()) - size()));
}

Result<void> OutputFile::write_at(uint64_t offset, std::span<const uint8_t> bytes) {
  CHECK(!hashes_);
  TRY(flush());
  CHECK(offset + bytes.size() <= written_);
  return write_fully_at(fd_, offset, bytes, path_);
}

Result<std::string> OutputFile::close() {
  if (behind_ != nullptr && written_ > 0) TRY(behind_->finish(fd_));
  TRY(flush());
  if (::close(std::exchange(fd_, -1)) != 0) return fail_errno("closing " + path_);
  return hashes_ ? hash_.hex() : std::string();
}

Result<void> OutputFile::flush() {
  if (used_ == 0) return {};
  const std::span<const uint8_t> bytes = room_.first(used_);
  if (behind_ != nullptr && used_ == room_.size()) {
    TRY(behind_->write(fd_, written_, path_, hash_));
    room_ = behind_->buffer();
  } else {
    if (hashes_) hash_.add(bytes);
    TRY(write_fully_at(fd_, written_, bytes, path_));
  }
  written_ += used_;
  used_ = 0;
  return {};
}

void OutputFile::drop() {
  if (fd_ < 0) return;
  if (behind_ != nullptr) (void)behind_->finish(fd_);
  ::close(std::exchange(fd_, -1));
  hash_.hex();
}

}  // namespace spillway::exporter

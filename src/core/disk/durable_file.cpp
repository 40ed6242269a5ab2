#include "core/disk/durable_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <utility>

#include "core/disk/file_io.hpp"

namespace spillway {
namespace {

std::string partial(const std::string& path) { return path + ".partial"; }

std::span<const uint8_t> bytes_of(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

Result<void> publish(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) return fail_errno("renaming to " + to);
  const std::string folder = std::filesystem::path(to).parent_path().string();
  return sync_folder(folder.empty() ? "." : folder);
}

}  // namespace

Result<DurableFile> DurableFile::create(std::string path) {
  DurableFile file;
  file.path_ = std::move(path);
  file.fd_ = ::open(partial(file.path_).c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file.fd_ < 0) return fail_errno("creating " + partial(file.path_));
  return file;
}

DurableFile::DurableFile(DurableFile&& other) noexcept
    : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)), size_(other.size_) {}

DurableFile& DurableFile::operator=(DurableFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(fd_, other.fd_);
  std::swap(size_, other.size_);
  return *this;
}

DurableFile::~DurableFile() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink(partial(path_).c_str());
}

Result<void> DurableFile::append(std::span<const uint8_t> data) {
  TRY(write_fully_at(fd_, size_, data, path_));
  size_ += data.size();
  return {};
}

Result<void> DurableFile::append(std::string_view text) { return append(bytes_of(text)); }

Result<void> DurableFile::write_at(uint64_t offset, std::span<const uint8_t> data) {
  CHECK(offset + data.size() <= size_);
  return write_fully_at(fd_, offset, data, path_);
}

Result<void> DurableFile::commit() && {
  TRY(sync_file(fd_, path_));
  TRY(publish(partial(path_), path_));
  ::close(std::exchange(fd_, -1));
  return {};
}

Result<void> adopt_durably(const std::string& from, const std::string& to) {
  const int fd = ::open(from.c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) return fail_errno("opening " + from);
  auto synced = sync_file(fd, from);
  ::close(fd);
  TRY(std::move(synced));
  return publish(from, to);
}

Result<void> sync_folder(const std::string& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return fail_errno("opening " + folder);
  const int synced = ::fsync(fd);
  ::close(fd);
  if (synced != 0) return fail_errno("syncing " + folder);
  return {};
}

Result<void> write_durably(const std::string& path, std::string_view content) {
  DurableFile file = TRY(DurableFile::create(path));
  TRY(file.append(content));
  return std::move(file).commit();
}

Result<std::string> read_small_file(const std::string& path, uint64_t max_size) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fail_errno("opening " + path);
  struct stat info {};
  Result<void> got = ::fstat(fd, &info) == 0 ? Result<void>() : fail_errno("reading " + path);
  std::string text;
  if (got && static_cast<uint64_t>(info.st_size) > max_size) {
    got = fail(Code::kTooLarge, path + ": is larger than " + to_string(Bytes(max_size)));
  }
  if (got) {
    text.resize(static_cast<size_t>(info.st_size));
    got = read_fully_at(fd, 0, {reinterpret_cast<uint8_t*>(text.data()), text.size()}, path);
  }
  ::close(fd);
  if (!got) return fail(std::move(got).error());
  return text;
}

}  // namespace spillway

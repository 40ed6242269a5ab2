#include "core/disk/journal.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <optional>
#include <utility>
#include <vector>

#include "core/disk/durable_file.hpp"
#include "core/disk/file_io.hpp"

namespace spillway {
namespace {

constexpr size_t kHash = 16;  // hex digits
constexpr size_t kMaxLine = kHash + 1 + 20 + 1 + Journal::kMaxEntry + 1;

// "<number> <entry>" behind its hash, or nothing when the line is not whole.
std::optional<std::string_view> checked(std::string_view line, uint64_t number) {
  if (line.size() < kHash + 2 || line[kHash] != ' ') return std::nullopt;
  const std::string_view rest = line.substr(kHash + 1);
  if (fmt::format("{:016x}", XXH3_64bits(rest.data(), rest.size())) != line.substr(0, kHash))
    return std::nullopt;
  const std::string head = fmt::format("{} ", number);
  if (!rest.starts_with(head)) return std::nullopt;
  return rest.substr(head.size());
}

}  // namespace

Journal::Journal(Journal&& other) noexcept
    : path_(std::move(other.path_)),
      fd_(std::exchange(other.fd_, -1)),
      size_(other.size_),
      next_(other.next_) {}

Journal& Journal::operator=(Journal&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(fd_, other.fd_);
  std::swap(size_, other.size_);
  std::swap(next_, other.next_);
  return *this;
}

Journal::~Journal() {
  if (fd_ >= 0) ::close(fd_);
}

Result<Journal> Journal::open(std::string path, std::string_view configuration,
                              const Replay& replay) {
  Journal journal(std::move(path));
  journal.fd_ = ::open(journal.path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (journal.fd_ < 0) return fail_errno("opening " + journal.path_);
  TRY(journal.read_back(configuration, replay));
  if (journal.next_ == 0) {
    TRY(journal.write_line(configuration));
    const std::filesystem::path folder = std::filesystem::path(journal.path_).parent_path();
    TRY(sync_folder(folder.empty() ? "." : folder.string()));
  }
  return journal;
}

Result<void> Journal::append(std::string_view entry) {
  CHECK(next_ > 0);
  return write_line(entry);
}

Result<void> Journal::write_line(std::string_view entry) {
  CHECK(entry.size() <= kMaxEntry && entry.find('\n') == std::string_view::npos);
  const std::string rest = fmt::format("{} {}", next_, entry);
  const std::string line = fmt::format("{:016x} {}\n", XXH3_64bits(rest.data(), rest.size()), rest);
  TRY(write_fully_at(fd_, size_, {reinterpret_cast<const uint8_t*>(line.data()), line.size()},
                     path_));
  TRY(sync_file(fd_, path_));
  size_ += line.size();
  ++next_;
  return {};
}

Result<void> Journal::read_back(std::string_view configuration, const Replay& replay) {
  struct stat info {};
  if (::fstat(fd_, &info) != 0) return fail_errno("reading " + path_);
  const uint64_t end = static_cast<uint64_t>(info.st_size);
  std::vector<uint8_t> room;  // at most kMaxLine
  uint64_t bad_at = end;
  while (size_ < end) {
    room.resize(std::min<uint64_t>(kMaxLine, end - size_));
    TRY(read_fully_at(fd_, size_, room, path_));
    const auto* const stop =
        static_cast<const uint8_t*>(std::memchr(room.data(), '\n', room.size()));
    const std::string_view line(reinterpret_cast<const char*>(room.data()),
                                stop == nullptr ? 0 : static_cast<size_t>(stop - room.data()));
    const auto entry = stop == nullptr ? std::nullopt : checked(line, next_);
    if (!entry) {
      // Only the last line may be broken: it was being written when the process died.
      const bool is_last =
          stop == nullptr ? room.size() == end - size_ : size_ + line.size() + 1 == end;
      if (!is_last) {
        return fail(Code::kCorrupt,
                    fmt::format("{}: line {} (offset {}) does not match its checksum; run again "
                                "with --resume never",
                                path_, next_ + 1, size_));
      }
      bad_at = size_;
      break;
    }
    if (next_ == 0 && *entry != configuration) {
      return fail(Code::kUsage,
                  fmt::format("{}: was written by a run with other options; use the same ones, or "
                              "--resume never to start over",
                              path_));
    }
    if (next_ > 0) TRY(replay(*entry));
    size_ += line.size() + 1;
    ++next_;
  }
  if (bad_at < end && ::ftruncate(fd_, static_cast<off_t>(bad_at)) != 0)
    return fail_errno("shortening " + path_);
  return {};
}

}  // namespace spillway

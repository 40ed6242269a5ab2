#include "core/disk/journal.hpp"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <vector>

#include "core/disk/corrupt.hpp"
#include "core/file/folders.hpp"

namespace spillway {
namespace {

constexpr size_t kHash = 16;                                            // hex digits
constexpr size_t kPiece = kHash + 1 + 20 + 1 + Journal::kMaxEntry + 1;  // the longest line

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

Result<Journal> Journal::open(std::string path, std::string_view configuration,
                              const Replay& replay) {
  Journal journal(std::move(path));
  journal.file_ = TRY(File::open(journal.path_, File::Mode::kKeep));
  TRY(journal.read_back(configuration, replay));
  if (journal.next_ == 0) {
    TRY(journal.write_line(configuration));
    TRY(sync_folder(folder_of(journal.path_)));
  }
  return journal;
}

Result<Journal::Head> Journal::head_of(const std::string& path) {
  const File file = TRY(File::open(path));
  const uint64_t size = TRY(file.info()).size;
  std::string text(std::min<uint64_t>(kPiece, size), '\0');
  TRY(file.read_at(0, {reinterpret_cast<uint8_t*>(text.data()), text.size()}));
  const std::string_view line = std::string_view(text).substr(0, text.find('\n'));
  const auto entry = checked(line, 0);
  if (!entry) return Head{};
  return Head{std::string(*entry), line.size() + 1 < size};
}

Result<void> Journal::append(std::string_view entry) {
  CHECK(next_ > 0);
  return write_line(entry);
}

Result<void> Journal::write_line(std::string_view entry) {
  CHECK(entry.size() <= kMaxEntry && entry.find('\n') == std::string_view::npos);
  const std::string rest = fmt::format("{} {}", next_, entry);
  const std::string line = fmt::format("{:016x} {}\n", XXH3_64bits(rest.data(), rest.size()), rest);
  TRY(file_.write_at(size_, {reinterpret_cast<const uint8_t*>(line.data()), line.size()}));
  TRY(file_.sync());
  size_ += line.size();
  ++next_;
  return {};
}

Result<void> Journal::read_back(std::string_view configuration, const Replay& replay) {
  const uint64_t end = TRY(file_.info()).size;
  std::vector<uint8_t> room(std::min<uint64_t>(kPiece, end));
  std::span<const uint8_t> rest;  // read and not looked at
  uint64_t bad_at = end;
  while (size_ < end) {
    auto stop = std::find(rest.begin(), rest.end(), '\n');
    if (stop == rest.end() &&
        size_ + rest.size() < end) {  // a line is in the room whole, or too long
      rest = std::span(room).first(std::min<uint64_t>(room.size(), end - size_));
      TRY(file_.read_at(size_, std::span(room).first(rest.size())));
      stop = std::find(rest.begin(), rest.end(), '\n');
    }
    const bool has_end = stop != rest.end();
    const std::string_view line(reinterpret_cast<const char*>(rest.data()),
                                has_end ? static_cast<size_t>(stop - rest.begin()) : 0);
    const auto entry = has_end ? checked(line, next_) : std::nullopt;
    if (!entry) {
      // Only the last line may be broken: it was being written when the process died.
      const bool is_last = has_end ? size_ + line.size() + 1 == end : rest.size() == end - size_;
      if (!is_last) {
        return fail_corrupt(
            fmt::format("{}: line {} (offset {}) does not match its "
                        "checksum",
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
    rest = rest.subspan(line.size() + 1);
    size_ += line.size() + 1;
    ++next_;
  }
  if (bad_at < end) return file_.truncate(bad_at);
  return {};
}

}  // namespace spillway

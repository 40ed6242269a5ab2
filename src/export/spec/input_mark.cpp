#include "export/spec/input_mark.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "core/disk/file_io.hpp"
#include "export/spec/sha256.hpp"

namespace spillway::exporter {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kLook = uint64_t{64} << 10;

bool can_be_looked_at(const std::string& source) {
  std::error_code error;
  return source != "-" && source.find("://") == std::string::npos &&
         (fs::is_regular_file(source, error) || fs::is_directory(source, error));
}

// Calls `take(file)` for what tells a folder from another: its info, or all files in it.
template <class Take>
Result<void> for_each_file(const std::string& folder, Take&& take) {
  std::error_code error;
  if (fs::exists(folder + "/info", error)) {  // neuroglancer precomputed: maybe a file a chunk
    take(fs::path(folder + "/info"));
    return {};
  }
  auto at = fs::recursive_directory_iterator(folder, error);
  for (; !error && at != fs::recursive_directory_iterator(); at.increment(error)) {
    if (at->path().filename() == ".spillway") {
      at.disable_recursion_pending();
    } else if (at->is_regular_file(error)) {
      take(at->path());
    }
  }
  if (error) return fail(Code::kIo, fmt::format("listing {}: {}", folder, error.message()));
  return {};
}

Result<std::string> glance_at_file(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fail_errno("opening " + path);
  struct stat info {};
  const bool known = ::fstat(fd, &info) == 0;
  const uint64_t size = known ? static_cast<uint64_t>(info.st_size) : 0;
  std::vector<uint8_t> looked(std::min(size, 2 * kLook));
  const size_t front = std::min<uint64_t>(size, kLook);
  auto read = read_fully_at(fd, 0, std::span(looked).first(front), path);
  if (read)
    read =
        read_fully_at(fd, size - (looked.size() - front), std::span(looked).subspan(front), path);
  ::close(fd);
  TRY(std::move(read));
  return fmt::format("{} bytes, {:016x}", size, XXH3_64bits(looked.data(), looked.size()));
}

FileState state_of(const struct stat& info) {
  return {.device = info.st_dev,
          .inode = info.st_ino,
          .size = static_cast<uint64_t>(info.st_size),
          .changed_ns = int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec};
}

}  // namespace

Result<FileState> FileState::of(int fd, const std::string& path) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) return fail_errno("looking at " + path);
  return state_of(info);
}

Result<FileState> FileState::at(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) == 0) return state_of(info);
  if (errno == ENOENT) return FileState();
  return fail_errno("looking at " + path);
}

Result<void> FileState::must_be_still(const std::string& path) const {
  if (TRY(at(path)) == *this) return {};
  return fail(changed_while_read(path));
}

Error changed_while_read(const std::string& path) {
  return Error(Code::kConflict, path +
                                    ": was changed while it was read; run the same command again "
                                    "when nobody writes there");
}

Result<std::string> glance_at(const std::string& source) {
  if (!can_be_looked_at(source)) return std::string();
  std::error_code error;
  if (!fs::is_directory(source, error)) return glance_at_file(source);
  ContentSum sum;
  uint64_t files = 0;
  TRY(for_each_file(source, [&](const fs::path& path) {
    std::error_code unknown;
    const std::string text = fmt::format("{}:{}", path.lexically_relative(source).string(),
                                         fs::file_size(path, unknown));
    sum.add({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
    ++files;
  }));
  std::string seen = fmt::format("{} files, {}", files, sum.hex());
  for (const std::string& known : {source + "/info", source + "/manifest.json"}) {
    if (fs::exists(known, error))
      seen += fmt::format("; {}", TRY(sha256_of_file(known)).substr(0, 32));
  }
  return seen;
}

std::optional<fs::file_time_type> last_change(const std::string& source) {
  if (!can_be_looked_at(source)) return std::nullopt;
  std::error_code error;
  if (!fs::is_directory(source, error)) {
    const auto time = fs::last_write_time(source, error);
    return error ? std::nullopt : std::optional(time);
  }
  std::optional<fs::file_time_type> newest;
  auto walked = for_each_file(source, [&](const fs::path& path) {
    std::error_code unknown;
    const auto time = fs::last_write_time(path, unknown);
    if (!unknown && (!newest || time > *newest)) newest = time;
  });
  return walked ? newest : std::nullopt;
}

void ContentSum::add(std::span<const uint8_t> item) {
  const XXH128_hash_t hash = XXH3_128bits(item.data(), item.size());
  sum_[0] += hash.low64;
  sum_[1] += hash.high64;
  ++items_;
}

void ContentSum::add_block(BlockAt at, const std::array<uint64_t, 2>& hash, uint64_t ordinal,
                           bool is_reject) {
  struct {
    std::array<uint64_t, 2> hash;
    uint64_t ordinal;
    BlockAt at;
    uint32_t is_reject;
  } const item{hash, ordinal, at, is_reject};
  static_assert(std::has_unique_object_representations_v<decltype(item)>);
  add({reinterpret_cast<const uint8_t*>(&item), sizeof item});
}

void ContentSum::join(const ContentSum& other) {
  for (size_t i = 0; i < sum_.size(); ++i) sum_[i] += other.sum_[i];
  items_ += other.items_;
}

std::string ContentSum::hex() const {
  return fmt::format("{:016x}{:016x}{:x}", sum_[1], sum_[0], items_);
}

}  // namespace spillway::exporter

#include "export/spec/input_mark.hpp"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <vector>

#include "core/file/file.hpp"
#include "core/file/folders.hpp"
#include "core/file/sha256.hpp"

namespace spillway::exporter {
namespace {

constexpr uint64_t kLook = uint64_t{64} << 10;

Result<bool> can_be_looked_at(const std::string& source) {
  if (source == "-" || source.find("://") != std::string::npos) return false;
  const auto there = TRY(look_at(source));
  return there && (there->is_file() || there->is_folder());
}

// What tells a folder from another: its info, or all files in it.
Result<void> for_each_file(const std::string& folder, const TakeFile& take) {
  // neuroglancer precomputed: maybe a file a chunk
  if (const auto info = TRY(look_at(folder + "/info"))) return take("info", *info);
  return for_each_file_below(folder, [&](const std::string& name, const FileInfo& info) {
    const bool is_own = name.starts_with(".spillway/") || name.find("/.spillway/") != name.npos;
    return is_own ? Result<void>() : take(name, info);
  });
}

Result<std::string> glance_at_file(const std::string& path) {
  const File file = TRY(File::open(path));
  const uint64_t size = TRY(file.info()).size;
  std::vector<uint8_t> looked(std::min(size, 2 * kLook));
  const size_t front = std::min<uint64_t>(size, kLook);
  TRY(file.read_at(0, std::span(looked).first(front)));
  TRY(file.read_at(size - (looked.size() - front), std::span(looked).subspan(front)));
  return fmt::format("{} bytes, {:016x}", size, XXH3_64bits(looked.data(), looked.size()));
}

}  // namespace

Result<std::string> glance_at(const std::string& source) {
  if (!TRY(can_be_looked_at(source))) return std::string();
  if (!TRY(is_folder(source))) return glance_at_file(source);
  ContentSum sum;
  uint64_t files = 0;
  TRY(for_each_file(source, [&](const std::string& name, const FileInfo& info) -> Result<void> {
    const std::string text = fmt::format("{}:{}", name, info.size);
    sum.add({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
    ++files;
    return {};
  }));
  std::string seen = fmt::format("{} files, {}", files, sum.hex());
  for (const std::string& known : {source + "/info", source + "/manifest.json"}) {
    if (TRY(exists(known))) seen += fmt::format("; {}", TRY(sha256_of_file(known)).substr(0, 32));
  }
  return seen;
}

Result<std::optional<int64_t>> last_change(const std::string& source) {
  if (!TRY(can_be_looked_at(source))) return std::nullopt;
  const auto there = TRY(look_at(source));
  if (!there || !there->is_folder()) return there ? std::optional(there->changed_ns) : std::nullopt;
  std::optional<int64_t> newest;
  TRY(for_each_file(source, [&](const std::string&, const FileInfo& info) -> Result<void> {
    newest = std::max(newest.value_or(info.changed_ns), info.changed_ns);
    return {};
  }));
  return newest;
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

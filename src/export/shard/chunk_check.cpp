#include "export/shard/chunk_check.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <memory>
#include <optional>

#include "core/memory/pages.hpp"
#include "export/block/chunk_format.hpp"
#include "export/source/chunk_reader.hpp"
#include "export/source/volume_store.hpp"

namespace spillway::exporter {
namespace {

std::string_view name_in(std::string_view file) { return file.substr(file.rfind('/') + 1); }

size_t voxels_of(const Scale& scale) {
  return size_t{scale.chunk[0]} * scale.chunk[1] * scale.chunk[2];
}

// The number of "<hex>.shard", written as the format wants it.
std::optional<uint64_t> shard_number(std::string_view name, const Sharding& sharding) {
  const std::string_view digits = name.substr(0, name.find('.'));
  uint64_t number = 0;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), number, 16);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  const std::string right =
      fmt::format("{:0{}x}.shard", number, std::max(1u, (sharding.shard_bits + 3) / 4));
  const bool is_there = sharding.shard_bits >= 64 || number >> sharding.shard_bits == 0;
  return right == name && is_there ? std::optional(number) : std::nullopt;
}

// What of the volume the chunk "<x0>-<x1>_<y0>-<y1>_<z0>-<z1>" is.
std::optional<std::array<uint32_t, 3>> chunk_extent(std::string_view name, const Scale& scale) {
  std::array<uint32_t, 3> extent;
  const char *at = name.data(), *const end = at + name.size();
  for (size_t d = 0; d < 3; ++d) {
    int64_t range[2];
    for (size_t i = 0; i < 2; ++i) {
      const auto [next, error] = std::from_chars(at, end, range[i]);
      const bool is_last = d == 2 && i == 1;
      if (error != std::errc() ||
          (is_last ? next != end : next == end || *next != (i == 0 ? '-' : '_')))
        return std::nullopt;
      at = next + 1;
    }
    const int64_t begin = range[0] - scale.voxel_offset[d], side = scale.chunk[d];
    if (begin < 0 || begin >= scale.size[d] || begin % side != 0 ||
        range[1] - range[0] != std::min(side, scale.size[d] - begin))
      return std::nullopt;
    extent[d] = static_cast<uint32_t>(range[1] - range[0]);
  }
  return extent;
}

tl::unexpected<Error> bad(std::string what) { return fail(Code::kInvalid, std::move(what)); }

}  // namespace

const Scale* ChunkCheck::scale_of(const std::string& file) const {
  const std::string key = file.substr(0, std::min(file.rfind('/'), file.size()));
  for (const Scale& scale : volume_.scales) {
    if (scale.key == key) return &scale;
  }
  return nullptr;
}

Result<uint64_t> ChunkCheck::check(const std::string& file, const std::stop_token& stop) {
  const Scale* const scale = scale_of(file);
  if (scale == nullptr) return bad(fmt::format("{}/{}: the info has no such scale", folder_, file));
  return scale->sharding ? check_shard(file, *scale, stop) : check_chunk(file, *scale, stop);
}

Result<Lease> ChunkCheck::lease(const std::string& file, Bytes bytes) {
  auto lease = account_.try_acquire(bytes);
  if (lease) return std::move(*lease);
  return fail(Code::kMemoryLimit,
              fmt::format("{}/{}: opening its chunks needs {} more than --memory leaves", folder_,
                          file, to_string(bytes)));
}

Result<uint64_t> ChunkCheck::check_shard(const std::string& file, const Scale& scale,
                                         const std::stop_token& stop) {
  const auto number = shard_number(name_in(file), *scale.sharding);
  if (!number) return bad(fmt::format("{}/{}: is no name of a shard of this scale", folder_, file));
  const ChunkFormat format = ChunkFormat::of(volume_, scale);
  const Pages pages = TRY(Pages::map(TRY(lease(file, Bytes(voxels_of(scale) * 8)))));
  const auto reader = TRY(ChunkReader::open(TRY(VolumeStore::open(folder_)), volume_, scale,
                                            TRY(lease(file, ChunkReader::room(volume_, scale))),
                                            {.shard = *number}));
  uint64_t chunks = 0;
  while (const auto chunk = TRY(reader->next(stop))) {
    const auto done = decode_chunk(format, chunk->bytes, chunk->extent, scale.chunk,
                                   pages.as<uint64_t>().first(voxels_of(scale)));
    if (!done)
      return bad(fmt::format("{}/{}: chunk {},{},{}: {}", folder_, file, chunk->at[0], chunk->at[1],
                             chunk->at[2], done.error().message()));
    ++chunks;
  }
  return chunks;
}

Result<uint64_t> ChunkCheck::check_chunk(const std::string& file, const Scale& scale,
                                         const std::stop_token& stop) {
  const auto extent = chunk_extent(name_in(file), scale);
  if (!extent) return bad(fmt::format("{}/{}: is no name of a chunk of this scale", folder_, file));
  const ChunkFormat format = ChunkFormat::of(volume_, scale);
  const size_t bound = format.bound(scale.chunk);
  const Pages pages = TRY(Pages::map(TRY(lease(file, Bytes(voxels_of(scale) * 8)))));
  const Pages room = TRY(Pages::map(TRY(lease(file, Bytes(bound)))));
  const auto whole =
      TRY(TRY(VolumeStore::open(folder_))->read_whole(file, {room.data(), bound}, stop));
  if (!whole) return bad(fmt::format("{}/{}: vanished while it was read", folder_, file));
  const auto done = decode_chunk(format, {room.data(), whole->bytes}, *extent, scale.chunk,
                                 pages.as<uint64_t>().first(voxels_of(scale)));
  if (!done) return bad(fmt::format("{}/{}: {}", folder_, file, done.error().message()));
  return uint64_t{1};
}

}  // namespace spillway::exporter

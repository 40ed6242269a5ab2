// One block on its way through the sort: where it goes, then what is written of it.
//
// Layout   On scratch only: 20 bytes of place and 8 of ordinal, big-endian, so that memcmp is the
//          order; then RowHead as it is in memory; then the labels, the supervoxels and the frame
//          (of an Arrow row), or the chunk (precomputed) or what it is made of. A record above the sort's limit has its
//          content in a file of its own and the offset in the head.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <span>

#include "export/spec/volume_spec.hpp"

namespace spillway::exporter {

inline constexpr size_t kPlaceBytes = 20;
inline constexpr size_t kKeyBytes = kPlaceBytes + 8;

// The place of a block among all, 20 bytes that compare like the output's order.
using Place = std::array<uint8_t, kPlaceBytes>;

// A number in front (the cell or the shard; UINT64_MAX: rejects) and 12 bytes behind it.
inline Place make_place(uint64_t group, uint32_t a, uint32_t b, uint32_t c) {
  Place place;
  group = __builtin_bswap64(group);
  a = __builtin_bswap32(a), b = __builtin_bswap32(b), c = __builtin_bswap32(c);
  std::memcpy(place.data(), &group, 8);
  std::memcpy(place.data() + 8, &a, 4);
  std::memcpy(place.data() + 12, &b, 4);
  std::memcpy(place.data() + 16, &c, 4);
  return place;
}
inline uint64_t group_of(const Place& place) {
  uint64_t group;
  std::memcpy(&group, place.data(), 8);
  return __builtin_bswap64(group);
}
inline uint32_t part_of(const Place& place, size_t part) {  // 0 to 2
  uint32_t value;
  std::memcpy(&value, place.data() + 8 + 4 * part, 4);
  return __builtin_bswap32(value);
}
inline constexpr uint64_t kRejectGroup = UINT64_MAX;
// What file a block goes to, ascending as places do: its group, or of volumes with a file a chunk itself.
inline uint64_t file_of(const Place& place, bool file_a_chunk) {
  if (!file_a_chunk) return group_of(place);
  return uint64_t{part_of(place, 0)} << 42 | uint64_t{part_of(place, 1)} << 21 | part_of(place, 2);
}

struct RowHead {
  uint64_t hash[2] = {};  // of the block, or of the Arrow row read: tells copies from conflicts
  uint64_t offset = 0;    // in the source; in the file of large rows when is_large
  BlockAt at{};
  uint32_t labels = 0;      // entries of each list
  uint32_t block_size = 0;  // of the block before compression
  uint32_t frame_size = 0;  // of the zstd frame, the chunk or payload, or the reason of a reject
  uint8_t is_empty = 0;     // every mapped label is 0: counted, not written, no content
  uint8_t is_large = 0;
  uint8_t is_packed =
      0;  // precomputed: the content is the gzip payload, the chunk is still to be made
  uint8_t is_done = 0;  // its shard stands there already: counted, no content
  uint8_t unused[4] = {};
  size_t content() const { return 16 * size_t{labels} + frame_size; }
};
static_assert(sizeof(RowHead) == 56 && std::has_unique_object_representations_v<RowHead>);

// A row as its writer sees it.
struct RowView {
  BlockAt at{};
  uint32_t labels = 0;
  uint32_t block_size = 0;
  std::span<const uint8_t> mapped, supervoxels, frame;
};

}  // namespace spillway::exporter

#include "export/block/chunk_format.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace spillway::exporter {
namespace {

template <class T>
T value_at(const uint8_t* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

template <class T>
void widen(const uint8_t* from, size_t count, uint64_t* to) {
  for (size_t i = 0; i < count; ++i) to[i] = value_at<T>(from + i * sizeof(T));
}

tl::unexpected<Error> bad(std::string_view what) {
  return fail(Code::kInvalid, fmt::format("compressed_segmentation: {}", what));
}

using Extent = std::array<uint32_t, 3>;

std::array<size_t, 3> blocks_of(const Extent& extent, const Extent& block) {
  std::array<size_t, 3> blocks;
  for (size_t d = 0; d < 3; ++d) blocks[d] = (size_t{extent[d]} + block[d] - 1) / block[d];
  return blocks;
}

Result<void> decode_raw(const ChunkFormat& format, std::span<const uint8_t> bytes,
                        const Extent& extent, const Extent& room, std::span<uint64_t> out) {
  const size_t need = size_t{extent[0]} * extent[1] * extent[2] * format.width;
  if (bytes.size() != need)
    return fail(Code::kInvalid, fmt::format("{} bytes, a raw chunk of {} x {} x {} voxels has {}",
                                            bytes.size(), extent[0], extent[1], extent[2], need));
  const uint8_t* from = bytes.data();
  for (size_t z = 0; z < extent[2]; ++z) {
    for (size_t y = 0; y < extent[1]; ++y) {
      uint64_t* const to = out.data() + (z * room[1] + y) * room[0];
      if (format.width == 1) widen<uint8_t>(from, extent[0], to);
      if (format.width == 2) widen<uint16_t>(from, extent[0], to);
      if (format.width == 4) widen<uint32_t>(from, extent[0], to);
      if (format.width == 8) widen<uint64_t>(from, extent[0], to);
      from += extent[0] * format.width;
    }
  }
  return {};
}

template <class Label>
Result<void> decode_segmentation(const ChunkFormat& format, std::span<const uint8_t> bytes,
                                 const Extent& extent, const Extent& room,
                                 std::span<uint64_t> out) {
  constexpr size_t kLabelWords = sizeof(Label) / 4;
  if (bytes.size() % 4 != 0 || bytes.size() < 4) return bad("length is no multiple of 4");
  const size_t base = value_at<uint32_t>(bytes.data());
  if (base == 0 || base > bytes.size() / 4)
    return bad("the channel begins within its own offset or beyond the end");
  const uint8_t* const from = bytes.data() + 4 * base;
  const size_t words = bytes.size() / 4 - base;
  const Extent& block = format.segmentation_block;
  const auto blocks = blocks_of(extent, block);
  const size_t count = blocks[0] * blocks[1] * blocks[2];
  if (2 * count > words) return bad("ends within the headers");
  const size_t voxels = size_t{block[0]} * block[1] * block[2];
  for (size_t b = 0; b < count; ++b) {
    const auto head = value_at<uint32_t>(from + 8 * b);
    const size_t table = head & 0xFFFFFF, width = head >> 24;
    const size_t packed = value_at<uint32_t>(from + 8 * b + 4);
    if (width > 32 || (width & (width - 1)) != 0) return bad("an unknown width");
    if (width > 0 && (packed > words || (voxels * width + 31) / 32 > words - packed))
      return bad("values beyond the end");
    const size_t entries = table < words ? (words - table) / kLabelWords : 0;
    if (entries == 0) return bad("a table beyond the end");
    if (table < 2 * count) return bad("a table within the headers");  // zero bytes, most likely
    const uint8_t* const labels = from + 4 * table;
    const uint32_t mask = width == 32 ? ~uint32_t{0} : (uint32_t{1} << width) - 1;
    const std::array<size_t, 3> at{b % blocks[0] * block[0], b / blocks[0] % blocks[1] * block[1],
                                   b / (blocks[0] * blocks[1]) * block[2]};
    std::array<size_t, 3> here;
    for (size_t d = 0; d < 3; ++d) here[d] = std::min<size_t>(block[d], extent[d] - at[d]);
    for (size_t z = 0; z < here[2]; ++z) {
      for (size_t y = 0; y < here[1]; ++y) {
        uint64_t* const to = out.data() + ((at[2] + z) * room[1] + at[1] + y) * room[0] + at[0];
        if (width == 0) {
          std::fill_n(to, here[0], uint64_t{value_at<Label>(labels)});
          continue;
        }
        size_t bit = (z * block[1] + y) * block[0] * width;
        for (size_t x = 0; x < here[0]; ++x, bit += width) {
          const size_t value =
              value_at<uint32_t>(from + 4 * (packed + bit / 32)) >> (bit % 32) & mask;
          if (value >= entries) return bad("a table entry beyond the end");
          to[x] = value_at<Label>(labels + value * sizeof(Label));
        }
      }
    }
  }
  return {};
}

}  // namespace

ChunkFormat ChunkFormat::of(const VolumeSpec& source, const Scale& scale) {
  ChunkFormat format;
  format.width = source.data_type == "uint8"    ? 1
                 : source.data_type == "uint16" ? 2
                 : source.data_type == "uint32" ? 4
                                                : 8;
  format.is_segmentation = scale.encoding != "raw";
  format.segmentation_block = scale.segmentation_block;
  return format;
}

size_t ChunkFormat::bound(std::array<uint32_t, 3> extent) const {
  if (!is_segmentation) return size_t{extent[0]} * extent[1] * extent[2] * width;
  const auto blocks = blocks_of(extent, segmentation_block);
  const size_t voxels =
      size_t{segmentation_block[0]} * segmentation_block[1] * segmentation_block[2];
  // A block: its header, 32 bits a value, a table entry a voxel.
  return 64 + blocks[0] * blocks[1] * blocks[2] * (8 + voxels * (4 + width));
}

Result<void> decode_chunk(const ChunkFormat& format, std::span<const uint8_t> bytes,
                          std::array<uint32_t, 3> extent, std::array<uint32_t, 3> room,
                          std::span<uint64_t> out) {
  CHECK(out.size() == size_t{room[0]} * room[1] * room[2]);
  for (size_t d = 0; d < 3; ++d) CHECK(extent[d] <= room[d]);
  if (extent != room) std::fill(out.begin(), out.end(), 0);
  if (!format.is_segmentation) return decode_raw(format, bytes, extent, room, out);
  return format.width == 4 ? decode_segmentation<uint32_t>(format, bytes, extent, room, out)
                           : decode_segmentation<uint64_t>(format, bytes, extent, room, out);
}

}  // namespace spillway::exporter

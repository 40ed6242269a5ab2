#include "export/block/compressed_segmentation.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace spillway::exporter {
namespace {

unsigned width_for(uint32_t entries) {  // 0, 1, 2, 4, 8, 16
  if (entries < 2) return 0;
  return static_cast<unsigned>(std::bit_ceil(static_cast<unsigned>(std::bit_width(entries - 1))));
}

// Tables that were written, found again by their content.
class TableCache {
 public:
  // The word where an equal table stands, or 0.
  uint32_t find(std::span<const uint64_t> table, const uint8_t* words) const {
    const Entry& entry = entries_[slot(table)];
    if (entry.offset == 0 || entry.count != table.size()) return 0;
    return std::memcmp(words + 4 * size_t{entry.offset}, table.data(), table.size_bytes()) == 0
               ? entry.offset
               : 0;
  }
  void put(std::span<const uint64_t> table, uint32_t offset) {
    entries_[slot(table)] = {offset, static_cast<uint32_t>(table.size())};
  }

 private:
  struct Entry {
    uint32_t offset = 0, count = 0;
  };
  static size_t slot(std::span<const uint64_t> table) {
    uint64_t hash = table.size();
    for (const uint64_t value : table) hash = (hash ^ value) * 0x9E3779B97F4A7C15u;
    return hash >> 54;
  }
  std::array<Entry, 1024> entries_{};
};

// The different mapped labels of a palette, in order, and which one each entry became.
struct Palette {
  std::array<uint64_t, kSubBlockVoxels> table;
  std::array<uint16_t, kSubBlockVoxels> entry;
  uint32_t count = 0;
  uint32_t known = 0;
  bool is_identity = true;  // entry[i] == i

  void make(const LabelBlock::SubBlock& sub, const uint8_t* mapped) {
    count = 0;
    known = std::max(sub.palette_size, 1u);
    for (uint32_t i = 0; i < sub.palette_size; ++i) {
      uint64_t label;
      std::memcpy(&label, mapped + 8 * size_t{sub.index(i)}, sizeof label);
      uint32_t at = 0;
      if (known <= 64) {
        while (at < count && table[at] != label) ++at;
      } else {
        at = count;  // long palettes may repeat labels: valid, and rare
      }
      if (at == count) table[count++] = label;
      entry[i] = static_cast<uint16_t>(at);
    }
    is_identity = count == sub.palette_size;
    if (sub.palette_size == 0) table[count++] = 0;
  }
};

}  // namespace

namespace detail {

void repack_scalar(const Repack& what, uint8_t* out) {
  SubBlockValues values;
  unpack_scalar(what.packed, what.bits, values);
  uint64_t held = 0;
  unsigned filled = 0;
  for (const uint16_t value : values) {
    held |= uint64_t{what.entry[value]} << filled;
    filled += what.width;
    if (filled == 64) {
      std::memcpy(out, &held, 8);
      out += 8;
      held = 0;
      filled = 0;
    }
  }
}

#if defined(__x86_64__)
namespace {

// Nothing but the order within each byte changes: groups of `bits` (1, 2, 4) are turned around.
__attribute__((target("avx2"))) void turn_avx2(const uint8_t* packed, unsigned bits, uint8_t* out) {
  static constexpr uint8_t kTurned[3][16] = {
      {0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15},
      {0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15},
      {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}};
  const __m256i table = _mm256_broadcastsi128_si256(
      _mm_loadu_si128(reinterpret_cast<const __m128i*>(kTurned[bits == 1   ? 0
                                                               : bits == 2 ? 1
                                                                           : 2])));
  const __m256i nibble = _mm256_set1_epi8(15);
  for (size_t at = 0; at < 64 * size_t{bits}; at += 32) {
    const __m256i word = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(packed + at));
    const __m256i low = _mm256_shuffle_epi8(table, _mm256_and_si256(word, nibble));
    const __m256i high =
        _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(word, 4), nibble));
    // A nibble is below 16: the shift does not reach the neighbouring byte.
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + at),
                        _mm256_or_si256(_mm256_slli_epi16(low, 4), high));
  }
}

// A row is 8 values: spread to a byte each, looked up in at most 16 entries, packed again.
__attribute__((target("avx2,bmi2"))) void repack_rows(const Repack& what, uint8_t* out) {
  alignas(16) uint8_t entries[16] = {};
  if (!what.is_identity) {
    for (size_t i = 0; i < what.entry.size(); ++i) entries[i] = static_cast<uint8_t>(what.entry[i]);
  }
  const __m128i table = _mm_load_si128(reinterpret_cast<const __m128i*>(entries));
  constexpr uint64_t kEach = 0x0101010101010101u;
  const uint64_t from = kEach * ((1u << what.bits) - 1), to = kEach * ((1u << what.width) - 1);
  for (size_t row = 0; row < 64; ++row) {
    uint64_t word = 0;
    std::memcpy(&word, what.packed + row * what.bits, what.bits);
    word = __builtin_bswap64(word) >> (64 - 8 * what.bits);
    uint64_t values = __builtin_bswap64(_pdep_u64(word, from));
    if (!what.is_identity)
      values = static_cast<uint64_t>(_mm_cvtsi128_si64(
          _mm_shuffle_epi8(table, _mm_cvtsi64_si128(static_cast<long long>(values)))));
    const uint64_t made = _pext_u64(values, to);
    std::memcpy(out + row * what.width, &made, what.width);
  }
}

bool has_fast_ways() {
  static const bool has = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2");
  return has;
}

}  // namespace

void repack_fast(const Repack& what, uint8_t* out) {
  if (!has_fast_ways() || what.bits > 8 || what.width > 8) return repack_scalar(what, out);
  if (what.is_identity) {
    if (what.bits == 8) {
      std::memcpy(out, what.packed, 512);
    } else if ((what.bits & (what.bits - 1)) == 0) {
      turn_avx2(what.packed, what.bits, out);
    } else {
      repack_rows(what, out);
    }
    return;
  }
  if (what.entry.size() > 16) return repack_scalar(what, out);
  repack_rows(what, out);
}
#else
void repack_fast(const Repack& what, uint8_t* out) { repack_scalar(what, out); }
#endif

}  // namespace detail

size_t encode_compressed_segmentation(const LabelBlock& block, const uint8_t* mapped,
                                      std::array<uint32_t, 3> extent, std::span<uint8_t> out) {
  std::array<uint32_t, 3> blocks;
  for (size_t d = 0; d < 3; ++d) {
    CHECK(extent[d] >= 1 && extent[d] <= block.sub_blocks()[d] * 8);
    blocks[d] = (extent[d] + 7) / 8;
  }
  const uint32_t one = 1;
  std::memcpy(out.data(), &one, 4);
  uint8_t* const words = out.data() + 4;  // offsets count from here
  const size_t header_words = size_t{2} * blocks[0] * blocks[1] * blocks[2];
  size_t at = header_words;
  TableCache cache;
  Palette palette;
  LabelBlock::Walk walk(block);
  const auto counts = block.sub_blocks();
  for (uint32_t z = 0; z < counts[2]; ++z) {
    for (uint32_t y = 0; y < counts[1]; ++y) {
      for (uint32_t x = 0; x < counts[0]; ++x) {
        const LabelBlock::SubBlock sub = walk.next();
        if (x >= blocks[0] || y >= blocks[1] || z >= blocks[2]) continue;
        palette.make(sub, mapped);
        const unsigned width = width_for(palette.count);
        const size_t values_at = at;
        if (width > 0) {
          detail::repack_fast({sub.values, sub.bits, std::span(palette.entry).first(palette.known),
                               palette.is_identity, width},
                              words + 4 * at);
          at += size_t{16} * width;
        }
        const std::span<const uint64_t> table(palette.table.data(), palette.count);
        uint32_t table_at = cache.find(table, words);
        if (table_at == 0) {
          table_at = static_cast<uint32_t>(at);
          std::memcpy(words + 4 * at, table.data(), table.size_bytes());
          at += 2 * table.size();
          cache.put(table, table_at);
        }
        const uint32_t header[2] = {table_at | width << 24, static_cast<uint32_t>(values_at)};
        std::memcpy(words + 8 * ((size_t{z} * blocks[1] + y) * blocks[0] + x), header, 8);
      }
    }
  }
  CHECK(4 + 4 * at <= out.size());
  return 4 + 4 * at;
}

}  // namespace spillway::exporter

#include "export/block/label_block.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace spillway::exporter {
namespace {

constexpr uint32_t kMostSubBlocks = 1u << 15;  // of one block; 64^3 has 512

uint16_t u16_at(const uint8_t* at) {
  uint16_t value;
  std::memcpy(&value, at, sizeof value);
  return value;
}
uint32_t u32_at(const uint8_t* at) {
  uint32_t value;
  std::memcpy(&value, at, sizeof value);
  return value;
}
uint64_t u64_at(const uint8_t* at) {
  uint64_t value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

constexpr unsigned bits_for(uint32_t palette_size) {
  return palette_size < 2 ? 0 : static_cast<unsigned>(std::bit_width(palette_size - 1));
}

// By palette size: the bits of a value, and whether they can hold one that is beyond the palette.
struct Width {
  uint8_t bits;
  bool has_room_beyond;
};
constexpr auto kWidths = [] {
  std::array<Width, kSubBlockVoxels + 1> widths{};
  for (uint32_t size = 0; size <= kSubBlockVoxels; ++size)
    widths[size] = {static_cast<uint8_t>(bits_for(size)), size >= 2 && !std::has_single_bit(size)};
  return widths;
}();

// Whether a packed value is >= palette_size, which is no power of two.
bool has_value_beyond(const uint8_t* packed, unsigned bits, uint32_t palette_size) {
  if (bits == 2) {  // palette_size is 3: look for a pair of set bits
    uint64_t found = 0;
    for (size_t i = 0; i < 128; i += 8) {
      const uint64_t word = u64_at(packed + i);
      found |= word & (word >> 1) & 0x5555555555555555u;
    }
    return found != 0;
  }
  return detail::has_beyond_fast(packed, bits, palette_size);
}

}  // namespace

namespace detail {

bool has_beyond_scalar(const uint8_t* packed, unsigned bits, uint32_t palette_size) {
  SubBlockValues values;
  unpack_scalar(packed, bits, values);
  return *std::max_element(values.begin(), values.end()) >= palette_size;
}

void unpack_scalar(const uint8_t* packed, unsigned bits, SubBlockValues& out) {
  uint32_t held = 0;
  unsigned count = 0;
  for (uint16_t& value : out) {
    while (count < bits) {
      held = (held << 8) | *packed++;
      count += 8;
    }
    count -= bits;
    value = static_cast<uint16_t>((held >> count) & ((1u << bits) - 1));
  }
}

#if defined(__x86_64__)
namespace {

// A row is `bits` bytes: its 8 values, first one in the highest bits, spread to a byte each.
__attribute__((target("bmi2,sse4.1"))) void unpack_bmi2(const uint8_t* packed, unsigned bits,
                                                        SubBlockValues& out) {
  const uint64_t mask = 0x0101010101010101u * ((1u << bits) - 1);
  const auto spread = [&](size_t row, uint64_t word) __attribute__((target("bmi2,sse4.1"))) {
    word = __builtin_bswap64(word) >> (64 - 8 * bits);
    const uint64_t bytes = __builtin_bswap64(_pdep_u64(word, mask));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out.data() + row * 8),
                     _mm_cvtepu8_epi16(_mm_cvtsi64_si128(static_cast<long long>(bytes))));
  };
  const size_t whole = (64 * bits - 8) / bits;  // rows behind which 8 bytes are still values
  for (size_t row = 0; row < whole; ++row) spread(row, u64_at(packed + row * bits));
  for (size_t row = whole; row < 64; ++row) {
    uint64_t word = 0;
    std::memcpy(&word, packed + row * bits, bits);
    spread(row, word);
  }
}

// As above; a byte that is palette_size or more carries into its highest bit.
__attribute__((target("bmi2"))) bool has_beyond_bmi2(const uint8_t* packed, unsigned bits,
                                                     uint32_t palette_size) {
  constexpr uint64_t kEach = 0x0101010101010101u;
  const uint64_t mask = kEach * ((1u << bits) - 1), add = kEach * (128 - palette_size);
  uint64_t found = 0;
  for (size_t row = 0; row < 64; ++row) {
    uint64_t word = 0;
    std::memcpy(&word, packed + row * bits, bits);
    word = __builtin_bswap64(word) >> (64 - 8 * bits);
    found |= _pdep_u64(word, mask) + add;
  }
  return (found & (kEach * 128)) != 0;
}

bool has_bmi2() {
  static const bool has = __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("sse4.1");
  return has;
}

}  // namespace

void unpack_fast(const uint8_t* packed, unsigned bits, SubBlockValues& out) {
  if (bits <= 8 && has_bmi2()) return unpack_bmi2(packed, bits, out);
  unpack_scalar(packed, bits, out);
}
bool has_beyond_fast(const uint8_t* packed, unsigned bits, uint32_t palette_size) {
  if (bits <= 7 && has_bmi2()) return has_beyond_bmi2(packed, bits, palette_size);
  return has_beyond_scalar(packed, bits, palette_size);
}
#else
void unpack_fast(const uint8_t* packed, unsigned bits, SubBlockValues& out) {
  unpack_scalar(packed, bits, out);
}
bool has_beyond_fast(const uint8_t* packed, unsigned bits, uint32_t palette_size) {
  return has_beyond_scalar(packed, bits, palette_size);
}
#endif

}  // namespace detail

// ---- reading -----------------------------------------------------------------------------------

Result<LabelBlock> LabelBlock::parse(std::span<const uint8_t> bytes) {
  const auto bad = [](std::string reason) { return fail(Code::kInvalid, std::move(reason)); };
  if (bytes.size() < 24) return bad(fmt::format("{} bytes are no label block", bytes.size()));
  LabelBlock block;
  block.bytes_ = bytes;
  uint64_t sub_blocks = 1;
  for (size_t axis = 0; axis < 3; ++axis) {
    block.counts_[axis] = u32_at(bytes.data() + 4 * axis);
    if (block.counts_[axis] == 0 || block.counts_[axis] > kMostSubBlocks)
      return bad(fmt::format("{} sub-blocks along an axis", block.counts_[axis]));
    sub_blocks *= block.counts_[axis];
    if (sub_blocks > kMostSubBlocks) return bad("too many sub-blocks");
  }
  block.label_count_ = u32_at(bytes.data() + 12);
  if (block.label_count_ == 0) return bad("no labels");
  const uint64_t sizes_at = 16 + 8 * uint64_t{block.label_count_};
  if (block.label_count_ == 1) {
    if (bytes.size() != sizes_at)
      return bad(fmt::format("length {}, must be {}", bytes.size(), sizes_at));
    return block;
  }
  const uint64_t indices_at = sizes_at + 2 * sub_blocks;
  if (bytes.size() < indices_at)
    return bad(fmt::format("length {} ends before the palettes", bytes.size()));
  uint64_t entries = 0, bits = 0;
  for (uint64_t i = 0; i < sub_blocks; ++i) {
    const uint32_t size = u16_at(bytes.data() + sizes_at + 2 * i);
    if (size > kSubBlockVoxels) return bad(fmt::format("a palette of {} entries", size));
    entries += size;
    bits += kWidths[size].bits;
  }
  const uint64_t values_at = indices_at + 4 * entries;
  const uint64_t length = values_at + 64 * bits;
  if (bytes.size() != length)
    return bad(fmt::format("length {}, must be {}", bytes.size(), length));
  uint32_t most = 0;  // without a way out, so that the loop is done by vectors
  for (uint64_t i = 0; i < entries; ++i)
    most = std::max(most, u32_at(bytes.data() + indices_at + 4 * i));
  if (most >= block.label_count_)
    return bad(fmt::format("label index {} of {}", most, block.label_count_));
  const uint8_t* values = bytes.data() + values_at;
  for (uint64_t i = 0; i < sub_blocks; ++i) {
    const uint32_t size = u16_at(bytes.data() + sizes_at + 2 * i);
    const Width width = kWidths[size];
    if (width.has_room_beyond && has_value_beyond(values, width.bits, size))
      return bad(fmt::format("a packed value beyond a palette of {}", size));
    values += 64 * size_t{width.bits};
  }
  return block;
}

uint64_t LabelBlock::label(uint32_t index) const {
  return u64_at(label_bytes() + 8 * size_t{index});
}

uint32_t LabelBlock::SubBlock::index(uint32_t entry) const {
  return u32_at(indices + 4 * size_t{entry});
}

void LabelBlock::SubBlock::unpack(SubBlockValues& out) const {
  if (bits == 0) {
    out.fill(0);
    return;
  }
  detail::unpack_fast(values, bits, out);
}

LabelBlock::Walk::Walk(const LabelBlock& block) : block_(block) {
  const size_t sub_blocks = size_t{block.counts_[0]} * block.counts_[1] * block.counts_[2];
  sizes_ = block.label_bytes() + 8 * size_t{block.label_count_};
  if (block.label_count_ == 1) {
    indices_ = values_ = nullptr;
    return;
  }
  indices_ = sizes_ + 2 * sub_blocks;
  size_t entries = 0;
  for (size_t i = 0; i < sub_blocks; ++i) entries += u16_at(sizes_ + 2 * i);
  values_ = indices_ + 4 * entries;
}

LabelBlock::SubBlock LabelBlock::Walk::next() {
  static constexpr std::array<uint8_t, 4> kZero{};
  if (block_.label_count_ == 1) return {1, kZero.data(), nullptr, 0};
  SubBlock sub;
  sub.palette_size = u16_at(sizes_);
  sub.bits = bits_for(sub.palette_size);
  sub.indices = indices_;
  sub.values = sub.bits > 0 ? values_ : nullptr;
  sizes_ += 2;
  indices_ += 4 * size_t{sub.palette_size};
  values_ += 64 * size_t{sub.bits};
  return sub;
}

void LabelBlock::decode(std::span<uint64_t> out) const {
  const size_t width = size_t{counts_[0]} * 8, height = size_t{counts_[1]} * 8;
  CHECK(out.size() == kSubBlockVoxels * counts_[0] * counts_[1] * counts_[2]);
  Walk walk(*this);
  std::array<uint64_t, kSubBlockVoxels> palette;
  SubBlockValues values;
  for (size_t z = 0; z < counts_[2]; ++z) {
    for (size_t y = 0; y < counts_[1]; ++y) {
      for (size_t x = 0; x < counts_[0]; ++x) {
        const SubBlock sub = walk.next();
        uint64_t* const corner = out.data() + (z * 8 * height + y * 8) * width + x * 8;
        palette[0] = 0;
        for (uint32_t i = 0; i < sub.palette_size; ++i) palette[i] = label(sub.index(i));
        if (sub.bits > 0) sub.unpack(values);
        for (size_t row = 0; row < 64; ++row) {
          uint64_t* const to = corner + ((row >> 3) * height + (row & 7)) * width;
          if (sub.bits == 0) {
            std::fill_n(to, 8, palette[0]);
          } else {
            for (size_t i = 0; i < 8; ++i) to[i] = palette[values[row * 8 + i]];
          }
        }
      }
    }
  }
}

// ---- writing -----------------------------------------------------------------------------------

BlockEncoder::BlockEncoder() : slots_(1024) {}

void BlockEncoder::grow() {
  std::vector<Slot>(slots_.size() * 2).swap(slots_);
  for (uint32_t i = 0; i < found_.size(); ++i) {
    size_t at = (found_[i].label * 0x9E3779B97F4A7C15u) >> 20 & (slots_.size() - 1);
    while (slots_[at].entry != 0) at = (at + 1) & (slots_.size() - 1);
    slots_[at] = {found_[i].label, i + 1};
  }
}

uint32_t BlockEncoder::find(uint64_t label, uint32_t position) {
  size_t at = (label * 0x9E3779B97F4A7C15u) >> 20 & (slots_.size() - 1);
  for (; slots_[at].entry != 0; at = (at + 1) & (slots_.size() - 1)) {
    if (slots_[at].label != label) continue;
    Found& found = found_[slots_[at].entry - 1];
    found.first = std::min(found.first, position);
    return slots_[at].entry - 1;
  }
  found_.push_back({label, position, 0});
  slots_[at] = {label, static_cast<uint32_t>(found_.size())};
  if (found_.size() * 2 > slots_.size()) grow();
  return static_cast<uint32_t>(found_.size() - 1);
}

// Appends the palette and the packed values of one sub-block.
void BlockEncoder::collect(const uint64_t* voxels, std::array<size_t, 3> size, size_t sub_block) {
  const size_t across = size[0] / 8, down = size[1] / 8;
  const size_t x = sub_block % across * 8, y = sub_block / across % down * 8,
               z = sub_block / (across * down) * 8;
  const size_t corner = (z * size[1] + y) * size[0] + x;
  const auto row_at = [&](size_t row) {
    return corner + ((row >> 3) * size[1] + (row & 7)) * size[0];
  };
  // The row below the next sub-blocks' rows is far away in memory: ask for it early.
  const size_t total = size[0] * size[1] * size[2];
  std::array<uint64_t, kSubBlockVoxels> palette;
  std::array<uint32_t, kSubBlockVoxels> first;
  SubBlockValues values;
  uint32_t count = 0;
  // Palettes are mostly tiny; above 8 entries a small table finds them.
  std::array<uint16_t, 1024> table;
  bool has_table = false;
  const auto slot_of = [](uint64_t label) {
    return static_cast<size_t>((label * 0x9E3779B97F4A7C15u) >> 54);
  };
  uint64_t last = 0;
  uint16_t last_value = 0;
  for (size_t row = 0; row < 64; ++row) {
    const size_t begin = row_at(row);
    if (begin + 64 < total) __builtin_prefetch(voxels + begin + 64);
    const uint64_t* const from = voxels + begin;
    for (size_t i = 0; i < 8; ++i) {
      const uint64_t label = from[i];
      if (count > 0 && label == last) {
        values[row * 8 + i] = last_value;
        continue;
      }
      uint32_t at = 0;
      if (!has_table) {
        while (at < count && palette[at] != label) ++at;
      } else {
        size_t slot = slot_of(label);
        while (table[slot] != 0xFFFF && palette[table[slot]] != label) slot = (slot + 1) & 1023;
        at = table[slot] != 0xFFFF ? table[slot] : count;
        if (at == count) table[slot] = static_cast<uint16_t>(count);
      }
      if (at == count) {
        palette[count] = label;
        first[count++] = static_cast<uint32_t>(begin + i);
        if (count == 9) {
          table.fill(0xFFFF);
          has_table = true;
          for (uint16_t entry = 0; entry < count; ++entry) {
            size_t slot = slot_of(palette[entry]);
            while (table[slot] != 0xFFFF) slot = (slot + 1) & 1023;
            table[slot] = entry;
          }
        }
      }
      last = label;
      last_value = static_cast<uint16_t>(at);
      values[row * 8 + i] = last_value;
    }
  }
  for (uint32_t i = 0; i < count; ++i) palettes_.push_back(find(palette[i], first[i]));
  sizes_.push_back(static_cast<uint16_t>(count));
  const unsigned bits = bits_for(count);
  if (bits == 0) return;
  uint32_t held = 0;
  unsigned filled = 0;
  for (const uint16_t value : values) {
    held = (held << bits) | value;
    filled += bits;
    while (filled >= 8) {
      filled -= 8;
      packed_.push_back(static_cast<uint8_t>(held >> filled));
    }
  }
}

std::span<const uint8_t> BlockEncoder::encode(std::span<const uint64_t> voxels,
                                              std::array<uint32_t, 3> counts) {
  const std::array<size_t, 3> size{size_t{counts[0]} * 8, size_t{counts[1]} * 8,
                                   size_t{counts[2]} * 8};
  CHECK(voxels.size() == size[0] * size[1] * size[2] && voxels.size() <= kBlockVoxels);
  std::fill(slots_.begin(), slots_.end(), Slot{});
  found_.clear();
  palettes_.clear();
  sizes_.clear();
  packed_.clear();
  out_.clear();
  const size_t sub_blocks = voxels.size() / kSubBlockVoxels;
  for (size_t i = 0; i < sub_blocks; ++i) collect(voxels.data(), size, i);
  by_first_.resize(found_.size());
  for (uint32_t i = 0; i < found_.size(); ++i) by_first_[i] = i;
  std::sort(by_first_.begin(), by_first_.end(),
            [&](uint32_t a, uint32_t b) { return found_[a].first < found_[b].first; });
  for (uint32_t i = 0; i < by_first_.size(); ++i) found_[by_first_[i]].order = i;

  const auto put = [&](const auto& value) {
    const auto* const bytes = reinterpret_cast<const uint8_t*>(&value);
    out_.insert(out_.end(), bytes, bytes + sizeof value);
  };
  const bool solid = found_.size() == 1;
  out_.reserve(16 + 8 * found_.size() +
               (solid ? 0 : 2 * sub_blocks + 4 * palettes_.size() + packed_.size()));
  for (const uint32_t count : counts) put(count);
  put(static_cast<uint32_t>(found_.size()));
  for (const uint32_t index : by_first_) put(found_[index].label);
  if (solid) return out_;
  for (const uint16_t palette_size : sizes_) put(palette_size);
  for (const uint32_t index : palettes_) put(found_[index].order);
  out_.insert(out_.end(), packed_.begin(), packed_.end());
  if (slots_.size() > 65536) std::vector<Slot>(1024).swap(slots_);  // after a rare large block
  return out_;
}

}  // namespace spillway::exporter

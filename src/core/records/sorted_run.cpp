#include "core/records/sorted_run.hpp"

#include <fmt/format.h>
#include <xxhash.h>

#include <bit>
#include <cstring>

#include "core/disk/corrupt.hpp"

namespace spillway {
namespace {

constexpr uint32_t kMagic = 0x324e5552;  // "RUN2"

struct BlockHeader {
  uint32_t magic;
  uint32_t count;
  uint32_t payload;  // bytes after the header
  uint32_t bits;     // of a delta
  uint64_t first_hi;
  uint64_t first_lo;
  uint64_t checksum;         // XXH3-64 of the payload, seeded with first_hi ^ count
  uint64_t header_checksum;  // XXH3-64 of all before it
};
static_assert(sizeof(BlockHeader) == 48);

__extension__ typedef unsigned __int128 Window;

uint64_t load64(const uint8_t* at) {
  uint64_t value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

uint64_t checksum_of(const BlockHeader& header) {
  return XXH3_64bits(&header, offsetof(BlockHeader, header_checksum));
}

// What the payload of a block must take, whatever its header says.
size_t payload_bytes(const BlockHeader& header, bool wide) {
  const size_t deltas = header.count - size_t{1};
  return (deltas * header.bits + 7) / 8 + (wide ? deltas * 8 : 0) + 8;
}

bool is_sane(const BlockHeader& header, bool wide) {
  return header.magic == kMagic && header.header_checksum == checksum_of(header) &&
         header.count > 0 && header.count <= kBlockKeys &&
         (header.bits <= 56 || header.bits == 64) && header.payload == payload_bytes(header, wide);
}

uint64_t checksum_of(const BlockHeader& header, const uint8_t* payload) {
  return XXH3_64bits_withSeed(payload, header.payload, header.first_hi ^ header.count);
}

}  // namespace

template <class K>
std::unique_ptr<SortedRun<K>> SortedRun<K>::create(std::unique_ptr<Blob> blob, unsigned align,
                                                   Account index) {
  std::unique_ptr<SortedRun> run(new SortedRun);
  run->fences_ = LeasedList<Fence>(std::move(index));
  run->blob_ = std::move(blob);
  run->align_ = align;
  run->pending_.reserve(kBlockKeys);
  run->raw_.resize(kMaxBlockBytes);
  return run;
}

template <class K>
Result<std::unique_ptr<SortedRun<K>>> SortedRun<K>::open(std::unique_ptr<Blob> blob, unsigned align,
                                                         Account index,
                                                         const std::stop_token& stop) {
  auto run = create(std::move(blob), align, std::move(index));
  const uint64_t end = run->blob_->size();
  for (uint64_t offset = 0; offset < end;) {
    if (stop.stop_requested()) return fail(Code::kCancelled, "stopped while opening runs");
    std::array<uint8_t, sizeof(BlockHeader)> room;
    BlockHeader header{};
    if (end - offset >= sizeof header)
      std::memcpy(&header, TRY(run->blob_->read(offset, sizeof header, room)), sizeof header);
    const bool in_order = run->fences_.empty() || run->fences_.back().first <= header.first_hi;
    if (!is_sane(header, K::kWide) || !in_order || header.payload > end - offset - sizeof header) {
      return fail_corrupt(fmt::format("{}: bad block at offset {}", run->blob_->path(), offset));
    }
    TRY(run->add_fence({header.first_hi, offset}));
    run->size_ += header.count;
    offset += sizeof header + header.payload;
  }
  run->pending_ = {};
  run->raw_ = {};
  return run;
}

template <class K>
Result<void> SortedRun<K>::append(std::span<const K> keys) {
  while (!keys.empty()) {
    const size_t take = std::min(keys.size(), kBlockKeys - pending_.size());
    pending_.insert(pending_.end(), keys.begin(), keys.begin() + static_cast<ptrdiff_t>(take));
    keys = keys.subspan(take);
    if (pending_.size() == kBlockKeys) TRY(write_block());
  }
  return {};
}

template <class K>
Result<void> SortedRun<K>::finish() {
  if (!pending_.empty()) TRY(write_block());
  pending_ = {};
  raw_ = {};
  return {};
}

template <class K>
Result<void> SortedRun<K>::write_block() {
  uint64_t widest = 0;
  for (size_t i = 1; i < pending_.size(); ++i) {
    CHECK(pending_[i - 1] < pending_[i]);
    widest |= (pending_[i].hi - pending_[i - 1].hi) >> align_;
  }
  unsigned bits = static_cast<unsigned>(std::bit_width(widest));
  if (bits > 56) bits = 64;  // an unaligned load holds 57 bits of any offset
  BlockHeader header{kMagic, static_cast<uint32_t>(pending_.size()), 0, bits, pending_[0].hi, 0, 0,
                     0};
  uint8_t* const payload = raw_.data() + sizeof header;
  uint8_t* out = payload;
  if (bits == 64) {
    for (size_t i = 1; i < pending_.size(); ++i, out += 8) std::memcpy(out, &pending_[i].hi, 8);
  } else {
    Window window = 0;
    unsigned filled = 0;
    for (size_t i = 1; i < pending_.size(); ++i) {
      window |= static_cast<Window>((pending_[i].hi - pending_[i - 1].hi) >> align_) << filled;
      filled += bits;
      if (filled >= 64) {
        const uint64_t word = static_cast<uint64_t>(window);
        std::memcpy(out, &word, 8);
        out += 8;
        window >>= 64;
        filled -= 64;
      }
    }
    const uint64_t word = static_cast<uint64_t>(window);
    std::memcpy(out, &word, 8);
    out += (filled + 7) / 8;
  }
  if constexpr (K::kWide) {
    header.first_lo = pending_[0].lo;
    for (size_t i = 1; i < pending_.size(); ++i, out += 8) std::memcpy(out, &pending_[i].lo, 8);
  }
  std::memset(out, 0, 8);
  out += 8;
  header.payload = static_cast<uint32_t>(out - payload);
  header.checksum = checksum_of(header, payload);
  header.header_checksum = checksum_of(header);
  std::memcpy(raw_.data(), &header, sizeof header);
  const uint64_t offset =
      TRY(blob_->append(std::span<const uint8_t>(raw_.data(), sizeof header + header.payload)));
  TRY(add_fence({header.first_hi, offset}));
  size_ += pending_.size();
  pending_.clear();
  return {};
}

template <class K>
Result<void> SortedRun<K>::add_fence(Fence fence) {
  if (fences_.push_back(fence)) return {};
  if (blob_->in_memory()) TRY(blob_->spill());  // gives memory back
  if (fences_.push_back(fence)) return {};
  return fail(
      Code::kMemoryLimit,
      fmt::format("{}: no memory for the index of a run of more than {} keys; raise --memory",
                  blob_->path(), size_));
}

template <class K>
size_t SortedRun<K>::block_of(uint64_t key_top) const {
  // Keys with equal top halves may straddle blocks: to the last block that begins strictly below.
  const size_t at = fences_.partition_point([&](const Fence& f) { return f.first < key_top; });
  return at == 0 ? 0 : at - 1;
}

template <class K>
Result<size_t> SortedRun<K>::decode(size_t index, std::span<K> out, std::span<uint8_t> raw) const {
  const uint64_t offset = fences_[index].offset;
  const uint64_t end = index + 1 < fences_.size() ? fences_[index + 1].offset : blob_->size();
  const size_t length = static_cast<size_t>(end - offset);
  if (length < sizeof(BlockHeader) || length > kMaxBlockBytes) {
    return fail_corrupt(fmt::format("{}: bad block at offset {}", blob_->path(), offset));
  }
  const uint8_t* const block = TRY(blob_->read(offset, length, raw));
  BlockHeader header;
  std::memcpy(&header, block, sizeof header);
  const uint8_t* in = block + sizeof header;
  const bool from_file = block == raw.data();
  const bool sane =
      header.payload == length - sizeof header &&
      (!from_file || (is_sane(header, K::kWide) && header.first_hi == fences_[index].first &&
                      checksum_of(header, in) == header.checksum));
  if (!sane) {
    return fail_corrupt(
        fmt::format("{}: block at offset {} does not match its checksum", blob_->path(), offset));
  }
  uint64_t key = header.first_hi;
  out[0].hi = key;
  if (header.bits == 64) {
    for (size_t i = 1; i < header.count; ++i, in += 8) out[i].hi = load64(in);
  } else {
    const uint64_t mask = (uint64_t{1} << header.bits) - 1;
    size_t bit = 0;
    for (size_t i = 1; i < header.count; ++i, bit += header.bits) {
      key += ((load64(in + (bit >> 3)) >> (bit & 7)) & mask) << align_;
      out[i].hi = key;
    }
    in += (bit + 7) / 8;
  }
  if constexpr (K::kWide) {
    out[0].lo = header.first_lo;
    for (size_t i = 1; i < header.count; ++i, in += 8) out[i].lo = load64(in);
  }
  return header.count;
}

template class SortedRun<Key64>;
template class SortedRun<Key128>;

}  // namespace spillway

#include "export/source/chunk_reader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "core/memory/pages.hpp"

namespace spillway::exporter {
namespace {

constexpr size_t kLeastWindow = size_t{1} << 20;
constexpr size_t kMostIndexChunks = size_t{1} << 17;  // of one minishard
constexpr size_t kTableBytes = 65536;                 // of a shard's table, read at a time
constexpr uint64_t kMostShards = uint64_t{1} << 32;

size_t packed_bound(size_t bytes) { return bytes + bytes / 256 + 1024; }

// Of the index of a minishard.
size_t index_bytes(const Scale& scale) {
  const Sharding& sharding = *scale.sharding;
  const unsigned placed = sharding.preshift_bits + sharding.minishard_bits + sharding.shard_bits;
  const unsigned bits = ChunkGrid(scale).bits();
  const unsigned here = sharding.preshift_bits + (bits > placed ? bits - placed : 0);
  if (sharding.hash != ShardHash::kIdentity || here >= 17) return 24 * kMostIndexChunks;
  return size_t{24} << here;
}

// What both kinds share: the rooms and the shape.
class Reader : public ChunkReader {
 public:
  Reader(std::unique_ptr<VolumeStore> store, const VolumeSpec& source, const Scale& scale,
         Part part)
      : store_(std::move(store)),
        scale_(scale),
        part_(part),
        format_(ChunkFormat::of(source, scale)),
        grid_(scale) {}

  Result<void> take(Lease lease) {
    pages_ = TRY(Pages::map(std::move(lease)));
    const size_t bound = format_.bound(scale_.chunk);
    uint8_t* at = pages_.data();
    window_ = {at, std::max(kLeastWindow, packed_bound(bound))};
    at += window_.size();
    chunk_ = {at, bound};
    at += bound;
    if (scale_.sharding) {
      index_ = {at, index_bytes(scale_)};
      packed_index_ = {at + index_.size(), packed_bound(index_.size())};
    } else {
      unpacker_.give_arena({at, pages_.data() + pages_.size()});  // may be none
    }
    return {};
  }
  uint64_t bytes_read() const override { return bytes_read_; }
  const std::string& first_missing() const override { return first_missing_; }

 protected:
  // A place of the grid without a chunk; the first is named.
  void note_missing(const std::string& name) {
    if (first_missing_.empty()) first_missing_ = store_->place() + "/" + name;
  }
  std::array<uint32_t, 3> extent_at(const std::array<uint64_t, 3>& at) const {
    std::array<uint32_t, 3> extent;
    for (size_t d = 0; d < 3; ++d)
      extent[d] = static_cast<uint32_t>(std::min<int64_t>(
          scale_.chunk[d], scale_.size[d] - static_cast<int64_t>(at[d] * scale_.chunk[d])));
    return extent;
  }
  tl::unexpected<Error> bad(const std::string& name, const std::string& what) const {
    return fail(Code::kInvalid, fmt::format("{}/{}: {}", store_->place(), name, what));
  }

  std::unique_ptr<VolumeStore> store_;
  const Scale& scale_;
  const Part part_;
  const ChunkFormat format_;
  const ChunkGrid grid_;
  Pages pages_;
  std::span<uint8_t> window_, chunk_, index_, packed_index_;
  Unpacker unpacker_;
  std::string first_missing_;
  uint64_t bytes_read_ = 0;
};

// ---- a file each ---------------------------------------------------------------------------------

class FileReader final : public Reader {
 public:
  using Reader::Reader;
  Result<std::optional<Chunk>> next(const std::stop_token& stop) override {
    const auto counts = grid_.counts();
    while (at_[2] < counts[2]) {
      if (stop.stop_requested()) return fail(Code::kCancelled, "stopped while reading chunks");
      Chunk chunk;
      chunk.at = at_;
      chunk.extent = extent_at(at_);
      for (size_t d = 0; d < 3; ++d) {
        if (++at_[d] < counts[d] || d == 2) break;
        at_[d] = 0;
      }
      if (number_++ % part_.count != part_.index) continue;
      std::string name = scale_.key + "/";
      for (size_t d = 0; d < 3; ++d) {
        const int64_t begin =
            scale_.voxel_offset[d] + static_cast<int64_t>(chunk.at[d] * scale_.chunk[d]);
        name += fmt::format("{}{}-{}", d == 0 ? "" : "_", begin, begin + chunk.extent[d]);
      }
      const auto whole = TRY(store_->read_whole(name, window_, stop));
      if (!whole) {
        note_missing(name);
        continue;
      }
      bytes_read_ += whole->bytes;
      chunk.bytes = window_.first(whole->bytes);
      Packing packing = whole->packing;
      // Copied out of a bucket, what was packed for the way has the chunk's own name.
      if (packing == Packing::kNone && !may_be_chunk(chunk)) packing = packing_of(chunk.bytes);
      if (packing != Packing::kNone) {
        const auto made = unpacker_.unpack(packing, chunk.bytes, chunk_);
        if (!made) return bad(name + whole->suffix, made.error().message());
        chunk.bytes = chunk_.first(*made);
      }
      return std::optional(chunk);
    }
    TRY(store_->finish());
    return std::optional<Chunk>();
  }

 private:
  // Whether it can be what the format has, unpacked.
  bool may_be_chunk(const Chunk& chunk) const {
    if (!format_.is_segmentation) return chunk.bytes.size() == format_.bound(chunk.extent);
    uint32_t offset = 0;
    if (chunk.bytes.size() < sizeof offset) return true;
    std::memcpy(&offset, chunk.bytes.data(), sizeof offset);
    return offset < chunk.bytes.size() / 4;
  }
  std::array<uint64_t, 3> at_{};
  uint64_t number_ = 0;  // of the place at at_
};

// ---- shards --------------------------------------------------------------------------------------

class ShardReader final : public Reader {
 public:
  ShardReader(std::unique_ptr<VolumeStore> store, const VolumeSpec& source, const Scale& scale,
              Part part)
      : Reader(std::move(store), source, scale, part),
        sharding_(*scale.sharding),
        shards_(uint64_t{1} << std::min(sharding_.shard_bits, 60u)),
        minishards_(uint64_t{1} << sharding_.minishard_bits),
        table_(std::min<uint64_t>(kTableBytes, 16 * minishards_)) {
    if (sharding_.hash == ShardHash::kIdentity) {
      // Codes end where the grid does: no shard behind that.
      const unsigned low = sharding_.preshift_bits + sharding_.minishard_bits;
      const unsigned high = grid_.bits() > low ? grid_.bits() - low : 0;
      if (high < sharding_.shard_bits) shards_ = uint64_t{1} << std::min(high, 60u);
    }
    if (part.shard) {
      shard_ = *part.shard;
      shards_ = shard_ + 1;
    }
  }
  Result<void> check() const {
    if (shards_ - shard_ > kMostShards)
      return fail(Code::kTooLarge, fmt::format("{}/{}: {} shards are more than can be looked for",
                                               store_->place(), scale_.key, shards_));
    return {};
  }

  Result<std::optional<Chunk>> next(const std::stop_token& stop) override {
    while (entry_ == entries_) {
      if (TRY(next_minishard(stop))) continue;
      TRY(store_->finish());
      return std::optional<Chunk>();
    }
    Chunk chunk;
    uint64_t start;
    const uint64_t step = index_at(0, entry_);
    const bool ascends = entry_ == 0 || (step > 0 && id_ + step > id_);
    id_ += step;
    start = end_ + index_at(1, entry_);
    const uint64_t size = index_at(2, entry_);
    const bool fits = start >= end_ && start + size >= start && start < (uint64_t{1} << 62) &&
                      size < (uint64_t{1} << 62);
    end_ = start + size;
    ++entry_;
    const auto what = [&](std::string_view why) {
      return bad(name_, fmt::format("minishard {}: chunk {}: {}", minishard_ - 1, id_, why));
    };
    if (!ascends) return what("comes twice, or before a smaller one: ids must ascend");
    if (!fits) return what("an impossible place");
    if (grid_.bits() < 64 && id_ >> grid_.bits() != 0) return what("outside the volume");
    chunk.at = grid_.at(id_);
    for (size_t d = 0; d < 3; ++d) {
      if (chunk.at[d] >= grid_.counts()[d]) return what("outside the volume");
    }
    if (shard_of(id_, sharding_) != ShardPlace{shard_ - 1, minishard_ - 1})
      return what("belongs to another shard");
    chunk.extent = extent_at(chunk.at);
    if (size > window_.size())
      return what(fmt::format("{} bytes are more than a chunk can have", size));
    chunk.offset = 16 * minishards_ + start;
    const auto bytes = TRY(view(chunk.offset, size, stop));
    if (bytes.size() < size) return what("the file ends within it");
    chunk.bytes = bytes;
    bytes_read_ += size;
    if (sharding_.gzip_data) {
      const auto made = unpacker_.unpack(Packing::kGzip, bytes, chunk_);
      if (!made) return what(made.error().message());
      chunk.bytes = chunk_.first(*made);
    }
    return std::optional(chunk);
  }

 private:
  uint64_t index_at(size_t row, uint64_t entry) const {
    uint64_t value;
    std::memcpy(&value, index_.data() + 8 * (row * entries_ + entry), 8);
    return value;
  }

  // Leaves the index of the next minishard that has chunks in index_; false at the end of all.
  Result<bool> next_minishard(const std::stop_token& stop) {
    while (true) {
      if (stop.stop_requested()) return fail(Code::kCancelled, "stopped while reading chunks");
      if (!has_shard_) {
        if (shard_ == shards_) return false;
        name_ = fmt::format("{}/{:0{}x}.shard", scale_.key, shard_++,
                            std::max(1u, (sharding_.shard_bits + 3) / 4));
        minishard_ = 0;
        has_table_ = false;
        window_used_ = 0;
        has_shard_ = true;
      }
      if (minishard_ == minishards_) {
        has_shard_ = false;
        continue;
      }
      if (((shard_ - 1) * minishards_ + minishard_) % part_.count != part_.index) {
        ++minishard_;
        continue;
      }
      const uint64_t in_table = 16 * minishard_ % table_.size();
      const uint64_t table_at = 16 * minishard_ - in_table;
      if (!has_table_ || table_at != table_at_) {
        const auto got = TRY(store_->read(name_, table_at, table_, stop));
        if (!got) {  // no such shard
          note_missing(name_);
          has_shard_ = false;
          continue;
        }
        if (*got < table_.size()) return bad(name_, "ends within the table of minishards");
        has_table_ = true;
        table_at_ = table_at;
      }
      uint64_t range[2];
      std::memcpy(range, table_.data() + in_table, 16);
      ++minishard_;
      if (range[0] == range[1]) continue;
      TRY(read_index(range[0], range[1], stop));
      if (entries_ > 0) return true;
    }
  }

  Result<void> read_index(uint64_t begin, uint64_t end, const std::stop_token& stop) {
    const auto what = [&](std::string_view why) {
      return bad(name_, fmt::format("minishard {}: its index {}", minishard_ - 1, why));
    };
    if (end < begin || end > (uint64_t{1} << 62)) return what("ends before it begins");
    const std::span<uint8_t> room = sharding_.gzip_index ? packed_index_ : index_;
    if (end - begin > room.size())
      return fail(
          Code::kTooLarge,
          fmt::format("{}/{}: minishard {}: an index of {} bytes; minishards of at most {} "
                      "chunks are read",
                      store_->place(), name_, minishard_ - 1, end - begin, index_.size() / 24));
    const auto bytes = room.first(end - begin);
    const auto got = TRY(store_->read(name_, 16 * minishards_ + begin, bytes, stop));
    if (!got || *got < bytes.size()) return what("is beyond the end of the file");
    bytes_read_ += bytes.size();
    size_t size = bytes.size();
    if (sharding_.gzip_index) {
      const auto made = unpacker_.unpack(Packing::kGzip, bytes, index_);
      if (!made) return what(made.error().message());
      size = *made;
    }
    if (size % 24 != 0) return what(fmt::format("has {} bytes, no multiple of 24", size));
    entries_ = size / 24;
    entry_ = 0;
    id_ = end_ = 0;
    return {};
  }

  // Bytes of the shard; what lies behind them comes along, as far as the window goes.
  Result<std::span<const uint8_t>> view(uint64_t offset, uint64_t size,
                                        const std::stop_token& stop) {
    if (offset < window_at_ || offset + size > window_at_ + window_used_) {
      // No further than this minishard's last chunk: what is behind may be another index.
      uint64_t ahead = end_;
      for (uint64_t e = entry_; e < entries_ && ahead - end_ < window_.size(); ++e) {
        const uint64_t gap = index_at(1, e), next = index_at(2, e);
        if (gap > window_.size() || next > window_.size()) break;
        ahead += gap + next;
      }
      const uint64_t want = std::min<uint64_t>(window_.size(), 16 * minishards_ + ahead - offset);
      window_at_ = offset;
      window_used_ = 0;
      const auto got = TRY(store_->read(name_, offset, window_.first(want), stop));
      if (!got) return bad(name_, "vanished while it was read");
      window_used_ = *got;
    }
    const uint64_t have = window_at_ + window_used_ - offset;
    return std::span<const uint8_t>(window_).subspan(offset - window_at_, std::min(size, have));
  }

  const Sharding sharding_;
  uint64_t shards_;
  const uint64_t minishards_;
  std::vector<uint8_t> table_;
  uint64_t shard_ = 0, minishard_ = 0;  // the next ones
  bool has_shard_ = false, has_table_ = false;
  uint64_t table_at_ = 0;  // where in the shard table_ begins
  std::string name_;
  uint64_t entries_ = 0, entry_ = 0, id_ = 0, end_ = 0;
  uint64_t window_at_ = 0, window_used_ = 0;
};

}  // namespace

ChunkGrid::ChunkGrid(const Scale& scale) {
  for (size_t d = 0; d < 3; ++d) {
    counts_[d] = (static_cast<uint64_t>(scale.size[d]) + scale.chunk[d] - 1) / scale.chunk[d];
    bits_[d] = counts_[d] <= 1 ? 0 : static_cast<unsigned>(std::bit_width(counts_[d] - 1));
  }
}

std::array<uint64_t, 3> ChunkGrid::at(uint64_t id) const {
  std::array<uint64_t, 3> at{};
  const unsigned most = std::max({bits_[0], bits_[1], bits_[2]});
  unsigned j = 0;
  for (unsigned i = 0; i < most; ++i) {
    for (size_t d = 0; d < 3; ++d) {
      if (i < bits_[d]) at[d] |= (id >> j++ & 1) << i;
    }
  }
  return at;
}

Bytes ChunkReader::room(const VolumeSpec& source, const Scale& scale) {
  const size_t bound = ChunkFormat::of(source, scale).bound(scale.chunk);
  size_t bytes = std::max(kLeastWindow, packed_bound(bound)) + bound;
  if (scale.sharding) bytes += index_bytes(scale) + packed_bound(index_bytes(scale));
  return Bytes(bytes);
}

Result<std::unique_ptr<ChunkReader>> ChunkReader::open(std::unique_ptr<VolumeStore> store,
                                                       const VolumeSpec& source, const Scale& scale,
                                                       Lease lease, Part part) {
  if (ChunkGrid(scale).bits() > 64)
    return fail(Code::kUsage,
                fmt::format("{}/{}: more than 64 Morton bits", store->place(), scale.key));
  if (scale.sharding) {
    auto reader = std::make_unique<ShardReader>(std::move(store), source, scale, part);
    TRY(reader->check());
    TRY(reader->take(std::move(lease)));
    return std::unique_ptr<ChunkReader>(std::move(reader));
  }
  auto reader = std::make_unique<FileReader>(std::move(store), source, scale, part);
  TRY(reader->take(std::move(lease)));
  return std::unique_ptr<ChunkReader>(std::move(reader));
}

}  // namespace spillway::exporter

#include "export/work/block_worker.hpp"

#include <fmt/format.h>
#include <libdeflate.h>
#include <lz4.h>
#include <xxhash.h>
#include <zstd.h>

#include <algorithm>
#include <cstring>

#include "core/disk/corrupt.hpp"
#include "export/block/compressed_segmentation.hpp"
#include "export/block/gzip.hpp"

namespace spillway::exporter {
namespace {

size_t small_frame_room() {
  return std::max(encoded_room(Target::kArrow, kSmallBlock),
                  encoded_room(Target::kPrecomputed, kSmallBlock));
}

class Worker final : public BlockWorker {
 public:
  Worker(const WorkPlan& plan, LargeRoom& large, Pages pages, bool from_voxels,
         std::unique_ptr<PartMaker> parts)
      : plan_(plan),
        large_(large),
        pages_(std::move(pages)),
        inflate_(libdeflate_alloc_decompressor()),
        gzip_(plan.sharding && plan.sharding->gzip_data ? Gzip::create(plan.gzip_level) : nullptr),
        context_(make_frame_context()),
        parts_(std::move(parts)) {
    CHECK(inflate_ != nullptr);
    if (from_voxels) encoder_ = std::make_unique<BlockEncoder>();
    uint8_t* at = pages_.data();
    block_room_ = {at, kSmallBlock};
    at += kSmallBlock;
    frame_room_ = {at, small_frame_room()};
    at += small_frame_room();
    record_room_ = {at, kSortFrame / 2};
    at += kSortFrame / 2;
    if (from_voxels) voxel_room_ = {reinterpret_cast<uint64_t*>(at), kBlockVoxels};
  }
  ~Worker() override {
    libdeflate_free_decompressor(inflate_);
    ZSTD_freeCCtx(context_);
    ZSTD_freeDCtx(open_);
  }

  Result<void> take(const BlockUnit& unit, ExternalSort::Input& out) override {
    for (const BlockUnit::Item& item : unit.items) {
      switch (unit.kind) {
        case BlockUnit::Kind::kPayload:
          TRY(take_payload(item, unit.of(item), out));
          break;
        case BlockUnit::Kind::kVoxels:
          TRY(take_voxels(item, unit.of(item), out));
          break;
        case BlockUnit::Kind::kRow:
          TRY(take_row(item, unit.of(item), out));
          break;
        case BlockUnit::Kind::kChunk:
          TRY(take_chunk(item, unit.of(item), out));
          break;
      }
    }
    return {};
  }
  const ContentSum& seen() const override { return seen_; }

  Result<std::span<const uint8_t>> chunk_of(const RowHead& head, std::span<const uint8_t> payload,
                                            std::span<uint8_t> out) override {
    // Both were good when the record was made.
    CHECK(head.block_size <= block_room_.size());
    const auto room = block_room_.first(head.block_size);
    size_t made = 0;
    const auto status = libdeflate_gzip_decompress(inflate_, payload.data(), payload.size(),
                                                   room.data(), room.size(), &made);
    const auto g = plan_.grid.place(head.at);
    if (status != LIBDEFLATE_SUCCESS || made != room.size() || !g)
      return fail_corrupt("a sorted block is not the one that was read");
    const LabelBlock block = TRY(LabelBlock::parse(room));
    ChunkRooms rooms = chunk_rooms(8 * size_t{block.label_count()}, true);
    if (!gzip_) rooms.chunk = out;
    const auto chunk = encode_chunk(block, *g, rooms);
    TRY(plan_.mapping->status());
    if (!gzip_) return chunk;
    CHECK(chunk.size() <= out.size());
    std::memcpy(out.data(), chunk.data(), chunk.size());
    return std::span<const uint8_t>(out.first(chunk.size()));
  }

 private:
  // ---- the ways in

  Result<void> take_payload(const BlockUnit::Item& item, std::span<const uint8_t> payload,
                            ExternalSort::Input& out) {
    if (plan_.payload != Payload::kByContent) return take_packed_voxels(item, payload, out);
    if (payload.size() >= 2 && payload[0] == 0x1f && payload[1] == 0x8b) {
      if (payload.size() < 18) return reject(item, "gzip: too short", out);
      uint32_t size;
      std::memcpy(&size, payload.data() + payload.size() - 4, 4);
      if (size > kMaxBlockBytes)
        return reject(item, fmt::format("gzip: {} bytes are more than the largest block", size),
                      out);
      if (size <= kSmallBlock) return inflate_into(item, payload, block_room_.first(size), out);
      MutexLock lock(large_.mutex);
      return inflate_into(item, payload, {large_.block.data(), size}, out);
    }
    if (payload.size() > kMaxBlockBytes) return reject(item, "longer than the largest block", out);
    if (payload.size() <= kSmallBlock) return take_block(item, payload, out);
    MutexLock lock(large_.mutex);
    return take_block(item, payload, out);
  }

  Result<void> inflate_into(const BlockUnit::Item& item, std::span<const uint8_t> payload,
                            std::span<uint8_t> room, ExternalSort::Input& out) {
    size_t used = 0, made = 0;
    const auto status = libdeflate_gzip_decompress_ex(inflate_, payload.data(), payload.size(),
                                                      room.data(), room.size(), &used, &made);
    if (status == LIBDEFLATE_BAD_DATA) return reject(item, "gzip: damaged", out);
    if (status != LIBDEFLATE_SUCCESS || made != room.size())
      return reject(item, "gzip: its length does not match", out);
    if (used != payload.size())
      return reject(item, fmt::format("gzip: {} bytes behind it", payload.size() - used), out);
    payload_ = payload;
    auto taken = take_block(item, room, out);
    payload_ = {};
    return taken;
  }

  Result<void> take_packed_voxels(const BlockUnit::Item& item, std::span<const uint8_t> payload,
                                  ExternalSort::Input& out) {
    if (plan_.payload == Payload::kLz4) {
      const int made = LZ4_decompress_safe(reinterpret_cast<const char*>(payload.data()),
                                           reinterpret_cast<char*>(voxel_room_.data()),
                                           static_cast<int>(payload.size()),
                                           static_cast<int>(voxel_room_.size_bytes()));
      if (made != static_cast<int>(voxel_room_.size_bytes()))
        return reject(item, "lz4: damaged, or not 2 MiB of voxels", out);
    } else {
      if (payload.size() != voxel_room_.size_bytes())
        return reject(item, fmt::format("{} bytes are not 2 MiB of voxels", payload.size()), out);
      std::memcpy(voxel_room_.data(), payload.data(), payload.size());
    }
    return encode_voxels(item, voxel_room_, out);
  }
  Result<void> take_voxels(const BlockUnit::Item& item, std::span<const uint8_t> voxels,
                           ExternalSort::Input& out) {
    return encode_voxels(
        item, {reinterpret_cast<const uint64_t*>(voxels.data()), voxels.size() / 8}, out);
  }
  Result<void> take_chunk(const BlockUnit::Item& item, std::span<const uint8_t> bytes,
                          ExternalSort::Input& out) {
    const auto g = plan_.grid.place(item.at);
    if (!g) return reject(item, "outside the volume", out);
    constexpr std::array<uint32_t, 3> kWhole{64, 64, 64};
    const auto done = decode_chunk(*plan_.chunk, bytes, extent_at(*g), kWhole, voxel_room_);
    if (!done) return reject(item, done.error().message(), out);
    return encode_voxels(item, voxel_room_, out);
  }
  Result<void> encode_voxels(const BlockUnit::Item& item, std::span<const uint64_t> voxels,
                             ExternalSort::Input& out) {
    const auto block = encoder_->encode(voxels);
    if (block.size() <= kSmallBlock) return take_block(item, block, out);
    MutexLock lock(large_.mutex);
    return take_block(item, block, out);
  }

  // ---- a block's bytes; with large_.mutex held when they are more than kSmallBlock

  Result<void> take_block(const BlockUnit::Item& item, std::span<const uint8_t> bytes,
                          ExternalSort::Input& out) {
    auto parsed = LabelBlock::parse(bytes);
    if (!parsed) return reject(item, parsed.error().message(), out);
    if (!parsed->is_64_cubed()) return reject(item, "its sub-block counts are not 8,8,8", out);
    const auto g = plan_.grid.place(item.at);
    if (!g) return reject(item, "outside the volume", out);
    if (plan_.pictures != nullptr && plan_.pictures->wants(*g))
      plan_.pictures->paint(*g, *parsed, *plan_.mapping);
    RowHead head;
    head.at = item.at;
    head.offset = item.offset;
    head.block_size = static_cast<uint32_t>(bytes.size());
    mark(head, bytes);
    const bool is_small = bytes.size() <= kSmallBlock;
    if (parts_) {  // before the row: the part's voxels are made of the block, its encoding after it
      if (plan_.target == Target::kPrecomputed) {
        const auto mapped = chunk_rooms(8 * size_t{parsed->label_count()}, is_small).mapped;
        (void)plan_.mapping->map(parsed->label_bytes(), parsed->label_count(), mapped.data());
        parts_->reduce(*parsed, mapped.data(), *g, voxel_room_);
      } else {
        parts_->reduce(*parsed, parsed->label_bytes(), *g, voxel_room_);
      }
    }
    TRY(plan_.target == Target::kArrow ? arrow_row(item, *parsed, *g, head, is_small, out)
                                       : chunk_row(item, *parsed, *g, head, is_small, out));
    return parts_ ? parts_->add(*encoder_, item.ordinal, record_room_) : Result<void>();
  }
  static void mark(RowHead& head, std::span<const uint8_t> bytes) {
    const XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
    head.hash[0] = hash.low64;
    head.hash[1] = hash.high64;
  }
  bool has_any(const LabelBlock& block) {
    return has_any(block.label_bytes(), block.label_count());
  }
  bool has_any(const uint8_t* labels, uint32_t count) {
    // In pieces: the table may be megabytes, the answer comes mostly from the first.
    bool any = false;
    for (uint32_t at = 0; at < count && !any; at += kPiece)
      any =
          plan_.mapping->map(labels + 8 * size_t{at}, std::min(kPiece, count - at), piece_.data());
    return any;
  }

  Result<void> arrow_row(const BlockUnit::Item& item, const LabelBlock& block, GridAt g,
                         RowHead head, bool is_small, ExternalSort::Input& out) {
    const Place place = arrow_place(g);
    const auto no_row = [&] { return empty(place, item, head, out); };
    const bool is_done = is_finished(place);
    if (!plan_.keep_empty && (is_done || block.label_count() > kPiece) && !has_any(block))
      return no_row();
    if (is_done) return done(place, item, head, out);
    head.labels = block.label_count();
    const std::span<uint8_t> room =
        is_small ? frame_room_ : std::span<uint8_t>(large_.frame.data(), large_.frame.size());
    auto* const context = is_small ? context_ : static_cast<ZSTD_CCtx*>(large_.context);
    const size_t table = 8 * size_t{head.labels};
    const size_t most_inline = record_room_.size() - 4 - kKeyBytes - sizeof(RowHead);
    const bool may_fit = 2 * table < most_inline;
    uint8_t* const content = record_room_.data() + kKeyBytes + sizeof(RowHead);
    if (may_fit) {
      const bool any = plan_.mapping->map(block.label_bytes(), head.labels, content);
      if (!any && !plan_.keep_empty) return no_row();
      std::memcpy(content + table, block.label_bytes(), table);
    }
    const size_t made = ZSTD_compress2(context, room.data(), room.size(), block.bytes().data(),
                                       block.bytes().size());
    if (ZSTD_isError(made))
      return fail(Code::kInternal, fmt::format("zstd: {}", ZSTD_getErrorName(made)));
    head.frame_size = static_cast<uint32_t>(made);
    if (may_fit && head.content() <= most_inline) {
      std::memcpy(content + 2 * table, room.data(), made);
      return add(place, item, head, head.content(), out);
    }
    if (is_small) {
      MutexLock lock(large_.mutex);
      return large_arrow_row(item, block.label_bytes(), g, head, room.first(made), out);
    }
    return large_arrow_row(item, block.label_bytes(), g, head, room.first(made), out);
  }

  // With large_.mutex held.
  Result<void> large_arrow_row(const BlockUnit::Item& item, const uint8_t* labels, GridAt g,
                               RowHead head, std::span<const uint8_t> frame,
                               ExternalSort::Input& out) {
    if (!large_.file.is_open()) large_.file = TRY(large_.space->open());
    head.is_large = 1;
    head.offset = large_.file.size();
    for (uint32_t at = 0; at < head.labels; at += kPiece) {
      const uint32_t count = std::min(kPiece, head.labels - at);
      (void)plan_.mapping->map(labels + 8 * size_t{at}, count, piece_.data());
      TRY(large_.file.append(std::span<const uint8_t>(piece_).first(8 * size_t{count})));
    }
    TRY(large_.file.append({labels, 8 * size_t{head.labels}}));
    TRY(large_.file.append(frame));
    return add(arrow_place(g), item, head, 0, out);
  }

  Result<void> chunk_row(const BlockUnit::Item& item, const LabelBlock& block, GridAt g,
                         RowHead head, bool is_small, ExternalSort::Input& out) {
    const Place place = chunk_place(g);
    if (!plan_.keep_empty && !has_any(block)) return empty(place, item, head, out);
    if (is_finished(place)) return done(place, item, head, out);
    const size_t most_inline = record_room_.size() - 4 - kKeyBytes - sizeof(RowHead);
    if (is_small && !payload_.empty() && payload_.size() <= most_inline) {
      head.is_packed = 1;
      head.frame_size = static_cast<uint32_t>(payload_.size());
      std::memcpy(record_room_.data() + kKeyBytes + sizeof(RowHead), payload_.data(),
                  payload_.size());
      return add(place, item, head, payload_.size(), out);
    }
    const ChunkRooms rooms = chunk_rooms(8 * size_t{block.label_count()}, is_small);
    const auto chunk = encode_chunk(block, g, rooms);
    head.frame_size = static_cast<uint32_t>(chunk.size());
    if (chunk.size() <= most_inline) {
      std::memcpy(record_room_.data() + kKeyBytes + sizeof(RowHead), chunk.data(), chunk.size());
      return add(place, item, head, chunk.size(), out);
    }
    const auto write = [&]() -> Result<void> {
      if (!large_.file.is_open()) large_.file = TRY(large_.space->open());
      head.is_large = 1;
      head.offset = TRY(large_.file.append(chunk));
      return add(place, item, head, 0, out);
    };
    if (!is_small) return write();
    MutexLock lock(large_.mutex);
    return write();
  }

  // A row of an Arrow shard whose block is needed for the next scale. Its frame stays as it is.
  Result<void> part_of_row(const BlockUnit::Item& item, GridAt g, std::span<const uint8_t> frame,
                           std::span<uint8_t> room) {
    if (open_ == nullptr) open_ = ZSTD_createDCtx();
    const size_t made =
        ZSTD_decompressDCtx(open_, room.data(), room.size(), frame.data(), frame.size());
    if (ZSTD_isError(made) || made != room.size())
      return fail(Code::kInvalid, fmt::format("{}: block {},{},{}: its zstd frame is damaged",
                                              plan_.source, item.at[0], item.at[1], item.at[2]));
    auto parsed = LabelBlock::parse(room);
    if (!parsed || !parsed->is_64_cubed())
      return fail(Code::kInvalid, fmt::format("{}: block {},{},{}: no label block", plan_.source,
                                              item.at[0], item.at[1], item.at[2]));
    parts_->reduce(*parsed, parsed->label_bytes(), g, voxel_room_);
    return parts_->add(*encoder_, item.ordinal, record_room_);
  }

  // Where a chunk is made: the worker's own room (in BlockWorker::room()), or for a large block the
  // shared frame, whose mutex is held then.
  struct ChunkRooms {
    std::span<uint8_t> chunk, mapped, packed;
  };
  ChunkRooms chunk_rooms(size_t table, bool is_small) {
    const size_t longest = is_small ? small_frame_room() : kMaxChunkBytes;
    const size_t packed = gzip_ ? Gzip::bound(longest) : 0;
    if (is_small) {
      mapped_.resize(std::max(mapped_.size(), table));
      packed_.resize(packed);
      return {frame_room_, mapped_, packed_};
    }
    const std::span<uint8_t> room(large_.frame.data(), large_.frame.size());
    CHECK(longest + table + packed <= room.size());
    return {room.first(longest), room.subspan(longest, table),
            room.subspan(longest + table, packed)};
  }
  // The chunk as it is written, in these rooms.
  std::span<const uint8_t> encode_chunk(const LabelBlock& block, GridAt g,
                                        const ChunkRooms& rooms) {
    (void)plan_.mapping->map(block.label_bytes(), block.label_count(), rooms.mapped.data());
    const size_t made =
        encode_compressed_segmentation(block, rooms.mapped.data(), extent_at(g), rooms.chunk);
    const std::span<const uint8_t> chunk = rooms.chunk.first(made);
    if (!gzip_) return chunk;
    return rooms.packed.first(gzip_->compress(chunk, rooms.packed));
  }

  // A row of an Arrow shard: only its labels are made anew.
  Result<void> take_row(const BlockUnit::Item& item, std::span<const uint8_t> bytes,
                        ExternalSort::Input& out) {
    const auto g = plan_.grid.place(item.at);
    if (!g) return reject(item, "outside the volume", out);
    RowHead head;
    head.at = item.at;
    head.offset = item.offset;
    head.block_size = item.block_size;
    head.labels = item.labels;
    const size_t table = 8 * size_t{item.labels};
    const auto frame = bytes.subspan(table);
    if (plan_.pictures != nullptr && plan_.pictures->wants(*g))
      plan_.pictures->paint_frame(*g, frame, *plan_.mapping);
    head.frame_size = static_cast<uint32_t>(frame.size());
    if (parts_) {
      if (item.block_size > kMaxBlockBytes)
        return reject(item, "longer than the largest block", out);
      if (item.block_size <= kSmallBlock) {
        TRY(part_of_row(item, *g, frame, block_room_.first(item.block_size)));
      } else {
        MutexLock lock(large_.mutex);
        TRY(part_of_row(item, *g, frame, {large_.block.data(), item.block_size}));
      }
    }
    mark(head, bytes);
    const Place place = arrow_place(*g);
    const bool is_done = is_finished(place);
    uint8_t* const content = record_room_.data() + kKeyBytes + sizeof(RowHead);
    if (!is_done && head.content() <= record_room_.size() - 4 - kKeyBytes - sizeof(RowHead)) {
      const bool any = plan_.mapping->map(bytes.data(), head.labels, content);
      if (!any && !plan_.keep_empty) return empty(place, item, head, out);
      std::memcpy(content + table, bytes.data(), bytes.size());
      return add(place, item, head, head.content(), out);
    }
    if (!plan_.keep_empty && !has_any(bytes.data(), head.labels))
      return empty(place, item, head, out);
    if (is_done) return done(place, item, head, out);
    MutexLock lock(large_.mutex);
    return large_arrow_row(item, bytes.data(), *g, head, frame, out);
  }

  std::array<uint32_t, 3> extent_at(GridAt g) const {  // voxels of a block inside the volume
    std::array<uint32_t, 3> extent;
    for (size_t d = 0; d < 3; ++d)
      extent[d] = static_cast<uint32_t>(std::min<int64_t>(64, plan_.size[d] - int64_t{64} * g[d]));
    return extent;
  }

  // ---- records

  Place arrow_place(GridAt g) const { return make_place(plan_.cells.of(g), g[2], g[1], g[0]); }
  Place chunk_place(GridAt g) const {
    if (!plan_.sharding) return make_place(0, g[2], g[1], g[0]);
    const uint64_t code = plan_.grid.morton(g);
    const ShardPlace at = shard_of(code, *plan_.sharding);
    return make_place(at.shard, static_cast<uint32_t>(at.minishard),
                      static_cast<uint32_t>(code >> 32), static_cast<uint32_t>(code));
  }
  bool is_finished(const Place& place) const {
    if (plan_.finished == nullptr) return false;
    const uint64_t file = file_of(place, plan_.is_file_a_chunk());
    const size_t at = plan_.finished->partition_point([&](uint64_t other) { return other < file; });
    return at < plan_.finished->size() && (*plan_.finished)[at] == file;
  }
  Result<void> done(const Place& place, const BlockUnit::Item& item, RowHead head,
                    ExternalSort::Input& out) {
    head.is_done = 1;
    head.labels = head.frame_size = 0;
    return add(place, item, head, 0, out);
  }
  Result<void> empty(const Place& place, const BlockUnit::Item& item, RowHead head,
                     ExternalSort::Input& out) {
    head.is_empty = 1;
    head.labels = head.frame_size = 0;
    return add(place, item, head, 0, out);
  }
  Result<void> reject(const BlockUnit::Item& item, const std::string& reason,
                      ExternalSort::Input& out) {
    if (!plan_.reject)
      return fail(
          Code::kInvalid,
          fmt::format("{}: block {},{},{} at byte {}: {} (--on-error=reject goes on)", plan_.source,
                      item.at[0], item.at[1], item.at[2], item.offset, reason));
    RowHead head;
    head.at = item.at;
    head.offset = item.offset;
    head.hash[0] = XXH3_64bits(reason.data(), reason.size());
    head.frame_size = static_cast<uint32_t>(std::min<size_t>(reason.size(), 200));
    std::memcpy(record_room_.data() + kKeyBytes + sizeof(RowHead), reason.data(), head.frame_size);
    return add(make_place(kRejectGroup, 0, 0, 0), item, head, head.frame_size, out);
  }
  // The content stands in record_room_ already.
  Result<void> add(const Place& place, const BlockUnit::Item& item, const RowHead& head,
                   size_t content, ExternalSort::Input& out) {
    note(item, head, group_of(place) == kRejectGroup);
    const bool backwards = plan_.last_wins && group_of(place) != kRejectGroup;
    const uint64_t ordinal = __builtin_bswap64(backwards ? ~item.ordinal : item.ordinal);
    std::memcpy(record_room_.data(), place.data(), kPlaceBytes);
    std::memcpy(record_room_.data() + kPlaceBytes, &ordinal, 8);
    std::memcpy(record_room_.data() + kKeyBytes, &head, sizeof head);
    return out.add(record_room_.first(kKeyBytes + sizeof head + content));
  }

  void note(const BlockUnit::Item& item, const RowHead& head, bool is_reject) {
    seen_.add_block(item.at, {head.hash[0], head.hash[1]},
                    plan_.order_matters || is_reject ? item.ordinal : 0, is_reject);
  }

  static constexpr uint32_t kPiece = 4096;  // labels

  const WorkPlan& plan_;
  LargeRoom& large_;
  Pages pages_;
  libdeflate_decompressor* inflate_;
  const std::unique_ptr<Gzip> gzip_;  // of chunks; none where they are not gzipped
  ZSTD_CCtx* context_;
  ZSTD_DCtx* open_ = nullptr;  // only for parts of Arrow rows
  std::unique_ptr<PartMaker> parts_;
  std::unique_ptr<BlockEncoder> encoder_;
  std::span<uint8_t> block_room_, frame_room_, record_room_;
  std::span<uint64_t> voxel_room_;
  std::array<uint8_t, 8 * kPiece> piece_;
  ContentSum seen_;
  std::vector<uint8_t> mapped_, packed_;  // of precomputed: for small blocks, in room()
  std::span<const uint8_t> payload_;      // that the block in hand was unpacked from; mostly none
};

}  // namespace

size_t BlockWorker::chunk_bound(size_t block_bytes) {
  // With room for a gzip that does not shrink it.
  const size_t chunk = compressed_segmentation_bound(block_bytes);
  return chunk + chunk / 64 + 256;
}

Bytes BlockWorker::room(Target target, bool from_voxels) {
  size_t bytes = kSmallBlock + small_frame_room() + kSortFrame / 2 +
                 frame_context_bytes(kSmallBlock) + (size_t{192} << 10);  // the object, libdeflate
  if (from_voxels) bytes += kBlockVoxels * 8 + BlockEncoder::room().count() + (size_t{256} << 10);
  if (target == Target::kPrecomputed) bytes += size_t{512} << 10;
  return Bytes(bytes);
}

Result<std::unique_ptr<BlockWorker>> BlockWorker::create(const WorkPlan& plan, LargeRoom& large,
                                                         Lease lease, bool from_voxels,
                                                         std::unique_ptr<PartMaker> parts) {
  CHECK(from_voxels || !parts);  // it needs their room and the encoder
  Pages pages = TRY(Pages::map(std::move(lease)));
  return std::unique_ptr<BlockWorker>(
      std::make_unique<Worker>(plan, large, std::move(pages), from_voxels, std::move(parts)));
}

}  // namespace spillway::exporter

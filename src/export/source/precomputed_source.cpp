#include "export/source/precomputed_source.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "core/file/folders.hpp"
#include "core/records/external_sort.hpp"
#include "export/source/chunk_fetch.hpp"
#include "export/source/chunk_reader.hpp"
#include "net/address.hpp"

namespace spillway::exporter {
namespace {

constexpr size_t kBlockBytes = kBlockVoxels * 8;
constexpr size_t kMostInfo = size_t{1} << 20;
constexpr size_t kPieceKey = 12;              // z, y, x of the block
constexpr size_t kPieceHead = kPieceKey + 6;  // corner and extent in it
constexpr size_t kPieceRecord =
    (size_t{128} << 10) - 4;  // what a sort with frames of 256 KiB takes
constexpr size_t kPieceVoxels = (kPieceRecord - kPieceHead) / 8;

enum class Way { kChunk, kCut, kJoin };

Way way_of(const Scale& scale) {
  if (scale.chunk == std::array<uint32_t, 3>{64, 64, 64}) return Way::kChunk;
  for (const uint32_t side : scale.chunk) {
    if (side % 64 != 0) return Way::kJoin;
  }
  return Way::kCut;
}

ExternalSortOptions sort_options() {
  ExternalSortOptions options;
  options.inputs = 1;
  options.memory = Bytes(uint64_t{8} << 20);
  options.frame_bytes = size_t{256} << 10;
  options.codec = Codec::kLz4;
  return options;
}

size_t chunk_voxels(const Scale& scale) {
  return size_t{scale.chunk[0]} * scale.chunk[1] * scale.chunk[2];
}

// What a local reader needs: more where its files are packed with brotli.
Bytes local_room(const std::string& place, const VolumeSpec& source, const Scale& scale) {
  const Bytes room = ChunkReader::room(source, scale);
  if (scale.sharding) return room;
  bool is_brotli = false;
  (void)any_entry(place + "/" + scale.key, [&](const std::string& name) {  // the first tells
    is_brotli = name.ends_with(".br");
    return true;
  });
  if (!is_brotli) return room;
  return room + Bytes(Unpacker::brotli_room(ChunkFormat::of(source, scale).bound(scale.chunk)));
}

Bytes floor_of(const std::string& place, const VolumeSpec& source, const Scale& scale) {
  const Bytes room =
      net::is_http(place) ? chunk_fetch_room(source, scale) : local_room(place, source, scale);
  switch (way_of(scale)) {
    case Way::kChunk:
      return room + Bytes(std::max(BlockSource::kChunkBytes,
                                   ChunkFormat::of(source, scale).bound(scale.chunk)));
    case Way::kCut:
      return room + Bytes(chunk_voxels(scale) * 8 + kBlockBytes);
    case Way::kJoin:
      return room + Bytes(chunk_voxels(scale) * 8 + kBlockBytes + kPieceRecord + 4096) +
             ExternalSort::floor(sort_options());
  }
  return room;
}

class PrecomputedSource : public BlockSource {
 public:
  PrecomputedSource(std::string name, const VolumeSpec& source, const Scale& scale, Missing missing,
                    std::unique_ptr<ChunkReader> reader, const Grid& grid, Account account)
      : name_(std::move(name)),
        on_missing_(missing),
        scale_(scale),
        format_(ChunkFormat::of(source, scale)),
        grid_(grid),
        reader_(std::move(reader)),
        account_(std::move(account)) {}
  const std::string& name() const override { return name_; }

 protected:
  Result<std::optional<ChunkReader::Chunk>> next_chunk(const std::stop_token& stop) {
    auto chunk = TRY(reader_->next(stop));
    bytes_read_.store(reader_->bytes_read(), std::memory_order_relaxed);
    found_ += chunk.has_value();
    if (!chunk) TRY(count_missing());
    // A shard that is not there may be one that the volume has no chunks for.
    if (on_missing_ == Missing::kError && !scale_.sharding && !reader_->first_missing().empty())
      return fail(Code::kNotFound, reader_->first_missing() + ": no such chunk" + advice());
    return chunk;
  }
  // Chunks that were read and those that are missing are all that the volume has places for.
  Result<void> count_missing() {
    uint64_t places = 1;
    for (const uint64_t count : ChunkGrid(scale_).counts()) places *= count;
    if (found_ > places)
      return fail(Code::kInvalid,
                  fmt::format("{}: {} chunks were read, the volume has places for {}", name_,
                              found_, places));
    missing_ = places - found_;
    if (on_missing_ == Missing::kZero || missing_ == 0) return {};
    const std::string& first = reader_->first_missing();
    return fail(Code::kNotFound,
                fmt::format("{}: {} of its {} chunks are not there{}{}", name_, grouped(missing_),
                            grouped(places), first.empty() ? "" : ", as is " + first, advice()));
  }
  static std::string advice() { return " (--missing zero reads what is not there as 0)"; }
  // The chunk's voxels, row by row of the whole chunk's width.
  Result<void> decode(const ChunkReader::Chunk& chunk, std::span<uint64_t> voxels) const {
    auto done = decode_chunk(format_, chunk.bytes, chunk.extent, scale_.chunk, voxels);
    if (!done)
      return fail(Code::kInvalid, fmt::format("{}: chunk {},{},{}: {}", name_, chunk.at[0],
                                              chunk.at[1], chunk.at[2], done.error().message()));
    return {};
  }

  const std::string name_;
  const Missing on_missing_;
  uint64_t found_ = 0;  // chunks
  const Scale& scale_;
  const ChunkFormat format_;
  const Grid grid_;
  std::unique_ptr<ChunkReader> reader_;
  Account account_;
};

// Chunks that are blocks: decoded by the workers.
class ChunkSource final : public PrecomputedSource {
 public:
  using PrecomputedSource::PrecomputedSource;
  Result<std::optional<BlockUnit>> next(std::stop_token stop) override {
    if (!chunk_) chunk_ = TRY(next_chunk(stop));
    if (!chunk_) return std::nullopt;
    const size_t room = std::max(kChunkBytes, chunk_->bytes.size());
    BlockUnit unit;
    unit.kind = BlockUnit::Kind::kChunk;
    unit.bytes = TRY(Pages::map(TRY(account_.acquire(Bytes(room), stop))));
    size_t used = 0;
    while (chunk_ && used + chunk_->bytes.size() <= room && unit.items.size() < 4096) {
      std::memcpy(unit.bytes.data() + used, chunk_->bytes.data(), chunk_->bytes.size());
      GridAt g;
      for (size_t d = 0; d < 3; ++d) g[d] = static_cast<uint32_t>(chunk_->at[d]);
      const uint64_t ordinal = blocks_.fetch_add(1, std::memory_order_relaxed);
      unit.items.push_back(
          {grid_.block_at(g), ordinal, chunk_->offset, used, chunk_->bytes.size()});
      used += chunk_->bytes.size();
      chunk_ = TRY(next_chunk(stop));
    }
    unit.bytes.shrink_to(std::max<size_t>(used, 1));
    return std::optional(std::move(unit));
  }

 private:
  std::optional<ChunkReader::Chunk> chunk_;
};

// A box of a chunk that lies in one block.
struct Piece {
  GridAt block{};
  std::array<uint32_t, 3> corner{};  // in the block
  std::array<uint32_t, 3> extent{};
  std::array<uint32_t, 3> in_chunk{};  // its corner there
};

// Calls `take` for every piece of a chunk, block by block.
template <class Take>
Result<void> cut(const Scale& scale, const ChunkReader::Chunk& chunk, Take take) {
  std::array<uint64_t, 3> begin, end;  // in voxels of the scale
  for (size_t d = 0; d < 3; ++d) {
    begin[d] = chunk.at[d] * scale.chunk[d];
    end[d] = begin[d] + chunk.extent[d];
  }
  for (uint64_t bz = begin[2] / 64; bz * 64 < end[2]; ++bz) {
    for (uint64_t by = begin[1] / 64; by * 64 < end[1]; ++by) {
      for (uint64_t bx = begin[0] / 64; bx * 64 < end[0]; ++bx) {
        const std::array<uint64_t, 3> block{bx, by, bz};
        Piece piece;
        for (size_t d = 0; d < 3; ++d) {
          const uint64_t from = std::max(begin[d], block[d] * 64);
          const uint64_t to = std::min(end[d], block[d] * 64 + 64);
          piece.block[d] = static_cast<uint32_t>(block[d]);
          piece.corner[d] = static_cast<uint32_t>(from - block[d] * 64);
          piece.extent[d] = static_cast<uint32_t>(to - from);
          piece.in_chunk[d] = static_cast<uint32_t>(from - begin[d]);
        }
        TRY(take(piece));
      }
    }
  }
  return {};
}

// Chunks of several blocks each: one after the other is cut.
class CutSource final : public PrecomputedSource {
 public:
  using PrecomputedSource::PrecomputedSource;
  Result<std::optional<BlockUnit>> next(std::stop_token stop) override {
    if (voxels_.empty())
      voxels_ = TRY(Pages::map(TRY(account_.acquire(Bytes(chunk_voxels(scale_) * 8), stop))));
    while (at_ == pieces_.size()) {
      const auto chunk = TRY(next_chunk(stop));
      if (!chunk) return std::nullopt;
      TRY(decode(*chunk, voxels_.as<uint64_t>().first(chunk_voxels(scale_))));
      pieces_.clear();  // at most 2^27 / 64^3
      at_ = 0;
      TRY(cut(scale_, *chunk, [&](const Piece& piece) -> Result<void> {
        pieces_.push_back(piece);
        return {};
      }));
    }
    const Piece& piece = pieces_[at_++];
    BlockUnit unit;
    unit.kind = BlockUnit::Kind::kVoxels;
    unit.bytes = TRY(Pages::map(TRY(account_.acquire(Bytes(kBlockBytes), stop))));
    const auto from = voxels_.as<const uint64_t>();
    auto* const to = unit.bytes.as<uint64_t>().data();
    for (size_t z = 0; z < piece.extent[2]; ++z) {
      for (size_t y = 0; y < piece.extent[1]; ++y) {
        const size_t row =
            ((piece.in_chunk[2] + z) * scale_.chunk[1] + piece.in_chunk[1] + y) * scale_.chunk[0] +
            piece.in_chunk[0];
        std::copy_n(from.data() + row, piece.extent[0], to + (z * 64 + y) * 64);
      }
    }
    const uint64_t ordinal = blocks_.fetch_add(1, std::memory_order_relaxed);
    unit.items.push_back({grid_.block_at(piece.block), ordinal, 0, 0, kBlockBytes});
    return std::optional(std::move(unit));
  }

 private:
  Pages voxels_;
  std::vector<Piece> pieces_;
  size_t at_ = 0;
};

// Chunks that do not fit blocks: cut, sorted, joined.
class JoinSource final : public PrecomputedSource {
 public:
  using PrecomputedSource::PrecomputedSource;
  Result<void> begin(std::shared_ptr<ScratchSpace> space) {
    space_ = std::move(space);
    return {};
  }
  Result<std::optional<BlockUnit>> next(std::stop_token stop) override {
    if (!stream_) TRY(cut_all(stop));
    if (!record_) return std::nullopt;
    std::array<uint8_t, kPieceKey> key;
    std::memcpy(key.data(), record_->data(), key.size());
    BlockUnit unit;
    unit.kind = BlockUnit::Kind::kVoxels;
    unit.bytes = TRY(Pages::map(TRY(account_.acquire(Bytes(kBlockBytes), stop))));
    auto* const voxels = unit.bytes.as<uint64_t>().data();
    while (record_ && std::equal(key.begin(), key.end(), record_->begin())) {
      const uint8_t* const head = record_->data() + kPieceKey;
      const uint8_t* from = record_->data() + kPieceHead;
      for (size_t z = 0; z < head[5]; ++z) {
        for (size_t y = 0; y < head[4]; ++y) {
          std::memcpy(voxels + ((head[2] + z) * 64 + head[1] + y) * 64 + head[0], from,
                      8 * size_t{head[3]});
          from += 8 * size_t{head[3]};
        }
      }
      record_ = TRY(stream_->next());
    }
    GridAt g;
    for (size_t d = 0; d < 3; ++d) {
      std::memcpy(&g[d], key.data() + 4 * (2 - d), 4);
      g[d] = __builtin_bswap32(g[d]);
    }
    const uint64_t ordinal = blocks_.fetch_add(1, std::memory_order_relaxed);
    unit.items.push_back({grid_.block_at(g), ordinal, 0, 0, kBlockBytes});
    return std::optional(std::move(unit));
  }

 private:
  Result<void> cut_all(const std::stop_token& stop) {
    ExternalSortOptions options = sort_options();
    options.stop = stop;
    sort_ = TRY(ExternalSort::create(std::move(options), account_, space_));
    Pages voxels = TRY(Pages::map(TRY(account_.acquire(Bytes(chunk_voxels(scale_) * 8), stop))));
    Pages record = TRY(Pages::map(TRY(account_.acquire(Bytes(kPieceRecord), stop))));
    const auto all = voxels.as<uint64_t>().first(chunk_voxels(scale_));
    while (const auto chunk = TRY(next_chunk(stop))) {
      TRY(decode(*chunk, all));
      TRY(cut(scale_, *chunk, [&](const Piece& piece) { return add(piece, all, record); }));
    }
    reader_.reset();
    stream_.emplace(TRY(sort_->stream()));
    record_ = TRY(stream_->next());
    return {};
  }
  // In records of whole rows, and of whole slices where rows fit: 64 x 64 voxels do.
  Result<void> add(const Piece& piece, std::span<const uint64_t> from, Pages& record) {
    const uint32_t slice = piece.extent[0] * piece.extent[1];
    const auto slices = static_cast<uint32_t>(kPieceVoxels / slice);
    for (uint32_t z = 0; z < piece.extent[2]; z += slices) {
      const uint32_t depth = std::min(slices, piece.extent[2] - z);
      uint8_t* at = record.data();
      for (const size_t d : {2u, 1u, 0u}) {
        const uint32_t block = __builtin_bswap32(piece.block[d]);
        std::memcpy(at, &block, 4);
        at += 4;
      }
      const std::array<uint32_t, 6> box{piece.corner[0], piece.corner[1], piece.corner[2] + z,
                                        piece.extent[0], piece.extent[1], depth};
      for (const uint32_t value : box) *at++ = static_cast<uint8_t>(value);
      for (size_t dz = 0; dz < depth; ++dz) {
        for (size_t y = 0; y < piece.extent[1]; ++y) {
          const size_t row =
              ((piece.in_chunk[2] + z + dz) * scale_.chunk[1] + piece.in_chunk[1] + y) *
                  scale_.chunk[0] +
              piece.in_chunk[0];
          std::memcpy(at, from.data() + row, 8 * size_t{piece.extent[0]});
          at += 8 * size_t{piece.extent[0]};
        }
      }
      TRY(sort_->input(0).add({record.data(), static_cast<size_t>(at - record.data())}));
    }
    return {};
  }

  std::shared_ptr<ScratchSpace> space_;
  std::unique_ptr<ExternalSort> sort_;
  std::optional<ExternalSort::Stream> stream_;
  std::optional<Record> record_;
};

std::string shape_of(const Scale& scale) {
  return fmt::format("{} x {} x {} voxels of {} x {} x {} nm at {},{},{}", scale.size[0],
                     scale.size[1], scale.size[2], scale.resolution[0], scale.resolution[1],
                     scale.resolution[2], scale.voxel_offset[0], scale.voxel_offset[1],
                     scale.voxel_offset[2]);
}

}  // namespace

std::optional<std::string> precomputed_place(const std::string& source) {
  std::string place = source;
  constexpr std::string_view kPrefix = "precomputed://";
  const bool named = place.starts_with(kPrefix);
  if (named) place.erase(0, kPrefix.size());
  if (place.starts_with("file://")) place.erase(0, 7);
  while (place.size() > 1 && place.ends_with('/')) place.pop_back();
  if (named || is_file(place + "/info").value_or(false)) return place;
  return std::nullopt;
}

Result<VolumeSpec> read_precomputed_info(const std::string& place, const std::stop_token& stop) {
  if (place.find("://") != std::string::npos && !net::is_http(place))
    return fail(Code::kUsage, place + ": only folders, http and https are read; copy it to a disk");
  auto store = TRY(VolumeStore::open(place));
  std::string text(kMostInfo, '\0');  // given back before anything is leased
  const auto whole =
      TRY(store->read_whole("info", {reinterpret_cast<uint8_t*>(text.data()), text.size()}, stop));
  if (!whole) return fail(Code::kNotFound, place + "/info: no such thing");
  if (whole->packing != Packing::kNone)
    return fail(Code::kInvalid, fmt::format("{}/info{}: unpack it first", place, whole->suffix));
  text.resize(whole->bytes);
  text.shrink_to_fit();
  return VolumeSpec::parse(text, place + "/info", VolumeSpec::Use::kSource);
}

std::optional<size_t> matching_scale(const VolumeSpec& source, const Scale& wanted) {
  for (size_t i = 0; i < source.scales.size(); ++i) {
    const Scale& scale = source.scales[i];
    bool same = scale.size == wanted.size && scale.voxel_offset == wanted.voxel_offset;
    for (size_t d = 0; d < 3; ++d)
      same &= std::abs(scale.resolution[d] - wanted.resolution[d]) <= 1e-6 * wanted.resolution[d];
    if (same) return i;
  }
  return std::nullopt;
}

Bytes precomputed_floor(const std::string& place, const VolumeSpec& source) {
  Bytes most(0);
  for (const Scale& scale : source.scales) most = std::max(most, floor_of(place, source, scale));
  return most;
}

Bytes precomputed_wish(const std::string& place, const VolumeSpec& source) {
  Bytes most(0);
  if (!net::is_http(place)) return most;
  for (const Scale& scale : source.scales)
    most = std::max(most, chunk_fetch_room(source, scale) * (kMostChunkFetches - 1));
  return most;
}

Result<std::unique_ptr<BlockSource>> open_precomputed(const std::string& place,
                                                      const VolumeSpec& source, const Scale& wanted,
                                                      const Grid& grid, Missing missing,
                                                      Account account, Account more,
                                                      std::shared_ptr<ScratchSpace> space) {
  const auto index = matching_scale(source, wanted);
  if (!index) {
    std::string there;
    for (const Scale& scale : source.scales) there += "; " + shape_of(scale);
    return fail(Code::kUsage, fmt::format("{}: has no scale of {}, as the spec has it; it has{}",
                                          place, shape_of(wanted), there.substr(1)));
  }
  const Scale& scale = source.scales[*index];
  std::unique_ptr<ChunkReader> reader;
  if (net::is_http(place)) {
    reader = TRY(open_chunk_fetch(place, source, scale, account, std::move(more)));
  } else {
    Lease lease = TRY(account.acquire(local_room(place, source, scale), std::stop_token()));
    reader = TRY(ChunkReader::open(TRY(VolumeStore::open(place)), source, scale, std::move(lease)));
  }
  const std::string name = place + "/" + scale.key;
  switch (way_of(scale)) {
    case Way::kChunk:
      return std::unique_ptr<BlockSource>(std::make_unique<ChunkSource>(
          name, source, scale, missing, std::move(reader), grid, std::move(account)));
    case Way::kCut:
      return std::unique_ptr<BlockSource>(std::make_unique<CutSource>(
          name, source, scale, missing, std::move(reader), grid, std::move(account)));
    case Way::kJoin:
      break;
  }
  auto join = std::make_unique<JoinSource>(name, source, scale, missing, std::move(reader), grid,
                                           std::move(account));
  TRY(join->begin(std::move(space)));
  return std::unique_ptr<BlockSource>(std::move(join));
}

}  // namespace spillway::exporter

#include "export/source/downscale.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "core/disk/corrupt.hpp"

namespace spillway::exporter {
namespace {

constexpr size_t kPartKey = 21;             // z, y, x, which part, ordinal
constexpr size_t kPartHead = kPartKey + 1;  // and whether it is in the file
constexpr size_t kBlockBytes = kBlockVoxels * 8;

// The labels of a sub-block's palette and their ranks: equal labels share one, smaller ids come
// first.
struct Ranks {
  std::array<uint64_t, kSubBlockVoxels> label;  // by entry
  std::array<uint16_t, kSubBlockVoxels> rank;   // by entry
  std::array<uint64_t, kSubBlockVoxels> sorted;
  uint32_t different = 0;

  void make(const LabelBlock::SubBlock& sub, const uint8_t* labels) {
    label[0] = 0;
    const uint32_t count = std::max(sub.palette_size, 1u);
    for (uint32_t i = 0; i < sub.palette_size; ++i)
      std::memcpy(&label[i], labels + 8 * size_t{sub.index(i)}, 8);
    std::copy_n(label.begin(), count, sorted.begin());
    std::sort(sorted.begin(), sorted.begin() + count);
    different =
        static_cast<uint32_t>(std::unique(sorted.begin(), sorted.begin() + count) - sorted.begin());
    for (uint32_t i = 0; i < count; ++i)
      rank[i] = static_cast<uint16_t>(
          std::lower_bound(sorted.begin(), sorted.begin() + different, label[i]) - sorted.begin());
  }

  // The rank that most of `votes` have, the smallest of those.
  uint16_t majority(std::span<const uint16_t> votes) const {
    if (different <= 16) {
      uint64_t counts = 0;  // 4 bits a rank: at most 8 votes
      for (const uint16_t vote : votes) counts += uint64_t{1} << (4 * vote);
      uint16_t best = 0;
      uint64_t most = counts & 15;
      for (uint16_t i = 1; i < different; ++i) {
        const uint64_t count = counts >> (4 * i) & 15;
        if (count > most) most = count, best = i;
      }
      return best;
    }
    uint16_t best = 0xFFFF;
    ptrdiff_t most = 0;
    for (const uint16_t vote : votes) {
      const ptrdiff_t count = std::count(votes.begin(), votes.end(), vote);
      if (count > most || (count == most && vote < best)) most = count, best = vote;
    }
    return best;
  }
};

// Where the part of one sub-block goes.
struct Corner {
  uint64_t* at;
  size_t row, slice;  // elements from one row and slice to the next
};

// 8^3 to 4^3, nothing outside the volume: most cells are of one label, and are seen to be by
// comparing two at a time.
void reduce_whole(const Ranks& ranks, const SubBlockValues& values, const Corner& to) {
  constexpr uint64_t kLow = 0x0000FFFF0000FFFFu;
  for (size_t z = 0; z < 4; ++z) {
    for (size_t y = 0; y < 4; ++y) {
      const uint16_t* const row = values.data() + z * 128 + y * 16;
      uint64_t* const out = to.at + z * to.slice + y * to.row;
      for (size_t half = 0; half < 2; ++half) {
        const uint16_t* const at = row + 4 * half;
        uint64_t a, b, c, d;
        std::memcpy(&a, at, 8);
        std::memcpy(&b, at + 8, 8);
        std::memcpy(&c, at + 64, 8);
        std::memcpy(&d, at + 72, 8);
        const uint64_t mixed = (a ^ b) | (a ^ c) | (a ^ d) | ((a ^ a >> 16) & kLow);
        for (size_t i = 0; i < 2; ++i) {
          const uint16_t* const cell = at + 2 * i;
          if ((mixed >> (32 * i) & 0xFFFFFFFFu) == 0) {
            out[2 * half + i] = ranks.label[*cell];
            continue;
          }
          const std::array<uint16_t, 8> votes{ranks.rank[cell[0]],  ranks.rank[cell[1]],
                                              ranks.rank[cell[8]],  ranks.rank[cell[9]],
                                              ranks.rank[cell[64]], ranks.rank[cell[65]],
                                              ranks.rank[cell[72]], ranks.rank[cell[73]]};
          out[2 * half + i] = ranks.sorted[ranks.majority(votes)];
        }
      }
    }
  }
}

// Any factors; `inside`: voxels of the sub-block inside the volume along each axis.
void reduce_clipped(const Ranks& ranks, const SubBlockValues& values,
                    std::array<uint32_t, 3> factor, std::array<uint32_t, 3> inside,
                    const Corner& to) {
  for (uint32_t z = 0; z < 8 / factor[2]; ++z) {
    for (uint32_t y = 0; y < 8 / factor[1]; ++y) {
      for (uint32_t x = 0; x < 8 / factor[0]; ++x) {
        std::array<uint16_t, 8> votes;
        size_t count = 0;
        for (uint32_t dz = 0; dz < factor[2]; ++dz) {
          for (uint32_t dy = 0; dy < factor[1]; ++dy) {
            for (uint32_t dx = 0; dx < factor[0]; ++dx) {
              const uint32_t vx = x * factor[0] + dx, vy = y * factor[1] + dy,
                             vz = z * factor[2] + dz;
              if (vx >= inside[0] || vy >= inside[1] || vz >= inside[2]) continue;
              votes[count++] = ranks.rank[values[(vz * 8 + vy) * 8 + vx]];
            }
          }
        }
        to.at[z * to.slice + y * to.row + x] =
            count == 0 ? 0 : ranks.sorted[ranks.majority({votes.data(), count})];
      }
    }
  }
}

uint32_t big(uint32_t value) { return __builtin_bswap32(value); }

}  // namespace

Result<ScaleStep> scale_step(const VolumeSpec& spec, size_t from, const std::string& where) {
  const Scale &fine = spec.scales[from], &coarse = spec.scales[from + 1];
  const auto wrong = [&](const std::string& what) {
    return fail(Code::kUsage, fmt::format("{}: scales[{}] ({}) from scales[{}] ({}): {}", where,
                                          from + 1, coarse.key, from, fine.key, what));
  };
  ScaleStep step;
  step.size = fine.size;
  for (size_t d = 0; d < 3; ++d) {
    const double ratio = coarse.resolution[d] / fine.resolution[d];
    const auto factor = static_cast<int64_t>(std::llround(std::min(ratio, 100.0)));
    if (std::abs(ratio - static_cast<double>(factor)) > 1e-6 || factor < 1 || factor > 2)
      return wrong(
          fmt::format("the resolution along {} is {} times as coarse, --scale all needs 1 "
                      "or 2",
                      "xyz"[d], ratio));
    const int64_t size = (fine.size[d] + factor - 1) / factor;
    if (coarse.size[d] != size)
      return wrong(fmt::format("the size along {} must be {} / {} rounded up, {}, not {}", "xyz"[d],
                               fine.size[d], factor, size, coarse.size[d]));
    if (coarse.voxel_offset[d] * factor != fine.voxel_offset[d])
      return wrong(fmt::format("voxel_offset along {} must be {} / {}, not {}", "xyz"[d],
                               fine.voxel_offset[d], factor, coarse.voxel_offset[d]));
    step.factor[d] = static_cast<uint32_t>(factor);
  }
  return step;
}

void reduce_block(const LabelBlock& block, const uint8_t* labels, GridAt g, const ScaleStep& step,
                  std::span<uint64_t> out) {
  CHECK(block.is_64_cubed() && out.size() == step.part_voxels());
  const auto counts = step.part_counts();  // also the voxels that a sub-block becomes
  const size_t width = size_t{counts[0]} * 8, height = size_t{counts[1]} * 8;
  std::array<int64_t, 3> inside;  // of the block
  for (size_t d = 0; d < 3; ++d) inside[d] = step.size[d] - int64_t{64} * g[d];
  LabelBlock::Walk walk(block);
  Ranks ranks;
  SubBlockValues values;
  const bool halves = step.factor == std::array<uint32_t, 3>{2, 2, 2};
  for (uint32_t z = 0; z < 8; ++z) {
    for (uint32_t y = 0; y < 8; ++y) {
      for (uint32_t x = 0; x < 8; ++x) {
        const LabelBlock::SubBlock sub = walk.next();
        const Corner to{
            out.data() + (size_t{z} * counts[2] * height + y * counts[1]) * width + x * counts[0],
            width, width * height};
        const std::array<uint32_t, 3> at{x, y, z};
        std::array<uint32_t, 3> here;
        bool whole = true;
        for (size_t d = 0; d < 3; ++d) {
          here[d] = static_cast<uint32_t>(std::clamp<int64_t>(inside[d] - 8 * at[d], 0, 8));
          whole &= here[d] == 8;
        }
        if (sub.bits == 0) {
          uint64_t label = 0;
          if (sub.palette_size > 0) std::memcpy(&label, labels + 8 * size_t{sub.index(0)}, 8);
          for (uint32_t vz = 0; vz < counts[2]; ++vz) {
            for (uint32_t vy = 0; vy < counts[1]; ++vy) {
              uint64_t* const row = to.at + vz * to.slice + vy * to.row;
              for (uint32_t vx = 0; vx < counts[0]; ++vx) {
                const bool covers = vx * step.factor[0] < here[0] &&
                                    vy * step.factor[1] < here[1] && vz * step.factor[2] < here[2];
                row[vx] = covers ? label : 0;
              }
            }
          }
          continue;
        }
        sub.unpack(values);
        ranks.make(sub, labels);
        if (halves && whole) {
          reduce_whole(ranks, values, to);
        } else {
          reduce_clipped(ranks, values, step.factor, here, to);
        }
      }
    }
  }
}

// ---- parts on their way to the sort --------------------------------------------------------------

void PartMaker::reduce(const LabelBlock& block, const uint8_t* labels, GridAt g,
                       std::span<uint64_t> room) {
  at_ = g;
  bool inside = true;
  for (size_t d = 0; d < 3; ++d) inside &= int64_t{64} * g[d] + 64 <= options_.step.size[d];
  is_solid_ = inside && block.label_count() == 1;
  if (is_solid_) {
    std::memcpy(&solid_label_, labels, 8);
    return;
  }
  const std::span<uint64_t> part = room.first(options_.step.part_voxels());
  reduce_block(block, labels, g, options_.step, part);
  voxels_ = part;
}

Result<void> PartMaker::add(BlockEncoder& encoder, uint64_t ordinal, std::span<uint8_t> record) {
  std::array<uint8_t, 24> solid;
  std::span<const uint8_t> part;
  const auto counts = options_.step.part_counts();
  if (is_solid_) {
    const uint32_t one = 1;
    std::memcpy(solid.data(), counts.data(), 12);
    std::memcpy(solid.data() + 12, &one, 4);
    std::memcpy(solid.data() + 16, &solid_label_, 8);
    part = solid;
  } else {
    part = encoder.encode(voxels_, counts);
  }
  if (!options_.keep_zero && part.size() == 24) {
    uint64_t label;
    std::memcpy(&label, part.data() + 16, 8);
    if (label == 0) return {};
  }
  uint8_t which = 0;
  for (size_t d = 0; d < 3; ++d) {
    const uint32_t parent = big(at_[d] / options_.step.factor[d]);
    std::memcpy(record.data() + 4 * (2 - d), &parent, 4);
    which = static_cast<uint8_t>(which | (at_[d] % options_.step.factor[d]) << d);
  }
  record[12] = which;
  ordinal = __builtin_bswap64(options_.last_wins ? ~ordinal : ordinal);
  std::memcpy(record.data() + 13, &ordinal, 8);
  record[kPartKey] = 0;
  if (part.size() + kPartHead + 4 <= record.size()) {
    std::memcpy(record.data() + kPartHead, part.data(), part.size());
    return out_.add(record.first(kPartHead + part.size()));
  }
  record[kPartKey] = 1;
  uint64_t place[2] = {0, part.size()};
  {
    MutexLock lock(file_.mutex);
    if (!file_.file.is_open()) file_.file = TRY(file_.space->open());
    place[0] = TRY(file_.file.append(part));
  }
  std::memcpy(record.data() + kPartHead, place, sizeof place);
  return out_.add(record.first(kPartHead + sizeof place));
}

// ---- parts to blocks -----------------------------------------------------------------------------

namespace {

class Downscaled final : public BlockSource {
 public:
  Downscaled(std::unique_ptr<ExternalSort> parts, std::unique_ptr<PartFile> file, ScaleStep step,
             Grid grid, Account account)
      : parts_(std::move(parts)),
        file_(std::move(file)),
        step_(step),
        grid_(grid),
        account_(std::move(account)) {}

  Result<void> begin() {
    stream_.emplace(TRY(parts_->stream()));
    record_ = TRY(stream_->next());
    return {};
  }

  Result<std::optional<BlockUnit>> next(std::stop_token stop) override {
    if (!record_) return std::nullopt;
    if (stop.stop_requested()) return fail(Code::kCancelled, "stopped while downscaling");
    std::array<uint8_t, 12> parent;
    std::memcpy(parent.data(), record_->data(), parent.size());
    BlockUnit unit;
    unit.kind = BlockUnit::Kind::kVoxels;
    unit.bytes = TRY(Pages::map(TRY(account_.acquire(Bytes(kBlockBytes), stop))));
    int last = -1;
    while (record_ && std::equal(parent.begin(), parent.end(), record_->begin())) {
      const int which = (*record_)[12];
      if (which != last) TRY(place(*record_, unit.bytes.as<uint64_t>(), stop));
      last = which;
      record_ = TRY(stream_->next());
    }
    GridAt g;
    for (size_t d = 0; d < 3; ++d) {
      uint32_t at;
      std::memcpy(&at, parent.data() + 4 * (2 - d), 4);
      g[d] = big(at);
    }
    const uint64_t ordinal = blocks_.fetch_add(1, std::memory_order_relaxed);
    unit.items.push_back({grid_.block_at(g), ordinal, 0, 0, kBlockBytes});
    return std::optional(std::move(unit));
  }
  const std::string& name() const override { return name_; }

 private:
  // One part into its corner of the block.
  Result<void> place(Record record, std::span<uint64_t> voxels, const std::stop_token& stop) {
    std::span<const uint8_t> bytes = record.subspan(kPartHead);
    if (record[kPartKey] != 0) {
      uint64_t at[2];
      std::memcpy(at, bytes.data(), sizeof at);
      if (at[1] > kMaxBlockBytes) return fail_corrupt("a downscaled part of no size");
      if (room_.empty())
        room_ = TRY(Pages::map(TRY(account_.acquire(Bytes(kMaxBlockBytes), stop))));
      const std::span<uint8_t> room(room_.data(), at[1]);
      MutexLock lock(file_->mutex);
      TRY(file_->file.read_at(at[0], room));
      bytes = room;
    }
    const LabelBlock part = TRY(LabelBlock::parse(bytes));
    const auto counts = part.sub_blocks();
    if (counts != step_.part_counts()) return fail_corrupt("a downscaled part of another shape");
    std::array<size_t, 3> corner;
    for (size_t d = 0; d < 3; ++d)
      corner[d] = (record[12] >> d & 1) != 0 ? size_t{counts[d]} * 8 : 0;
    LabelBlock::Walk walk(part);
    std::array<uint64_t, kSubBlockVoxels> palette;
    SubBlockValues values;
    for (size_t z = 0; z < counts[2]; ++z) {
      for (size_t y = 0; y < counts[1]; ++y) {
        for (size_t x = 0; x < counts[0]; ++x) {
          const LabelBlock::SubBlock sub = walk.next();
          palette[0] = 0;
          for (uint32_t i = 0; i < sub.palette_size; ++i) palette[i] = part.label(sub.index(i));
          if (sub.bits == 0 && palette[0] == 0) continue;  // pages begin as zeros
          sub.unpack(values);
          uint64_t* const to = voxels.data() + ((corner[2] + z * 8) * 64 + corner[1] + y * 8) * 64 +
                               corner[0] + x * 8;
          for (size_t row = 0; row < 64; ++row) {
            for (size_t i = 0; i < 8; ++i)
              to[((row >> 3) * 64 + (row & 7)) * 64 + i] = palette[values[row * 8 + i]];
          }
        }
      }
    }
    return {};
  }

  std::string name_ = "the scale before";
  std::unique_ptr<ExternalSort> parts_;
  std::unique_ptr<PartFile> file_;
  const ScaleStep step_;
  const Grid grid_;
  Account account_;
  Pages room_;
  std::optional<ExternalSort::Stream> stream_;
  std::optional<Record> record_;
};

}  // namespace

Result<std::unique_ptr<BlockSource>> open_downscaled(std::unique_ptr<ExternalSort> parts,
                                                     std::unique_ptr<PartFile> file,
                                                     const ScaleStep& step, const Grid& grid,
                                                     Account account) {
  auto source = std::make_unique<Downscaled>(std::move(parts), std::move(file), step, grid,
                                             std::move(account));
  TRY(source->begin());
  return std::unique_ptr<BlockSource>(std::move(source));
}

Bytes downscale_floor() { return Bytes(kBlockBytes + kMaxBlockBytes); }

}  // namespace spillway::exporter

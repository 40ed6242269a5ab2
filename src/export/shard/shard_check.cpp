#include "export/shard/shard_check.hpp"

#include <fmt/format.h>
#include <zstd.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "core/file/folders.hpp"
#include "core/memory/pages.hpp"
#include "export/shard/csv_index.hpp"
#include "export/source/arrow_reader.hpp"

namespace spillway::exporter {
namespace {

constexpr uint32_t kPiece = 4096;  // labels

uint64_t u64_at(const uint8_t* at) {
  uint64_t value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

tl::unexpected<Error> bad(std::string what) { return fail(Code::kInvalid, std::move(what)); }

class Check final : public ShardCheck {
 public:
  Check(Options options, std::unique_ptr<ArrowReader> reader, Pages block, Lease others)
      : options_(std::move(options)),
        reader_(std::move(reader)),
        others_(std::move(others)),
        context_(ZSTD_createDCtx()),
        block_(std::move(block)),
        piece_(8 * kPiece) {
    CHECK(context_ != nullptr);
  }
  ~Check() override { ZSTD_freeDCtx(context_); }

  Result<Figures> check(const std::string& path, const Volume* volume,
                        std::stop_token stop) override {
    Figures figures;
    TRY(reader_->open(path));
    CsvIndex index = TRY(CsvIndex::open(path.substr(0, path.size() - 6) + ".csv"));
    std::optional<std::array<int32_t, 3>> last;  // z, y, x
    TRY(index.expect_schema(reader_->schema_size()));
    while (const auto row = TRY(reader_->next())) {
      if (figures.rows % 1024 == 0 && stop.stop_requested())
        return fail(Code::kCancelled, "stopped while verifying");
      TRY(index.expect(*row));
      const std::array<int32_t, 3> zyx{row->at[2], row->at[1], row->at[0]};
      auto right = check_row(*row);
      if (right && !options_.any_order && last && *last >= zyx)
        right = bad("not behind the row before, in ZYX order");
      if (right && volume != nullptr) right = check_place(path, row->at, *volume);
      if (!right)
        return fail(std::move(right).error().with(
            fmt::format("{}: block {},{},{}", path, row->at[0], row->at[1], row->at[2])));
      last = zyx;
      ++figures.rows;
      figures.batches += row->number == 0 ? 1 : 0;
    }
    TRY(index.expect_end());
    return figures;
  }

 private:
  Result<void> check_row(const ArrowRow& row) {
    TRY(check_block(row));
    return check_labels(static_cast<uint32_t>(row.supervoxels.size() / 8), row.supervoxels.data(),
                        row.labels.data());
  }

  Result<void> check_block(const ArrowRow& row) {
    const auto frame = row.frame;
    const unsigned long long size = ZSTD_getFrameContentSize(frame.data(), frame.size());
    if (size == ZSTD_CONTENTSIZE_ERROR || size == ZSTD_CONTENTSIZE_UNKNOWN)
      return bad("no zstd frame that says its size");
    if (size != row.block_size || size > block_.size())
      return bad(fmt::format("uncompressed_size {} is not the frame's {}", row.block_size, size));
    if (frame.size() < 5 || (frame[4] & 4) == 0) return bad("its zstd frame has no checksum");
    if (ZSTD_findFrameCompressedSize(frame.data(), frame.size()) != frame.size())
      return bad("it is not one zstd frame");
    const size_t made =
        ZSTD_decompressDCtx(context_, block_.data(), block_.size(), frame.data(), frame.size());
    if (ZSTD_isError(made)) return bad(fmt::format("zstd: {}", ZSTD_getErrorName(made)));
    const LabelBlock block = TRY(LabelBlock::parse({block_.data(), made}));
    if (!block.is_64_cubed()) return bad("its sub-block counts are not 8,8,8");
    if (8 * size_t{block.label_count()} != row.supervoxels.size() ||
        std::memcmp(block.label_bytes(), row.supervoxels.data(), row.supervoxels.size()) != 0)
      return bad("supervoxels is not its label table");
    return {};
  }

  Result<void> check_labels(uint32_t count, const uint8_t* supervoxels, const uint8_t* labels) {
    uint64_t any = 0;
    for (uint32_t i = 0; i < count; ++i) {
      const uint64_t label = u64_at(labels + 8 * size_t{i});
      if (label != 0 && u64_at(supervoxels + 8 * size_t{i}) == 0)
        return bad(fmt::format("labels[{}] is {}, supervoxel 0 is always 0", i, label));
      any |= label;
    }
    if (any == 0 && options_.empty_is_wrong)
      return bad("all its labels are 0, and the run kept no empty blocks");
    if (options_.mapping != nullptr) return check_mapping(count, supervoxels, labels);
    return check_repeats(count, supervoxels, labels);
  }

  Result<void> check_mapping(uint32_t count, const uint8_t* supervoxels, const uint8_t* labels) {
    for (uint32_t begin = 0; begin < count; begin += kPiece) {
      const uint32_t part = std::min(kPiece, count - begin);
      const size_t at = 8 * size_t{begin};
      (void)options_.mapping->map(supervoxels + at, part, piece_.data());
      TRY(options_.mapping->status());
      if (std::memcmp(piece_.data(), labels + at, 8 * size_t{part}) == 0) continue;
      for (uint32_t i = 0; i < part; ++i) {
        const uint64_t wanted = u64_at(piece_.data() + 8 * size_t{i});
        const uint64_t found = u64_at(labels + at + 8 * size_t{i});
        if (wanted != found)
          return bad(fmt::format("labels[{}] is {}, supervoxel {} belongs to {}", begin + i, found,
                                 u64_at(supervoxels + at + 8 * size_t{i}), wanted));
      }
    }
    return {};
  }

  // A table rarely has an id twice; the block's room is free for the sorted indices by now.
  Result<void> check_repeats(uint32_t count, const uint8_t* supervoxels, const uint8_t* labels) {
    const std::span<uint32_t> order(reinterpret_cast<uint32_t*>(block_.data()), count);
    for (uint32_t i = 0; i < count; ++i) order[i] = i;
    const auto id = [&](uint32_t i) { return u64_at(supervoxels + 8 * size_t{i}); };
    std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return id(a) < id(b); });
    for (uint32_t i = 1; i < count; ++i) {
      const uint32_t a = order[i - 1], b = order[i];
      const uint64_t first = u64_at(labels + 8 * size_t{a}),
                     second = u64_at(labels + 8 * size_t{b});
      if (id(a) == id(b) && first != second)
        return bad(fmt::format("supervoxel {} has the labels {} and {}", id(a), first, second));
    }
    return {};
  }

  static Result<void> check_place(const std::string& path, BlockAt at, const Volume& volume) {
    const auto g = volume.grid.place(at);
    if (!g) return bad("outside the volume of spec.json");
    const std::string file = name_of(path);
    const std::string name = file.substr(0, file.rfind('.'));
    const std::string cell = cell_name(volume.scale, volume.cells.first_block(volume.cells.of(*g)));
    if (cell != name) return bad(fmt::format("belongs in {}.arrow", cell));
    return {};
  }

  const Options options_;
  const std::unique_ptr<ArrowReader> reader_;
  const Lease others_;  // zstd's context and small things
  ZSTD_DCtx* const context_;
  Pages block_;
  std::vector<uint8_t> piece_;
};

constexpr Bytes kOthers = 1_MiB;
constexpr Bytes kBlockRoom = Bytes((kMaxBlockBytes + 4095) / 4096 * 4096);

}  // namespace

Bytes ShardCheck::room() {
  return ArrowReader::room(ArrowReader::Columns::kAll) + kBlockRoom + kOthers;
}

Result<std::unique_ptr<ShardCheck>> ShardCheck::create(Options options, std::stop_token stop) {
  constexpr auto kAll = ArrowReader::Columns::kAll;
  Lease windows = TRY(options.account.acquire(ArrowReader::room(kAll), stop));
  auto reader = TRY(ArrowReader::create(std::move(windows), kAll));
  Pages block = TRY(Pages::map(TRY(options.account.acquire(kBlockRoom, stop))));
  Lease others = TRY(options.account.acquire(kOthers, stop));
  return std::unique_ptr<ShardCheck>(std::make_unique<Check>(std::move(options), std::move(reader),
                                                             std::move(block), std::move(others)));
}

}  // namespace spillway::exporter

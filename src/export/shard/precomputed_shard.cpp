#include "export/shard/precomputed_shard.hpp"

#include <fmt/format.h>

#include <optional>
#include <vector>

#include "core/file/output.hpp"
#include "export/block/gzip.hpp"

namespace spillway::exporter {
namespace {

constexpr size_t kFileBuffer = size_t{512} << 10;

std::span<const uint8_t> bytes_of(const std::vector<uint64_t>& values) {
  return {reinterpret_cast<const uint8_t*>(values.data()), values.size() * 8};
}

class Writer final : public PrecomputedShardWriter {
 public:
  explicit Writer(Sharding sharding) : sharding_(sharding) {
    if (sharding.gzip_index) gzip_ = Gzip::create(6);
  }

  Result<void> begin(const std::string& path) override {
    path_ = path;
    figures_ = {};
    minishard_.reset();
    file_.reset();
    file_ = TRY(create_output(path, {.partial = path, .buffer = kFileBuffer}));
    table_bytes_ = uint64_t{16} << sharding_.minishard_bits;
    static constexpr uint8_t kZeros[4096] = {};
    for (uint64_t at = 0; at < table_bytes_; at += 4096)
      TRY(file_->append(std::span(kZeros).first(std::min<uint64_t>(4096, table_bytes_ - at))));
    return {};
  }

  Result<void> add(uint64_t minishard, uint64_t chunk_id, std::span<const uint8_t> chunk) override {
    if (minishard_ && *minishard_ != minishard) TRY(end_minishard());
    if (!minishard_) {
      minishard_ = minishard;
      last_id_ = 0;
      last_end_ = 0;
    }
    if (ids_.size() == kMostChunks)
      return fail(Code::kTooLarge,
                  fmt::format("{}: more than {} chunks in a minishard; give more minishard_bits",
                              path_, kMostChunks));
    const uint64_t begin = file_->size() - table_bytes_;
    ids_.push_back(chunk_id - last_id_);
    starts_.push_back(begin - last_end_);
    sizes_.push_back(chunk.size());
    last_id_ = chunk_id;
    last_end_ = begin + chunk.size();
    ++figures_.rows;
    return file_->append(chunk);
  }

  Result<ShardFigures> end() override {
    if (minishard_) TRY(end_minishard());
    figures_.bytes = file_->size();
    TRY(std::move(*file_).leave());
    return figures_;
  }

 private:
  Result<void> end_minishard() {
    std::vector<uint64_t> index;
    index.reserve(3 * ids_.size());
    for (const auto* row : {&ids_, &starts_, &sizes_})
      index.insert(index.end(), row->begin(), row->end());
    const uint64_t begin = file_->size() - table_bytes_;
    if (gzip_) {
      std::vector<uint8_t> packed(Gzip::bound(index.size() * 8));
      TRY(file_->append(
          std::span<const uint8_t>(packed).first(gzip_->compress(bytes_of(index), packed))));
    } else {
      TRY(file_->append(bytes_of(index)));
    }
    const std::vector<uint64_t> entry{begin, file_->size() - table_bytes_};
    TRY(file_->write_at(16 * *minishard_, bytes_of(entry)));
    ids_.clear();
    starts_.clear();
    sizes_.clear();
    minishard_.reset();
    ++figures_.batches;
    return {};
  }

  const Sharding sharding_;
  std::unique_ptr<Output> file_;
  std::unique_ptr<Gzip> gzip_;  // of indexes
  std::string path_;
  uint64_t table_bytes_ = 0;
  std::optional<uint64_t> minishard_;
  uint64_t last_id_ = 0, last_end_ = 0;
  std::vector<uint64_t> ids_, starts_, sizes_;  // at most kMostChunks
  ShardFigures figures_;                        // batches: minishards
};

}  // namespace

Bytes PrecomputedShardWriter::room() {
  return Bytes(kFileBuffer + 4 * 24 * kMostChunks + (size_t{512} << 10));
}

Result<std::unique_ptr<PrecomputedShardWriter>> PrecomputedShardWriter::create(Sharding sharding) {
  return std::unique_ptr<PrecomputedShardWriter>(std::make_unique<Writer>(sharding));
}

}  // namespace spillway::exporter

#include "export/source/arrow_source.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "core/file/folders.hpp"
#include "export/source/arrow_reader.hpp"

namespace spillway::exporter {
namespace {

constexpr size_t kMostRow = 2 * kMaxBlockBytes + (size_t{64} << 10);  // a table and a frame

class ArrowSource final : public BlockSource {
 public:
  ArrowSource(std::string folder, uint64_t missing, Account account)
      : name_(folder), folder_(std::move(folder)), account_(std::move(account)) {
    missing_ = missing;
  }

  Result<void> list() {
    const auto there = TRY(look_at(folder_));
    if (there && there->is_file()) {  // a folder of one
      bytes_total_ = there->size;
      files_.push_back(name_of(folder_));
      folder_ = folder_of(folder_);
      return {};
    }
    TRY(for_each_entry(folder_, [&](const std::string& name) -> Result<void> {
      if (!name.ends_with(".arrow")) return {};
      const auto info = TRY(look_at(folder_ + "/" + name));
      bytes_total_ += info ? info->size : 0;
      files_.push_back(name);
      return {};
    }));
    if (files_.empty()) return fail(Code::kInvalid, folder_ + ": has no .arrow files");
    std::sort(files_.begin(), files_.end());
    return {};
  }

  Result<std::optional<BlockUnit>> next(std::stop_token stop) override {
    if (!reader_)
      reader_ = TRY(ArrowReader::create(TRY(account_.acquire(ArrowReader::room(), stop))));
    if (!TRY(has_row())) return std::nullopt;
    const size_t room = std::max(kChunkBytes, row_->bytes());
    BlockUnit unit;
    unit.kind = BlockUnit::Kind::kRow;
    unit.bytes = TRY(Pages::map(TRY(account_.acquire(Bytes(room), stop))));
    size_t used = 0;
    do {
      take_row(unit, used);
    } while (TRY(has_row()) && used + row_->bytes() <= room && unit.items.size() < 4096);
    unit.bytes.shrink_to(std::max<size_t>(used, 1));
    return std::optional(std::move(unit));
  }
  const std::string& name() const override { return name_; }

 private:
  // Leaves the next row in row_; false at the end of all files.
  Result<bool> has_row() {
    while (!row_) {
      if (is_open_) row_ = TRY(reader_->next());
      if (row_) break;
      if (file_ == files_.size()) return false;
      TRY(reader_->open(folder_ + "/" + files_[file_++]));
      is_open_ = true;
    }
    return true;
  }
  void take_row(BlockUnit& unit, size_t& used) {
    BlockUnit::Item item;
    item.at = row_->at;
    item.block_size = row_->block_size;
    item.ordinal = blocks_.fetch_add(1, std::memory_order_relaxed);
    item.offset = row_->offset;
    item.begin = used;
    item.length = row_->bytes();
    item.labels = static_cast<uint32_t>(row_->supervoxels.size() / 8);
    uint8_t* const to = unit.bytes.data() + used;
    std::copy(row_->supervoxels.begin(), row_->supervoxels.end(), to);
    std::copy(row_->frame.begin(), row_->frame.end(), to + row_->supervoxels.size());
    used += item.length;
    unit.items.push_back(item);
    bytes_read_.fetch_add(item.length, std::memory_order_relaxed);
    row_.reset();
  }

  const std::string name_;
  std::string folder_;
  Account account_;
  std::vector<std::string> files_;  // names: about 60 bytes a shard
  size_t file_ = 0;
  std::unique_ptr<ArrowReader> reader_;
  bool is_open_ = false;
  std::optional<ArrowRow> row_;  // read and not taken
};

}  // namespace

Result<std::unique_ptr<BlockSource>> open_arrow_source(const std::string& folder, uint64_t missing,
                                                       Account account) {
  auto source = std::make_unique<ArrowSource>(folder, missing, std::move(account));
  TRY(source->list());
  return std::unique_ptr<BlockSource>(std::move(source));
}

Bytes arrow_source_floor() { return Bytes(kMostRow) + ArrowReader::room(); }

}  // namespace spillway::exporter

#include "core/disk/blob.hpp"

#include <algorithm>
#include <cstring>

#include "core/disk/corrupt.hpp"
#include "core/file/folders.hpp"

namespace spillway {
namespace {
constexpr size_t kFirstChunk = size_t{16} << 10;
}  // namespace

std::unique_ptr<Blob> Blob::create(std::string path, Account account,
                                   std::shared_ptr<ScratchSpace> space) {
  return std::unique_ptr<Blob>(new Blob(std::move(path), std::move(account), std::move(space)));
}

Result<std::unique_ptr<Blob>> Blob::open(std::string path, uint64_t size,
                                         std::shared_ptr<ScratchSpace> space) {
  auto blob = create(std::move(path), Account(), std::move(space));
  blob->keep_ = true;  // not ours to remove until the caller says so
  blob->file_ = TRY(File::open(blob->path_, File::Mode::kUpdate));
  if (TRY(blob->file_.info()).size < size) {
    return fail_corrupt(blob->path_ + ": shorter than its checkpoint says");
  }
  TRY(blob->space_->reserve(Bytes(size)));
  blob->size_ = blob->written_ = size;
  blob->synced_ = true;
  return blob;
}

Blob::~Blob() {
  if (!file_.is_open() || keep_) return;  // what is kept stays on the disk, and counted
  (void)remove_file(path_);
  space_->give_back(Bytes(written_));
}

Result<void> Blob::open_file() {
  file_ = TRY(File::open(path_, File::Mode::kReplace));
  return {};
}

Result<void> Blob::write(std::span<const uint8_t> piece) {
  TRY(space_->reserve(Bytes(piece.size())));
  auto written = file_.write_at(written_, piece);
  if (!written) {
    space_->give_back(Bytes(piece.size()));
    return fail(space_->explain(std::move(written).error(), folder_of(path_)));
  }
  written_ += piece.size();
  return {};
}

// What is only in memory so far, in order.
Result<void> Blob::flush_tail(const std::stop_token& stop) {
  for (const Chunk& chunk : chunks_) {
    const uint64_t end = chunk.begin + chunk.used;
    if (end <= written_) continue;
    if (stop.stop_requested()) return fail(Code::kCancelled, "stopped while saving " + path_);
    const uint64_t from = std::max(written_, chunk.begin);
    TRY(write({chunk.pages.data() + (from - chunk.begin), static_cast<size_t>(end - from)}));
  }
  return {};
}

Result<void> Blob::spill() {
  if (!file_.is_open()) TRY(open_file());
  TRY(flush_tail({}));
  chunks_.clear();
  return {};
}

Result<uint64_t> Blob::append(std::span<const uint8_t> piece) {
  CHECK(piece.size() <= kMaxPiece);
  synced_ = false;
  const uint64_t offset = size_;
  const bool in_file = file_.is_open() && chunks_.empty() && size_ > 0;
  if (!in_file) {
    if (chunks_.empty() || chunks_.back().pages.size() - chunks_.back().used < piece.size()) {
      const size_t grown = std::min<size_t>(
          kMaxPiece, chunks_.empty() ? kFirstChunk : chunks_.back().pages.size() * 2);
      auto lease = account_.try_acquire(Bytes(std::max(grown, piece.size())));
      if (lease) {
        chunks_.push_back(Chunk{TRY(Pages::map(std::move(*lease))), size_, 0});
      } else {
        TRY(spill());
      }
    }
    if (!chunks_.empty()) {
      Chunk& chunk = chunks_.back();
      if (!piece.empty()) std::memcpy(chunk.pages.data() + chunk.used, piece.data(), piece.size());
      chunk.used += piece.size();
      size_ += piece.size();
      return offset;
    }
  }
  TRY(write(piece));
  size_ += piece.size();
  return offset;
}

Result<const uint8_t*> Blob::read(uint64_t offset, size_t length, std::span<uint8_t> buffer) const {
  if (!chunks_.empty()) {
    auto chunk = std::upper_bound(chunks_.begin(), chunks_.end(), offset,
                                  [](uint64_t at, const Chunk& c) { return at < c.begin; });
    --chunk;
    CHECK(offset + length <= chunk->begin + chunk->used);
    return static_cast<const uint8_t*>(chunk->pages.data() + (offset - chunk->begin));
  }
  CHECK(buffer.size() >= length);
  TRY(file_.read_at(offset, buffer.first(length)));
  return static_cast<const uint8_t*>(buffer.data());
}

Result<void> Blob::persist(const std::stop_token& stop) {
  if (synced_) return {};
  if (!file_.is_open()) TRY(open_file());
  TRY(flush_tail(stop));
  if (stop.stop_requested()) return fail(Code::kCancelled, "stopped while saving " + path_);
  TRY(file_.sync());
  synced_ = true;
  return {};
}

}  // namespace spillway

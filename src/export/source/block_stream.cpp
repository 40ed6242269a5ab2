#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "export/source/block_source.hpp"
#include "export/spec/input_stream.hpp"
#include "format/known_format.hpp"

namespace spillway::exporter {
namespace {

constexpr size_t kHeaderBytes = 16;

class BlockStream final : public BlockSource {
 public:
  BlockStream(std::unique_ptr<ByteStream> source, Account account)
      : source_(std::move(source)), account_(std::move(account)) {
    bytes_total_ = source_->size();
  }

  Result<std::optional<BlockUnit>> next(std::stop_token stop) override {
    source_->end_on(stop);
    if (carried_.empty())
      carried_ = TRY(Pages::map(TRY(account_.acquire(Bytes(kChunkBytes), stop))));
    BlockUnit unit;
    while (unit.items.empty()) {
      size_t room = kChunkBytes;
      if (carried_bytes_ >= kHeaderBytes)
        room = std::max(room, kHeaderBytes + TRY(header(carried_.data())).length);
      unit.bytes = TRY(spare_->take(account_, room, stop));
      unit.home = spare_;
      const std::span<uint8_t> bytes(unit.bytes.data(), unit.bytes.size());
      std::copy_n(carried_.data(), carried_bytes_, bytes.begin());
      const size_t have = carried_bytes_ + TRY(source_->read(bytes.subspan(carried_bytes_)));
      if (have == 0) return std::nullopt;
      if (offset_ == 0)
        format_ = format::known_format_not(bytes.first(std::min(have, format::kFormatBytes)),
                                           "a blocks stream");
      const size_t taken = TRY(take_records(bytes.first(have), unit));
      const auto rest = bytes.subspan(taken, have - taken);
      const bool is_cut = have < bytes.size() && unit.items.size() < kMostItems && !rest.empty();
      if (is_cut) return cut(rest);
      CHECK(rest.size() <= carried_.size());
      std::copy(rest.begin(), rest.end(), carried_.data());
      carried_bytes_ = rest.size();
      if (unit.items.empty()) unit.bytes = Pages();  // the record needs a larger one
    }
    return std::optional(std::move(unit));
  }
  const std::string& name() const override { return source_->name(); }

 private:
  static constexpr size_t kMostItems = 4096;

  struct Header {
    BlockAt at{};
    size_t length = 0;
  };

  Result<Header> header(const uint8_t* bytes) const {
    int32_t values[4];
    std::memcpy(values, bytes, sizeof values);
    if (values[3] < 0) return bad(fmt::format("a length of {}", values[3]));
    const auto length = static_cast<size_t>(values[3]);
    if (length > kMaxPayload)
      return bad(
          fmt::format("a length of {}, above the {} of the largest block", length, kMaxPayload));
    return Header{{values[0], values[1], values[2]}, length};
  }
  // The whole records at the beginning; how many bytes they have.
  Result<size_t> take_records(std::span<const uint8_t> bytes, BlockUnit& unit) {
    size_t at = 0;
    while (unit.items.size() < kMostItems && bytes.size() - at >= kHeaderBytes) {
      const Header record = TRY(header(bytes.data() + at));
      if (record.length > bytes.size() - at - kHeaderBytes) break;
      const uint64_t ordinal = blocks_.fetch_add(1, std::memory_order_relaxed);
      unit.items.push_back({record.at, ordinal, offset_, at + kHeaderBytes, record.length});
      at += kHeaderBytes + record.length;
      offset_ += kHeaderBytes + record.length;
    }
    bytes_read_.store(offset_, std::memory_order_relaxed);
    return at;
  }
  tl::unexpected<Error> cut(std::span<const uint8_t> rest) const {
    if (rest.size() < kHeaderBytes) return bad("ends within the record's header");
    auto record = header(rest.data());
    if (!record) return fail(std::move(record).error());
    return bad(fmt::format("ends after {} of the {} bytes of block {},{},{}",
                           rest.size() - kHeaderBytes, record->length, record->at[0], record->at[1],
                           record->at[2]));
  }
  tl::unexpected<Error> bad(const std::string& what) const {
    return fail(
        Code::kInvalid,
        fmt::format("{}: record at byte {}: {}; the stream cannot be read on{}", source_->name(),
                    offset_, what, format_.empty() ? "" : " (" + format_ + ")"));
  }

  std::unique_ptr<ByteStream> source_;
  Account account_;
  const std::shared_ptr<SpareRoom> spare_ = std::make_shared<SpareRoom>();
  Pages carried_;  // kChunkBytes, of which these are read and not yet given:
  size_t carried_bytes_ = 0;
  std::string format_;   // what the first bytes look like, when that is another
  uint64_t offset_ = 0;  // of the record behind those that were given
};

}  // namespace

Result<Pages> SpareRoom::take(Account& account, size_t bytes, const std::stop_token& stop) {
  {
    Pages spare;  // too small: given back behind the lock
    MutexLock lock(mutex_);
    spare = std::move(spare_);
    if (spare.size() >= bytes) return spare;
    is_awaited_ = true;
  }
  Lease lease = TRY(account.acquire(Bytes(bytes), stop));
  {
    MutexLock lock(mutex_);
    is_awaited_ = false;
  }
  return Pages::map(std::move(lease));
}

void SpareRoom::give(Pages pages) {
  MutexLock lock(mutex_);
  if (!is_awaited_ && spare_.empty() && pages.size() == BlockSource::kChunkBytes)
    spare_ = std::move(pages);
}

Result<std::unique_ptr<BlockSource>> open_block_stream(const std::string& path, Account account) {
  auto source = TRY(open_input(path, ByteStream::Gzip::kNever));
  return std::unique_ptr<BlockSource>(
      std::make_unique<BlockStream>(std::move(source), std::move(account)));
}

Bytes block_stream_floor() {
  return Bytes(std::max(kHeaderBytes + kMaxPayload, BlockSource::kChunkBytes) +
               BlockSource::kChunkBytes);
}

}  // namespace spillway::exporter

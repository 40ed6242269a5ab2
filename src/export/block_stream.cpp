#include <fmt/format.h>

#include <cstring>

#include "export/block_source.hpp"
#include "export/byte_source.hpp"

namespace spillway::exporter {
namespace {

constexpr size_t kHeaderBytes = 16;

class BlockStream final : public BlockSource {
 public:
  BlockStream(std::unique_ptr<ByteSource> source, Account account)
      : source_(std::move(source)), account_(std::move(account)) {
    bytes_total_ = source_->size();
  }

  Result<std::optional<BlockUnit>> next(std::stop_token stop) override {
    source_->end_on(stop);
    if (!TRY(read_header())) return std::nullopt;
    const size_t room = std::max(kChunkBytes, size_t{length_});
    BlockUnit unit;
    unit.bytes = TRY(Pages::map(TRY(account_.acquire(Bytes(room), stop))));
    size_t used = 0;
    while (used + length_ <= room && unit.items.size() < kMostItems) {
      TRY(read_payload({unit.bytes.data() + used, length_}));
      const uint64_t ordinal = blocks_.fetch_add(1, std::memory_order_relaxed);
      unit.items.push_back({at_, ordinal, offset_, used, length_});
      used += length_;
      offset_ += kHeaderBytes + length_;
      bytes_read_.store(offset_, std::memory_order_relaxed);
      has_header_ = false;
      if (!TRY(read_header())) break;
    }
    unit.bytes.shrink_to(std::max<size_t>(used, 1));
    return std::optional(std::move(unit));
  }
  const std::string& name() const override { return source_->path(); }

 private:
  static constexpr size_t kMostItems = 4096;

  // Leaves the header of the next record in at_ and length_; false at the end.
  Result<bool> read_header() {
    if (has_header_) return true;
    uint8_t header[kHeaderBytes];
    const size_t got = TRY(source_->read(header));
    if (got == 0) return false;
    if (got < kHeaderBytes) return bad("ends within the record's header");
    int32_t values[4];
    std::memcpy(values, header, sizeof values);
    at_ = {values[0], values[1], values[2]};
    if (values[3] < 0) return bad(fmt::format("a length of {}", values[3]));
    length_ = static_cast<uint32_t>(values[3]);
    if (length_ > kMaxPayload)
      return bad(
          fmt::format("a length of {}, above the {} of the largest block", length_, kMaxPayload));
    has_header_ = true;
    return true;
  }
  Result<void> read_payload(std::span<uint8_t> out) {
    const size_t got = TRY(source_->read(out));
    if (got < out.size())
      return bad(fmt::format("ends after {} of the {} bytes of block {},{},{}", got, out.size(),
                             at_[0], at_[1], at_[2]));
    return {};
  }
  tl::unexpected<Error> bad(const std::string& what) const {
    return fail(Code::kInvalid,
                fmt::format("{}: record at byte {}: {}; the stream cannot be read on",
                            source_->path(), offset_, what));
  }

  std::unique_ptr<ByteSource> source_;
  Account account_;
  uint64_t offset_ = 0;  // of the record in hand
  BlockAt at_{};
  uint32_t length_ = 0;
  bool has_header_ = false;
};

}  // namespace

Result<std::unique_ptr<BlockSource>> open_block_stream(const std::string& path, Account account) {
  auto source = TRY(ByteSource::open(path, ByteSource::Gzip::kNever));
  return std::unique_ptr<BlockSource>(
      std::make_unique<BlockStream>(std::move(source), std::move(account)));
}

Bytes block_stream_floor() { return Bytes(std::max(kMaxPayload, BlockSource::kChunkBytes)); }

}  // namespace spillway::exporter

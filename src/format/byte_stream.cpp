#include "format/byte_stream.hpp"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <vector>

namespace spillway::format {
namespace {

constexpr size_t kBuffer = size_t{64} << 10;

class PlainStream final : public ByteStream {
 public:
  explicit PlainStream(std::unique_ptr<Source> source) : source_(std::move(source)) {}
  Result<size_t> read(std::span<uint8_t> out) override {
    const size_t count = std::min<uint64_t>(out.size(), source_->size() - offset_);
    TRY(source_->read_at(offset_, out.first(count)));
    offset_ += count;
    return count;
  }
  const Source& source() const override { return *source_; }

 private:
  std::unique_ptr<Source> source_;
  uint64_t offset_ = 0;
};

class GzipStream final : public ByteStream {
 public:
  explicit GzipStream(std::unique_ptr<Source> source)
      : source_(std::move(source)), buffer_(kBuffer) {
    usable_ = ::inflateInit2(&stream_, 15 + 16) == Z_OK;  // a gzip header is required
  }
  ~GzipStream() override { ::inflateEnd(&stream_); }

  Result<size_t> read(std::span<uint8_t> out) override {
    if (!usable_) return fail(Code::kMemoryLimit, source_->name() + ": no memory for gzip");
    stream_.next_out = out.data();
    stream_.avail_out = static_cast<uInt>(std::min<size_t>(out.size(), 1u << 30));
    const uInt room = stream_.avail_out;
    while (stream_.avail_out == room && room > 0) {
      if (stream_.avail_in == 0) TRY(fill());
      if (stream_.avail_in == 0) {
        if (between_members_) break;
        return fail(Code::kCorrupt,
                    fmt::format("{}: gzip ends in the middle, at byte {}: the file is cut short",
                                source_->name(), offset_));
      }
      if (between_members_ && skip_padding()) continue;
      if (between_members_ && padded_) {
        return fail(Code::kCorrupt,
                    fmt::format("{}: data behind the zero bytes that end its gzip, at byte {}",
                                source_->name(), offset_ - stream_.avail_in));
      }
      between_members_ = false;
      const int state = ::inflate(&stream_, Z_NO_FLUSH);
      if (state == Z_STREAM_END) {
        ::inflateReset(&stream_);
        between_members_ = true;
      } else if (state != Z_OK && state != Z_BUF_ERROR) {
        return fail(Code::kCorrupt,
                    fmt::format("{}: damaged gzip near byte {}: {}", source_->name(),
                                offset_ - stream_.avail_in,
                                stream_.msg != nullptr ? stream_.msg : "wrong data"));
      }
    }
    return room - stream_.avail_out;
  }
  const Source& source() const override { return *source_; }

 private:
  // Whether all of the input at hand was padding.
  bool skip_padding() {
    while (stream_.avail_in > 0 && *stream_.next_in == 0) {
      ++stream_.next_in;
      --stream_.avail_in;
      padded_ = true;
    }
    return stream_.avail_in == 0;
  }
  Result<void> fill() {
    const size_t count = std::min<uint64_t>(kBuffer, source_->size() - offset_);
    TRY(source_->read_at(offset_, std::span(buffer_).first(count)));
    offset_ += count;
    stream_.next_in = buffer_.data();
    stream_.avail_in = static_cast<uInt>(count);
    return {};
  }

  std::unique_ptr<Source> source_;
  std::vector<uint8_t> buffer_;
  z_stream stream_{};
  uint64_t offset_ = 0;
  bool usable_ = false;
  bool between_members_ = false, padded_ = false;
};

}  // namespace

Result<std::unique_ptr<ByteStream>> ByteStream::open(std::unique_ptr<Source> source) {
  uint8_t magic[2] = {0, 0};
  if (source->size() >= sizeof magic) TRY(source->read_at(0, magic));
  const bool gzip_name = source->name().ends_with(".gz");
  if (magic[0] == 0x1f && magic[1] == 0x8b) return std::make_unique<GzipStream>(std::move(source));
  if (gzip_name) {
    return fail(Code::kCorrupt, fmt::format("{}: is named .gz and is not gzip{}", source->name(),
                                            source->size() < 18 ? " (it is cut short)" : ""));
  }
  return std::make_unique<PlainStream>(std::move(source));
}

}  // namespace spillway::format

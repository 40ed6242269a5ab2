#include "export/spec/byte_source.hpp"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "core/file/file.hpp"
#include "core/file/folders.hpp"
#include "export/spec/known_format.hpp"
#include "net/stream.hpp"

namespace spillway::exporter {
namespace {

// Connects at the first read, so that waiting for it can be stopped.
class HttpSource final : public ByteSource {
 public:
  explicit HttpSource(std::string address)
      : address_(std::move(address)), shown_(net::redacted(address_)) {}
  Result<size_t> read(std::span<uint8_t> out) override {
    if (!stream_) stream_ = TRY(net::HttpStream::open(address_, stop_));
    return stream_->read(out, stop_);
  }
  const std::string& path() const override { return shown_; }
  uint64_t size() const override { return stream_ ? stream_->length().value_or(0) : 0; }
  void end_on(const std::stop_token& stop) override { stop_ = stop; }

 private:
  std::string address_, shown_;
  std::stop_token stop_;
  std::unique_ptr<net::HttpStream> stream_;
};

class PlainSource final : public ByteSource {
 public:
  PlainSource(File file, const FileInfo& info) : file_(std::move(file)), before_(info) {}
  Result<size_t> read(std::span<uint8_t> out) override {
    const size_t got = TRY(file_.read(out));
    if (got < out.size() && is_plain_file()) TRY(must_be_unchanged(path(), before_));
    return got;
  }
  const std::string& path() const override { return file_.path(); }
  uint64_t size() const override { return is_plain_file() ? before_.size : 0; }
  bool is_plain_file() const override { return before_.is_file(); }

 private:
  File file_;
  const FileInfo before_;
};

class HeldSource final : public ByteSource {
 public:
  HeldSource(std::string name, uint64_t size, ReadAt read_at)
      : name_(std::move(name)), size_(size), read_at_(std::move(read_at)) {}
  Result<size_t> read(std::span<uint8_t> out) override {
    const size_t count = std::min<uint64_t>(out.size(), size_ - at_);
    TRY(read_at_(at_, out.first(count)));
    at_ += count;
    return count;
  }
  const std::string& path() const override { return name_; }
  uint64_t size() const override { return size_; }

 private:
  const std::string name_;
  const uint64_t size_;
  const ReadAt read_at_;
  uint64_t at_ = 0;
};

// Takes gzip off when the first bytes say so, else hands on what comes.
class Unpacked final : public ByteSource {
 public:
  explicit Unpacked(std::unique_ptr<ByteSource> inner) : inner_(std::move(inner)), buffer_(65536) {}
  ~Unpacked() override {
    if (is_gzip_) ::inflateEnd(&stream_);
  }

  Result<size_t> read(std::span<uint8_t> out) override {
    if (!std::exchange(has_begun_, true)) TRY(begin());
    if (is_gzip_) return inflate(out);
    const size_t held = std::min<size_t>(stream_.avail_in, out.size());
    std::copy_n(stream_.next_in, held, out.begin());
    stream_.next_in += held;
    stream_.avail_in -= static_cast<uInt>(held);
    if (held == out.size() || has_ended_) return held;
    return held + TRY(inner_->read(out.subspan(held)));
  }
  const std::string& path() const override { return inner_->path(); }
  uint64_t size() const override { return is_gzip_ ? 0 : inner_->size(); }
  bool is_plain_file() const override { return !is_gzip_ && inner_->is_plain_file(); }
  void end_on(const std::stop_token& stop) override { inner_->end_on(stop); }

 private:
  Result<void> begin() {
    TRY(fill());
    const std::span<const uint8_t> first(stream_.next_in, std::min<size_t>(stream_.avail_in, 16));
    const std::string_view format = known_format(first);
    if (format == "zstd" || format == "xz" || format == "bzip2" || format.starts_with("zip"))
      return fail(Code::kInvalid,
                  fmt::format("{}: is packed with {}; unpack it first", inner_->path(), format));
    is_gzip_ = first.size() >= 2 && first[0] == 0x1f && first[1] == 0x8b;
    if (is_gzip_) CHECK(::inflateInit2(&stream_, 15 + 16) == Z_OK);
    return {};
  }
  Result<void> fill() {
    const size_t got = TRY(inner_->read(buffer_));
    has_ended_ = got < buffer_.size();
    consumed_ += got;
    stream_.next_in = buffer_.data();
    stream_.avail_in = static_cast<uInt>(got);
    return {};
  }
  Result<size_t> inflate(std::span<uint8_t> out) {
    size_t filled = 0;
    while (filled < out.size()) {
      if (stream_.avail_in == 0 && !has_ended_) TRY(fill());
      if (stream_.avail_in == 0) {
        if (where_ == Where::kMember) return damaged("ends too early");
        break;
      }
      if (where_ != Where::kMember) {
        if (!TRY(next_member())) continue;
      }
      const size_t want = std::min<size_t>(out.size() - filled, 1u << 30);
      stream_.next_out = out.data() + filled;
      stream_.avail_out = static_cast<uInt>(want);
      const int status = ::inflate(&stream_, Z_NO_FLUSH);
      filled += want - stream_.avail_out;
      if (status == Z_STREAM_END) {
        where_ = Where::kBetween;
      } else if (status != Z_OK && status != Z_BUF_ERROR) {
        return damaged(stream_.msg != nullptr ? stream_.msg : "is damaged");
      }
    }
    return filled;
  }
  // Behind a member: whether another begins at the next byte. Zeros are passed over.
  Result<bool> next_member() {
    while (stream_.avail_in > 0 && *stream_.next_in == 0) {
      where_ = Where::kPadding;
      ++stream_.next_in;
      --stream_.avail_in;
    }
    if (stream_.avail_in == 0) return false;
    if (where_ == Where::kPadding || *stream_.next_in != 0x1f)
      return damaged("bytes behind it that are neither gzip nor zeros");
    ::inflateReset(&stream_);
    where_ = Where::kMember;
    return true;
  }
  tl::unexpected<Error> damaged(const char* how) const {
    return fail(Code::kInvalid,
                fmt::format("{}: gzip at byte {}: {}", path(), consumed_ - stream_.avail_in, how));
  }

  enum class Where { kMember, kBetween, kPadding };
  std::unique_ptr<ByteSource> inner_;
  std::vector<uint8_t> buffer_;
  z_stream stream_{};
  uint64_t consumed_ = 0;
  bool has_begun_ = false, has_ended_ = false, is_gzip_ = false;
  Where where_ = Where::kMember;
};

std::unique_ptr<ByteSource> unpacked(std::unique_ptr<ByteSource> inner, ByteSource::Gzip gzip) {
  if (gzip == ByteSource::Gzip::kNever) return inner;
  return std::make_unique<Unpacked>(std::move(inner));
}

}  // namespace

Result<std::unique_ptr<ByteSource>> ByteSource::open(const std::string& path, Gzip gzip) {
  if (net::is_http(path)) {
    TRY(net::check_address(path));
    return unpacked(std::make_unique<HttpSource>(path), gzip);
  }
  if (path.find("://") != std::string::npos)
    return fail(Code::kUsage, path + ": only files, http and https are read");
  if (path == "-")  // has no name: nothing to look at again
    return unpacked(std::make_unique<PlainSource>(File::standard_input(), FileInfo()), gzip);
  File file = TRY(File::open(path));
  const FileInfo info = TRY(file.info());
  if (info.is_folder()) return fail(Code::kInvalid, path + ": is a folder");
  if (info.kind == FileInfo::Kind::kDevice && path != "/dev/null")
    return fail(Code::kInvalid, path + ": is a device, not a file or a pipe");
  return unpacked(std::make_unique<PlainSource>(std::move(file), info), gzip);
}

std::unique_ptr<ByteSource> ByteSource::of(std::string name, uint64_t size, ReadAt read_at,
                                           Gzip gzip) {
  return unpacked(std::make_unique<HeldSource>(std::move(name), size, std::move(read_at)), gzip);
}

Result<std::string> read_small_input(const std::string& path, uint64_t most,
                                     const std::stop_token& stop) {
  auto source = TRY(ByteSource::open(path, ByteSource::Gzip::kByContent));
  source->end_on(stop);
  std::string text;
  while (text.size() <= most) {
    const size_t have = text.size(), room = std::min<uint64_t>(65536, most + 1 - have);
    text.resize(have + room);
    const size_t got = TRY(source->read({reinterpret_cast<uint8_t*>(text.data()) + have, room}));
    text.resize(have + got);
    if (got < room) return text;
  }
  return fail(Code::kTooLarge, fmt::format("{}: is longer than the {} bytes that are read of it",
                                           source->path(), most));
}

}  // namespace spillway::exporter

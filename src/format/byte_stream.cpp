#include "format/byte_stream.hpp"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "core/file/file.hpp"
#include "format/known_format.hpp"

namespace spillway::format {
namespace {

constexpr size_t kLeastGzip = 18;  // bytes of a member: header and trailer

class SourceStream final : public ByteStream {
 public:
  explicit SourceStream(std::unique_ptr<Source> source) : source_(std::move(source)) {}
  Result<size_t> read(std::span<uint8_t> out) override {
    if (stop_.stop_requested()) return fail(Code::kCancelled, "stopped while reading " + name());
    const size_t count = std::min<uint64_t>(out.size(), source_->size() - at_);
    TRY(source_->read_at(at_, out.first(count)));
    at_ += count;
    if (count < out.size()) TRY(source_->must_be_unchanged());
    return count;
  }
  const std::string& name() const override { return source_->name(); }
  uint64_t size() const override { return source_->size(); }
  bool is_plain_file() const override { return source_->is_file(); }
  void end_on(const std::stop_token& stop) override { stop_ = stop; }

 private:
  const std::unique_ptr<Source> source_;
  std::stop_token stop_;
  uint64_t at_ = 0;
};

// What can be read once.
class PipeStream final : public ByteStream {
 public:
  explicit PipeStream(File file) : file_(std::move(file)) {}
  Result<size_t> read(std::span<uint8_t> out) override { return file_.read(out, stop_); }
  const std::string& name() const override { return file_.path(); }
  void end_on(const std::stop_token& stop) override { stop_ = stop; }

 private:
  File file_;
  std::stop_token stop_;
};

// Takes gzip off when the first bytes say so, else hands on what comes.
class Unpacked final : public ByteStream {
 public:
  explicit Unpacked(std::unique_ptr<ByteStream> inner) : inner_(std::move(inner)), buffer_(65536) {}
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
  const std::string& name() const override { return inner_->name(); }
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
                  fmt::format("{}: is packed with {}; unpack it first", inner_->name(), format));
    is_gzip_ = first.size() >= 2 && first[0] == 0x1f && first[1] == 0x8b;
    if (!is_gzip_ && name().ends_with(".gz") && stream_.avail_in < kLeastGzip)
      return damaged("is named .gz and shorter than any gzip: the file is cut short");
    if (is_gzip_ && ::inflateInit2(&stream_, 15 + 16) != Z_OK)
      return fail(Code::kMemoryLimit, name() + ": no memory for gzip");
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
        if (where_ == Where::kMember) return damaged("ends too early: the file is cut short");
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
                fmt::format("{}: gzip at byte {}: {}", name(), consumed_ - stream_.avail_in, how));
  }

  enum class Where { kMember, kBetween, kPadding };
  std::unique_ptr<ByteStream> inner_;
  std::vector<uint8_t> buffer_;
  z_stream stream_{};
  uint64_t consumed_ = 0;
  bool has_begun_ = false, has_ended_ = false, is_gzip_ = false;
  Where where_ = Where::kMember;
};

}  // namespace

std::unique_ptr<ByteStream> ByteStream::of(std::unique_ptr<ByteStream> packed, Gzip gzip) {
  if (gzip == ByteStream::Gzip::kNever) return packed;
  return std::make_unique<Unpacked>(std::move(packed));
}

std::unique_ptr<ByteStream> ByteStream::of(std::unique_ptr<Source> source, Gzip gzip) {
  return of(std::make_unique<SourceStream>(std::move(source)), gzip);
}

Result<std::unique_ptr<ByteStream>> ByteStream::open(const std::string& path, Gzip gzip) {
  if (path == "-") return of(std::make_unique<PipeStream>(File::standard_input()), gzip);
  File file = TRY(File::open(path));
  const FileInfo info = TRY(file.info());
  if (info.is_folder()) return fail(Code::kInvalid, path + ": is a folder");
  if (info.kind == FileInfo::Kind::kDevice && path != "/dev/null")
    return fail(Code::kInvalid, path + ": is a device, not a file or a pipe");
  if (info.is_file()) return of(source_of(std::move(file), info), gzip);
  return of(std::make_unique<PipeStream>(std::move(file)), gzip);
}

}  // namespace spillway::format

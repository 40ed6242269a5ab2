#include "export/spec/byte_source.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <cerrno>
#include <cstring>
#include <vector>

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
  PlainSource(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  ~PlainSource() override {
    if (fd_ > 0) ::close(fd_);
  }
  Result<size_t> read(std::span<uint8_t> out) override {
    size_t filled = std::min(out.size(), held_.size());
    std::copy_n(held_.begin(), filled, out.begin());
    held_.erase(held_.begin(), held_.begin() + static_cast<ptrdiff_t>(filled));
    while (filled < out.size()) {
      const ssize_t got = ::read(fd_, out.data() + filled, out.size() - filled);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return fail_errno("reading " + path_);
      if (got == 0) break;
      filled += static_cast<size_t>(got);
    }
    return filled;
  }
  // Puts bytes in front of what is still to come.
  void unread(std::span<const uint8_t> bytes) { held_.assign(bytes.begin(), bytes.end()); }
  const std::string& path() const override { return path_; }
  uint64_t size() const override {
    struct stat info {};
    return ::fstat(fd_, &info) == 0 && S_ISREG(info.st_mode) ? static_cast<uint64_t>(info.st_size)
                                                             : 0;
  }

 private:
  std::string path_;
  int fd_;
  std::vector<uint8_t> held_;  // at most two bytes
};

class GzipSource final : public ByteSource {
 public:
  explicit GzipSource(std::unique_ptr<ByteSource> inner)
      : inner_(std::move(inner)), buffer_(65536) {
    CHECK(::inflateInit2(&stream_, 15 + 16) == Z_OK);
  }
  ~GzipSource() override { ::inflateEnd(&stream_); }

  Result<size_t> read(std::span<uint8_t> out) override {
    size_t filled = 0;
    while (filled < out.size()) {
      if (stream_.avail_in == 0) {
        const size_t got = TRY(inner_->read(buffer_));
        consumed_ += got;
        stream_.next_in = buffer_.data();
        stream_.avail_in = static_cast<uInt>(got);
        if (got == 0) {
          if (in_member_) return damaged("ends too early");
          break;
        }
      }
      if (!in_member_) {
        ::inflateReset(&stream_);
        in_member_ = true;
      }
      const size_t want = std::min<size_t>(out.size() - filled, 1u << 30);
      stream_.next_out = out.data() + filled;
      stream_.avail_out = static_cast<uInt>(want);
      const int status = ::inflate(&stream_, Z_NO_FLUSH);
      filled += want - stream_.avail_out;
      if (status == Z_STREAM_END) {
        in_member_ = false;
      } else if (status != Z_OK && status != Z_BUF_ERROR) {
        return damaged(stream_.msg != nullptr ? stream_.msg : "is damaged");
      }
    }
    return filled;
  }
  const std::string& path() const override { return inner_->path(); }

 private:
  tl::unexpected<Error> damaged(const char* how) const {
    return fail(Code::kInvalid,
                fmt::format("{}: gzip at byte {}: {}", path(), consumed_ - stream_.avail_in, how));
  }
  std::unique_ptr<ByteSource> inner_;
  std::vector<uint8_t> buffer_;
  z_stream stream_{};
  uint64_t consumed_ = 0;
  bool in_member_ = true;
};

}  // namespace

Result<std::unique_ptr<ByteSource>> ByteSource::open(const std::string& path, Gzip gzip) {
  int fd = 0;
  if (net::is_http(path)) {
    if (gzip == Gzip::kByContent)
      return fail(Code::kUsage, path + ": is not read over the network; fetch it to a file first");
    TRY(net::check_address(path));
    return std::unique_ptr<ByteSource>(std::make_unique<HttpSource>(path));
  }
  if (path != "-") {
    fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) return fail(Code::kNotFound, path + ": no such file");
    if (fd < 0) return fail_errno("opening " + path);
    struct stat info {};
    if (::fstat(fd, &info) == 0 && S_ISDIR(info.st_mode)) {
      ::close(fd);
      return fail(Code::kInvalid, path + ": is a folder");
    }
  }
  auto plain = std::make_unique<PlainSource>(path == "-" ? "stdin" : path, fd);
  if (gzip == Gzip::kByContent) {
    uint8_t magic[2];
    const size_t got = TRY(plain->read(magic));
    plain->unread(std::span(magic).first(got));
    if (got == 2 && magic[0] == 0x1f && magic[1] == 0x8b)
      return std::unique_ptr<ByteSource>(std::make_unique<GzipSource>(std::move(plain)));
  }
  return std::unique_ptr<ByteSource>(std::move(plain));
}

}  // namespace spillway::exporter

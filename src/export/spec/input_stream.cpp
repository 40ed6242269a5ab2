#include "export/spec/input_stream.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "net/stream.hpp"

namespace spillway::exporter {
namespace {

// Connects at the first read, so that waiting for it can be stopped.
class HttpInput final : public ByteStream {
 public:
  explicit HttpInput(std::string address)
      : address_(std::move(address)), shown_(net::redacted(address_)) {}
  Result<size_t> read(std::span<uint8_t> out) override {
    if (!stream_) stream_ = TRY(net::HttpStream::open(address_, stop_));
    return stream_->read(out, stop_);
  }
  const std::string& name() const override { return shown_; }
  uint64_t size() const override { return stream_ ? stream_->length().value_or(0) : 0; }
  void end_on(const std::stop_token& stop) override { stop_ = stop; }

 private:
  std::string address_, shown_;
  std::stop_token stop_;
  std::unique_ptr<net::HttpStream> stream_;
};

}  // namespace

Result<std::unique_ptr<ByteStream>> open_input(const std::string& path, ByteStream::Gzip gzip) {
  if (net::is_http(path)) {
    TRY(net::check_address(path));
    return ByteStream::of(std::make_unique<HttpInput>(path), gzip);
  }
  if (path.find("://") != std::string::npos)
    return fail(Code::kUsage, path + ": only files, http and https are read");
  return ByteStream::open(path, gzip);
}

Result<std::string> read_small_input(const std::string& path, uint64_t most,
                                     const std::stop_token& stop) {
  auto source = TRY(open_input(path, ByteStream::Gzip::kByContent));
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
                                           source->name(), most));
}

}  // namespace spillway::exporter

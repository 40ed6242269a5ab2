#include "net/stream.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "core/mutex.hpp"
#include "net/retry.hpp"

namespace spillway::net {
namespace {

constexpr size_t kBuffer = size_t{256} << 10;

class Stream final : public HttpStream, private ReplySink {
 public:
  Stream(const std::string& address, HttpClient client)
      : client_(std::move(client)), request_{.address = address}, buffer_(kBuffer) {
    request_.headers.push_back({"Accept-Encoding", "identity"});
  }

  Result<void> start(const std::stop_token& stop) {
    BackOff tries(client_.options());
    while (true) {
      {
        MutexLock lock(mutex_);
        is_over_ = false;
      }
      exchange_ = client_.engine().begin(request_, this, client_.options());
      if (!wait_for_bytes(stop)) return stopped();
      {
        MutexLock lock(mutex_);
        if (used_ > 0) return {};
      }
      Outcome& outcome = exchange_->outcome();
      if (is_success(request_, outcome)) return {};
      const auto wait = tries.next(request_, outcome);
      if (!wait) return fail(error_of(request_, outcome, tries.tries()));
      if (!wait_before_next(client_.options(), *wait, stop)) return stopped();
    }
  }

  Result<size_t> read(std::span<uint8_t> out, const std::stop_token& stop) override {
    size_t filled = 0;
    while (filled < out.size()) {
      if (!wait_for_bytes(stop)) return stopped();
      const size_t count = copy(out.subspan(filled));
      filled += count;
      if (count > 0) continue;
      Outcome& outcome = exchange_->outcome();
      if (outcome.ending == Outcome::Ending::kReply) break;
      return fail(Code::kUnavailable,
                  fmt::format("{}: cut after {} bytes ({}); run the same command again: it reads "
                              "from the start and keeps finished shards",
                              redacted(request_.address), total_, outcome.reason));
    }
    return filled;
  }
  std::optional<uint64_t> length() const override { return length_; }

 private:
  // ---- on the engine's thread

  Result<void> begin(const ReplyHead& head) override {
    length_ = head.length;  // before the first byte: read() waits for that
    return {};
  }
  Result<bool> take(std::span<const uint8_t> bytes) override {
    MutexLock lock(mutex_);
    if (bytes.size() > buffer_.size() - used_) {
      is_held_back_ = true;
      return false;
    }
    const size_t at = (begin_ + used_) % buffer_.size();
    const size_t first = std::min(bytes.size(), buffer_.size() - at);
    std::memcpy(buffer_.data() + at, bytes.data(), first);
    std::memcpy(buffer_.data(), bytes.data() + first, bytes.size() - first);
    used_ += bytes.size();
    changed_.notify_all();
    return true;
  }
  void ended() override {
    MutexLock lock(mutex_);
    is_over_ = true;
    changed_.notify_all();
  }

  // ---- on the reader's

  // Or for the end; false: stopped.
  bool wait_for_bytes(const std::stop_token& stop) {
    const std::stop_callback wake(stop, [this] {
      MutexLock lock(mutex_);
      changed_.notify_all();
    });
    MutexLock lock(mutex_);
    while (used_ == 0 && !is_over_ && !stop.stop_requested()) changed_.wait(mutex_);
    return !stop.stop_requested();
  }
  size_t copy(std::span<uint8_t> out) {
    bool goes_on = false;
    size_t count = 0;
    {
      MutexLock lock(mutex_);
      count = std::min(out.size(), used_);
      const size_t first = std::min(count, buffer_.size() - begin_);
      std::memcpy(out.data(), buffer_.data() + begin_, first);
      std::memcpy(out.data() + first, buffer_.data(), count - first);
      begin_ = (begin_ + count) % buffer_.size();
      used_ -= count;
      goes_on = is_held_back_ && used_ <= buffer_.size() / 2;
      if (goes_on) is_held_back_ = false;
    }
    total_ += count;
    if (goes_on) exchange_->resume();
    return count;
  }
  tl::unexpected<Error> stopped() const {
    return fail(Code::kCancelled, "stopped while reading " + redacted(request_.address));
  }

  const HttpClient client_;
  Request request_;
  std::optional<uint64_t> length_;
  uint64_t total_ = 0;
  Mutex mutex_;
  CondVar changed_;
  std::vector<uint8_t> buffer_ GUARDED_BY(mutex_);  // a ring
  size_t begin_ GUARDED_BY(mutex_) = 0, used_ GUARDED_BY(mutex_) = 0;
  bool is_held_back_ GUARDED_BY(mutex_) = false, is_over_ GUARDED_BY(mutex_) = false;
  std::unique_ptr<Exchange> exchange_;  // the first to go
};

}  // namespace

Result<std::unique_ptr<HttpStream>> HttpStream::open(const std::string& address,
                                                     const std::stop_token& stop,
                                                     const HttpClient& client) {
  TRY(check_address(address));
  auto stream = std::make_unique<Stream>(address, client);
  TRY(stream->start(stop));
  return std::unique_ptr<HttpStream>(std::move(stream));
}

}  // namespace spillway::net

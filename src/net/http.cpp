#include "net/http.hpp"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <string_view>
#include <thread>
#include <vector>

namespace spillway::net {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr size_t kStreamBuffer = size_t{256} << 10;
constexpr milliseconds kLongestWait{30'000};

void start_curl() {
  static const CURLcode started = ::curl_global_init(CURL_GLOBAL_DEFAULT);
  CHECK(started == CURLE_OK);
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  }
  return out;
}

// What a reply's header says.
struct Head {
  bool chunked = false;
  std::optional<uint64_t> length;       // of the body
  std::optional<uint64_t> range_begin;  // of a 206
  std::optional<milliseconds> retry_after;
  std::string location;

  static size_t take(char* line, size_t size, size_t count, void* self) {
    static_cast<Head*>(self)->parse({line, size * count});
    return size * count;
  }
  void parse(std::string_view line) {
    while (!line.empty() && (line.back() == '\r' || line.back() == '\n')) line.remove_suffix(1);
    if (line.starts_with("HTTP/")) *this = {};  // of the next reply, behind a redirect
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) return;
    const std::string key = lower(line.substr(0, colon));
    std::string_view value = line.substr(colon + 1);
    while (value.starts_with(' ')) value.remove_prefix(1);
    if (key == "transfer-encoding") chunked = lower(value).find("chunked") != std::string::npos;
    if (key == "content-length") length = number(value);
    if (key == "location") location = value;
    if (key == "retry-after") {
      if (const auto seconds = number(value))
        retry_after = milliseconds(1000 * std::min<uint64_t>(*seconds, 30));
    }
    if (key == "content-range" && lower(value).starts_with("bytes "))
      range_begin = number(value.substr(6));
  }
  static std::optional<uint64_t> number(std::string_view text) {
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc() && end != text.data() ? std::optional(value) : std::nullopt;
  }
};

bool is_worth_another_try(CURLcode code) {
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_PARTIAL_FILE:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
      return true;
    default:
      return false;
  }
}
bool is_worth_another_try(long status) {
  return status == 429 || status == 500 || status == 502 || status == 503 || status == 504;
}

tl::unexpected<Error> refused(const std::string& address, long status, const Head& head,
                              unsigned tries) {
  const std::string told = tries > 1 ? fmt::format(", {} times", tries) : "";
  const auto say = [&](Code code, std::string_view what) {
    return fail(code, fmt::format("{}: the server answers {}{}: {}", address, status, told, what));
  };
  if (status >= 300 && status < 400)
    return say(Code::kIo, fmt::format("it moved to {}; give that address (only https to https is "
                                      "followed)",
                                      head.location.empty() ? "another place" : head.location));
  if (status == 404 || status == 410) return say(Code::kNotFound, "no such thing");
  if (status == 401 || status == 403)
    return say(Code::kIo, "not allowed; fetch it with your own client and give the file");
  if (is_worth_another_try(status)) return say(Code::kIo, "try again later");
  return say(Code::kIo, "check the address");
}

tl::unexpected<Error> broken(const std::string& address, std::string_view reason, unsigned tries,
                             std::string_view advice) {
  return fail(Code::kIo,
              fmt::format("{}: {}{}; {}", address, reason,
                          tries > 1 ? fmt::format(", {} times", tries) : std::string(), advice));
}

struct Easy {
  CURL* handle = ::curl_easy_init();
  char reason[CURL_ERROR_SIZE] = {};
  Head head;
  Easy() { CHECK(handle != nullptr); }
  ~Easy() { ::curl_easy_cleanup(handle); }
  Easy(const Easy&) = delete;
  Easy& operator=(const Easy&) = delete;

  void prepare(const std::string& address, const HttpOptions& options) {
    ::curl_easy_reset(handle);  // connections stay
    ::curl_easy_setopt(handle, CURLOPT_URL, address.c_str());
    ::curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, reason);
    ::curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
    ::curl_easy_setopt(handle, CURLOPT_HTTP_VERSION, long{CURL_HTTP_VERSION_1_1});
    ::curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT_MS,
                       static_cast<long>(options.connect_timeout.count()));
    ::curl_easy_setopt(handle, CURLOPT_USERAGENT, "spillway/" SPILLWAY_VERSION);
    const bool secure = address.starts_with("https://");
    ::curl_easy_setopt(handle, CURLOPT_FOLLOWLOCATION, secure ? 1L : 0L);
    ::curl_easy_setopt(handle, CURLOPT_MAXREDIRS, 5L);
#if LIBCURL_VERSION_NUM >= 0x075500
    ::curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
    ::curl_easy_setopt(handle, CURLOPT_REDIR_PROTOCOLS_STR, "https");
#else
    ::curl_easy_setopt(handle, CURLOPT_PROTOCOLS, long{CURLPROTO_HTTP | CURLPROTO_HTTPS});
    ::curl_easy_setopt(handle, CURLOPT_REDIR_PROTOCOLS, long{CURLPROTO_HTTPS});
#endif
    ::curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, &Head::take);
    ::curl_easy_setopt(handle, CURLOPT_HEADERDATA, static_cast<void*>(&head));
    head = {};
    reason[0] = 0;
  }
  long status() const {
    long value = 0;
    ::curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &value);
    return value;
  }
  std::string why(CURLcode code) const {
    return reason[0] != 0 ? reason : ::curl_easy_strerror(code);
  }
};

// Waits before the next try; false when stopped.
bool wait(milliseconds time, const std::stop_token& stop) {
  const auto end = Clock::now() + time;
  while (Clock::now() < end) {
    if (stop.stop_requested()) return false;
    std::this_thread::sleep_for(std::min<Clock::duration>(milliseconds(50), end - Clock::now()));
  }
  return !stop.stop_requested();
}

class BackOff {
 public:
  explicit BackOff(const HttpOptions& options) : left_(options.tries), wait_(options.first_wait) {}
  unsigned tries() const { return tries_; }
  void begin() { ++tries_; }
  bool again(const Head& head, const std::stop_token& stop) {
    if (tries_ >= left_) return false;
    const milliseconds time = std::max(wait_, head.retry_after.value_or(milliseconds(0)));
    wait_ = std::min(wait_ * 2, kLongestWait);
    return wait(time, stop);
  }

 private:
  unsigned left_, tries_ = 0;
  milliseconds wait_;
};

// ---- objects and ranges --------------------------------------------------------------------------

class Client final : public HttpClient {
 public:
  explicit Client(HttpOptions options) : options_(options) {}

  Result<std::optional<size_t>> get(const std::string& address, std::span<uint8_t> out,
                                    const std::stop_token& stop) override {
    return request(address, std::nullopt, out, stop);
  }
  Result<std::optional<size_t>> get_range(const std::string& address, uint64_t offset,
                                          std::span<uint8_t> out,
                                          const std::stop_token& stop) override {
    if (out.empty()) return std::optional<size_t>(0);
    return request(address, offset, out, stop);
  }

 private:
  Result<std::optional<size_t>> request(const std::string& address, std::optional<uint64_t> offset,
                                        std::span<uint8_t> out, const std::stop_token& stop) {
    BackOff tries(options_);
    while (true) {
      tries.begin();
      const CURLcode code = perform(address, offset, out, stop);
      const long status = easy_.status();
      if (stop.stop_requested()) return fail(Code::kCancelled, "stopped while reading " + address);
      if (too_long_)
        return fail(Code::kIo,
                    status == 200 && offset
                        ? address +
                              ": the server does not serve byte ranges; copy the "
                              "volume to a disk first"
                        : fmt::format("{}: is longer than {} bytes", address, out.size()));
      const bool retry =
          code == CURLE_OK ? is_worth_another_try(status) : is_worth_another_try(code);
      if (retry && tries.again(easy_.head, stop)) continue;
      if (stop.stop_requested()) return fail(Code::kCancelled, "stopped while reading " + address);
      if (code != CURLE_OK)
        return broken(address, easy_.why(code), tries.tries(),
                      "check the address and the network, then run the same command again");
      if (status == 404 || status == 410) return std::optional<size_t>();
      if (status == 416 && offset) return std::optional<size_t>(0);
      if (status == 206 && offset) {
        if (easy_.head.range_begin != offset)
          return broken(address, "the server sent another range than it was asked for", 1,
                        "copy the volume to a disk first");
        return std::optional(used_);
      }
      if (status != 200) return refused(address, status, easy_.head, tries.tries());
      if (offset && *offset > 0)
        return broken(address, "the server does not serve byte ranges", 1,
                      "copy the volume to a disk first");
      return std::optional(used_);
    }
  }

  CURLcode perform(const std::string& address, std::optional<uint64_t> offset,
                   std::span<uint8_t> out, const std::stop_token& stop) {
    out_ = out;
    used_ = 0;
    too_long_ = false;
    stop_ = &stop;
    easy_.prepare(address, options_);
    CURL* const handle = easy_.handle;
    std::string range;
    if (offset) {
      range = fmt::format("{}-{}", *offset, *offset + out.size() - 1);
      ::curl_easy_setopt(handle, CURLOPT_RANGE, range.c_str());
    } else {
      ::curl_easy_setopt(handle, CURLOPT_ACCEPT_ENCODING, "");
    }
    ::curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, &Client::take);
    ::curl_easy_setopt(handle, CURLOPT_WRITEDATA, static_cast<void*>(this));
    ::curl_easy_setopt(handle, CURLOPT_LOW_SPEED_LIMIT, 1L);
    ::curl_easy_setopt(handle, CURLOPT_LOW_SPEED_TIME,
                       std::max(1L, static_cast<long>(options_.stall_timeout.count() / 1000)));
    ::curl_easy_setopt(handle, CURLOPT_NOPROGRESS, 0L);
    ::curl_easy_setopt(handle, CURLOPT_XFERINFOFUNCTION, &Client::keep_going);
    ::curl_easy_setopt(handle, CURLOPT_XFERINFODATA, static_cast<void*>(this));
    return ::curl_easy_perform(handle);
  }
  static size_t take(char* bytes, size_t size, size_t count, void* self_pointer) {
    auto* const self = static_cast<Client*>(self_pointer);
    const size_t length = size * count;
    const long status = self->easy_.status();
    if (status != 200 && status != 206) return length;  // a page that explains
    if (length > self->out_.size() - self->used_) {
      self->too_long_ = true;
      return 0;
    }
    std::memcpy(self->out_.data() + self->used_, bytes, length);
    self->used_ += length;
    return length;
  }
  static int keep_going(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    return static_cast<Client*>(self)->stop_->stop_requested() ? 1 : 0;
  }

  const HttpOptions options_;
  Easy easy_;
  std::span<uint8_t> out_;
  size_t used_ = 0;
  bool too_long_ = false;
  const std::stop_token* stop_ = nullptr;
};

// ---- streams -------------------------------------------------------------------------------------

class Stream final : public HttpStream {
 public:
  Stream(std::string address, HttpOptions options)
      : address_(std::move(address)), options_(options), buffer_(kStreamBuffer) {
    CHECK(multi_ != nullptr);
  }
  ~Stream() override {
    if (added_) ::curl_multi_remove_handle(multi_, easy_.handle);
    ::curl_multi_cleanup(multi_);
  }

  Result<void> begin(const std::stop_token& stop) {
    BackOff tries(options_);
    while (true) {
      tries.begin();
      start();
      while (!result_ && used_ == 0) TRY(drive(stop));
      const long status = easy_.status();
      const bool failed = result_ && *result_ != CURLE_OK;
      const bool retry =
          failed ? used_ == 0 && is_worth_another_try(*result_) : is_worth_another_try(status);
      if (retry && tries.again(easy_.head, stop)) continue;
      if (stop.stop_requested()) return fail(Code::kCancelled, "stopped while reading " + address_);
      if (failed && used_ == 0)
        return broken(address_, easy_.why(*result_), tries.tries(),
                      "check the address and the network, then run the same command again");
      if (status != 200) return refused(address_, status, easy_.head, tries.tries());
      if (!easy_.head.chunked && !easy_.head.length)
        return broken(address_,
                      "the reply has neither a length nor chunks, so that a cut would not be seen",
                      1, "fetch it to a file first");
      return {};
    }
  }

  Result<size_t> read(std::span<uint8_t> out, const std::stop_token& stop) override {
    size_t filled = 0;
    while (filled < out.size()) {
      const size_t count = std::min(out.size() - filled, used_);
      if (count > 0) {
        const size_t first = std::min(count, buffer_.size() - begin_);
        std::memcpy(out.data() + filled, buffer_.data() + begin_, first);
        std::memcpy(out.data() + filled + first, buffer_.data(), count - first);
        begin_ = (begin_ + count) % buffer_.size();
        used_ -= count;
        filled += count;
        total_ += count;
        continue;
      }
      if (result_) {
        if (*result_ == CURLE_OK) break;
        return broken(address_, fmt::format("cut after {} bytes ({})", total_, easy_.why(*result_)),
                      1,
                      "run the same command again: it reads from the start and keeps finished "
                      "shards");
      }
      TRY(drive(stop));
    }
    return filled;
  }
  std::optional<uint64_t> length() const override { return easy_.head.length; }

 private:
  void start() {
    if (added_) ::curl_multi_remove_handle(multi_, easy_.handle);
    result_.reset();
    begin_ = used_ = 0;
    easy_.prepare(address_, options_);
    ::curl_easy_setopt(easy_.handle, CURLOPT_ACCEPT_ENCODING, "identity");
    ::curl_easy_setopt(easy_.handle, CURLOPT_WRITEFUNCTION, &Stream::take);
    ::curl_easy_setopt(easy_.handle, CURLOPT_WRITEDATA, static_cast<void*>(this));
    CHECK(::curl_multi_add_handle(multi_, easy_.handle) == CURLM_OK);
    added_ = true;
  }

  // Lets the transfer go on until something happened.
  Result<void> drive(const std::stop_token& stop) {
    if (paused_ && used_ <= buffer_.size() / 2) {
      paused_ = false;
      const size_t before = used_;
      ::curl_easy_pause(easy_.handle, CURLPAUSE_CONT);
      if (used_ > before) return {};
    }
    const auto begin = Clock::now();
    const size_t before = used_;
    while (true) {
      if (stop.stop_requested()) return fail(Code::kCancelled, "stopped while reading " + address_);
      int running = 0;
      CHECK(::curl_multi_perform(multi_, &running) == CURLM_OK);
      int left = 0;
      while (const CURLMsg* const message = ::curl_multi_info_read(multi_, &left)) {
        if (message->msg == CURLMSG_DONE) result_ = message->data.result;
      }
      if (result_ || used_ > before || paused_) return {};
      if (Clock::now() - begin > options_.stall_timeout) {
        std::snprintf(easy_.reason, sizeof easy_.reason, "no byte for %lld s",
                      static_cast<long long>(options_.stall_timeout.count() / 1000));
        result_ = CURLE_OPERATION_TIMEDOUT;
        return {};
      }
      ::curl_multi_poll(multi_, nullptr, 0, 100, nullptr);
    }
  }
  static size_t take(char* bytes, size_t size, size_t count, void* self_pointer) {
    auto* const self = static_cast<Stream*>(self_pointer);
    const size_t length = size * count;
    if (self->easy_.status() != 200) return length;  // a page that explains
    std::vector<uint8_t>& buffer = self->buffer_;
    if (length > buffer.size() - self->used_) {
      self->paused_ = true;
      return CURL_WRITEFUNC_PAUSE;
    }
    const size_t at = (self->begin_ + self->used_) % buffer.size();
    const size_t first = std::min(length, buffer.size() - at);
    std::memcpy(buffer.data() + at, bytes, first);
    std::memcpy(buffer.data(), bytes + first, length - first);
    self->used_ += length;
    return length;
  }

  const std::string address_;
  const HttpOptions options_;
  CURLM* multi_ = ::curl_multi_init();
  Easy easy_;
  std::vector<uint8_t> buffer_;  // a ring
  size_t begin_ = 0, used_ = 0;
  uint64_t total_ = 0;
  bool added_ = false, paused_ = false;
  std::optional<CURLcode> result_;
};

}  // namespace

bool is_http(const std::string& address) {
  return address.starts_with("http://") || address.starts_with("https://");
}

Result<void> check_address(const std::string& address) {
  if (!is_http(address)) return fail(Code::kUsage, address + ": no http or https address");
  const size_t host = address.find("://") + 3;
  const std::string name = address.substr(host, address.find_first_of("/?#", host) - host);
  if (name.find('@') != std::string::npos)
    return fail(Code::kUsage,
                "an address with a user or a password in it is not read: it would stand in "
                "manifest.json");
  if (name.empty()) return fail(Code::kUsage, address + ": has no host");
  return {};
}

Result<std::unique_ptr<HttpClient>> HttpClient::create(HttpOptions options) {
  start_curl();
  return std::unique_ptr<HttpClient>(std::make_unique<Client>(options));
}

Result<std::unique_ptr<HttpStream>> HttpStream::open(const std::string& address,
                                                     const std::stop_token& stop,
                                                     HttpOptions options) {
  TRY(check_address(address));
  start_curl();
  auto stream = std::make_unique<Stream>(address, options);
  TRY(stream->begin(stop));
  return std::unique_ptr<HttpStream>(std::move(stream));
}

}  // namespace spillway::net

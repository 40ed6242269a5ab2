#include "net/engine.hpp"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <thread>
#include <vector>

#include "core/mutex.hpp"
#include "core/printable.hpp"

namespace spillway::net {
namespace {

using SteadyClock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr size_t kMostHead = size_t{64} << 10;
constexpr size_t kMostExplained = size_t{4} << 10;
constexpr milliseconds kIdle{10'000};

Outcome::Ending ending_of(CURLcode code) {
  using Ending = Outcome::Ending;
  switch (code) {
    case CURLE_OK:
      return Ending::kReply;
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
      return Ending::kUnreachable;
    case CURLE_SSL_CONNECT_ERROR:
      return Ending::kHandshake;
    case CURLE_OPERATION_TIMEDOUT:
      return Ending::kSilent;
    case CURLE_PARTIAL_FILE:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_FAIL_REWIND:
      return Ending::kBroken;
    default:
      return Ending::kFailed;
  }
}

class EngineImpl;

class ExchangeImpl final : public Exchange {
 public:
  ExchangeImpl(std::shared_ptr<EngineImpl> engine, const Request& request, ReplySink* sink,
               const HttpOptions& options);
  ~ExchangeImpl() override;
  void resume() override;
  bool wait(const std::stop_token& stop) override;
  Outcome& outcome() override { return outcome_; }

 private:
  friend class EngineImpl;
  void prepare();
  template <class T>
  void set(CURLoption option, T value) {
    CHECK(::curl_easy_setopt(easy_, option, value) == CURLE_OK);
  }
  void take_head();
  size_t take(std::span<const uint8_t> bytes);
  size_t give(std::span<uint8_t> out);
  size_t fail_with(Error error) {
    outcome_.local.emplace(std::move(error));
    return CURL_WRITEFUNC_ERROR;
  }
  void finish(CURLcode code);
  bool is_stalled(SteadyClock::time_point now) const {
    return !is_paused_ && now - last_byte_ > options_.stall_timeout;
  }

  const std::shared_ptr<EngineImpl> engine_;
  const Request& request_;
  ReplySink* const sink_;
  const HttpOptions& options_;

  // The engine's thread only, once begun:
  CURL* const easy_ = ::curl_easy_init();
  curl_slist* headers_ = nullptr;
  char reason_[CURL_ERROR_SIZE] = {};
  bool has_head_ = false, is_endless_ = false, has_large_head_ = false, is_paused_ = false;
  uint64_t sent_ = 0;
  curl_off_t moved_ = 0;
  SteadyClock::time_point last_byte_;
  Outcome outcome_;  // until it is over; then the owner's

  // With the engine's mutex:
  CondVar changed_;
  enum class Wish { kNone, kAdd, kResume, kTakeBack } wish_ = Wish::kAdd;
  bool is_over_ = false;
};

class EngineImpl final : public Engine, public std::enable_shared_from_this<EngineImpl> {
 public:
  explicit EngineImpl(Options options) : multi_(::curl_multi_init()) {
    CHECK(multi_ != nullptr);
    const long most = std::max(1u, options.connections);
    ::curl_multi_setopt(multi_, CURLMOPT_MAX_TOTAL_CONNECTIONS, most);
    ::curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS, most);
    ::curl_multi_setopt(multi_, CURLMOPT_PIPELINING, long{CURLPIPE_NOTHING});
    thread_ = std::thread([this] { run(); });
  }
  // The last exchange may end on any thread, but never on the engine's.
  ~EngineImpl() override {
    {
      MutexLock lock(mutex_);
      is_ending_ = true;
    }
    ::curl_multi_wakeup(multi_);
    thread_.join();
    ::curl_multi_cleanup(multi_);
  }
  std::unique_ptr<Exchange> begin(const Request& request, ReplySink* sink,
                                  const HttpOptions& options) override {
    auto exchange = std::make_unique<ExchangeImpl>(shared_from_this(), request, sink, options);
    ask(*exchange);
    return exchange;
  }

 private:
  friend class ExchangeImpl;
  void ask(ExchangeImpl& exchange) EXCLUDES(mutex_) {
    {
      MutexLock lock(mutex_);
      asked_.push_back(&exchange);
    }
    ::curl_multi_wakeup(multi_);
  }

  void run() {
    while (obey()) {
      int running = 0;
      CHECK(::curl_multi_perform(multi_, &running) == CURLM_OK);
      int left = 0;
      while (const CURLMsg* const message = ::curl_multi_info_read(multi_, &left)) {
        if (message->msg != CURLMSG_DONE) continue;
        void* exchange = nullptr;
        const CURLcode code = message->data.result;
        ::curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &exchange);
        end(*static_cast<ExchangeImpl*>(exchange), code);
      }
      ::curl_multi_poll(multi_, nullptr, 0, static_cast<int>(end_stalled().count()), nullptr);
    }
  }

  // What was asked for since; false: the engine ends.
  bool obey() {
    std::vector<std::pair<ExchangeImpl*, ExchangeImpl::Wish>> wishes;
    {
      MutexLock lock(mutex_);
      if (is_ending_) return false;
      for (ExchangeImpl* const exchange : asked_) {
        if (!exchange->is_over_)
          wishes.emplace_back(exchange, std::exchange(exchange->wish_, ExchangeImpl::Wish::kNone));
      }
      asked_.clear();
    }
    for (const auto& [exchange, wish] : wishes) {
      switch (wish) {
        case ExchangeImpl::Wish::kAdd:
          exchange->last_byte_ = SteadyClock::now();
          CHECK(::curl_multi_add_handle(multi_, exchange->easy_) == CURLM_OK);
          open_.push_back(exchange);
          break;
        case ExchangeImpl::Wish::kResume:
          exchange->is_paused_ = false;
          exchange->last_byte_ = SteadyClock::now();
          ::curl_easy_pause(exchange->easy_, CURLPAUSE_CONT);
          break;
        case ExchangeImpl::Wish::kTakeBack:
          exchange->outcome_.ending = Outcome::Ending::kStopped;
          end(*exchange, CURLE_ABORTED_BY_CALLBACK);
          break;
        case ExchangeImpl::Wish::kNone:
          break;
      }
    }
    return true;
  }

  // How long the others may stay silent.
  milliseconds end_stalled() {
    const auto now = SteadyClock::now();
    milliseconds least = kIdle;
    for (size_t i = open_.size(); i-- > 0;) {
      ExchangeImpl& exchange = *open_[i];
      least = std::min(least, std::max(milliseconds(1), exchange.options_.stall_timeout / 8));
      if (!exchange.is_stalled(now)) continue;
      const auto limit = exchange.options_.stall_timeout;
      const auto end =
          fmt::format_to_n(exchange.reason_, sizeof exchange.reason_ - 1, "no byte for {} s",
                           static_cast<double>(limit.count()) / 1000);
      *end.out = 0;
      this->end(exchange, CURLE_OPERATION_TIMEDOUT);
    }
    return least;
  }

  void end(ExchangeImpl& exchange, CURLcode code) {
    exchange.finish(code);  // while curl still has the headers
    ::curl_multi_remove_handle(multi_, exchange.easy_);
    std::erase(open_, &exchange);
    if (exchange.sink_ != nullptr) exchange.sink_->ended();
    MutexLock lock(mutex_);
    std::erase(asked_, &exchange);
    exchange.is_over_ = true;
    exchange.changed_.notify_all();  // with the mutex: it may be gone right after
  }

  CURLM* const multi_;
  std::vector<ExchangeImpl*> open_;  // the thread's; as many as were begun
  Mutex mutex_;
  std::vector<ExchangeImpl*> asked_ GUARDED_BY(mutex_);
  bool is_ending_ GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

ExchangeImpl::ExchangeImpl(std::shared_ptr<EngineImpl> engine, const Request& request,
                           ReplySink* sink, const HttpOptions& options)
    : engine_(std::move(engine)), request_(request), sink_(sink), options_(options) {
  CHECK(easy_ != nullptr);
  prepare();
}

ExchangeImpl::~ExchangeImpl() {
  {
    MutexLock lock(engine_->mutex_);
    if (wish_ == Wish::kAdd) {  // it was not even begun
      std::erase(engine_->asked_, this);
      is_over_ = true;
    } else if (!is_over_) {
      wish_ = Wish::kTakeBack;
      engine_->asked_.push_back(this);
      ::curl_multi_wakeup(engine_->multi_);
    }
    while (!is_over_) changed_.wait(engine_->mutex_);
  }
  ::curl_easy_cleanup(easy_);
  ::curl_slist_free_all(headers_);
}

void ExchangeImpl::resume() {
  {
    MutexLock lock(engine_->mutex_);
    if (is_over_ || wish_ != Wish::kNone) return;
    wish_ = Wish::kResume;
  }
  engine_->ask(*this);
}

bool ExchangeImpl::wait(const std::stop_token& stop) {
  const std::stop_callback wake(stop, [this] {
    MutexLock lock(engine_->mutex_);
    changed_.notify_all();
  });
  MutexLock lock(engine_->mutex_);
  while (!is_over_ && !stop.stop_requested()) changed_.wait(engine_->mutex_);
  return is_over_;
}

void ExchangeImpl::prepare() {
  set(CURLOPT_URL, request_.address.c_str());
  set(CURLOPT_PRIVATE, static_cast<void*>(this));
  set(CURLOPT_ERRORBUFFER, reason_);
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_HTTP_VERSION, long{CURL_HTTP_VERSION_1_1});
  set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options_.connect_timeout.count()));
  set(CURLOPT_USERAGENT, "spillway/" SPILLWAY_VERSION);
  const bool follows = request_.address.starts_with("https://") && !request_.is_signed;
  set(CURLOPT_FOLLOWLOCATION, follows ? 1L : 0L);
  set(CURLOPT_MAXREDIRS, 5L);
#if LIBCURL_VERSION_NUM >= 0x075500
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_REDIR_PROTOCOLS_STR, "https");
#else
  set(CURLOPT_PROTOCOLS, long{CURLPROTO_HTTP | CURLPROTO_HTTPS});
  set(CURLOPT_REDIR_PROTOCOLS, long{CURLPROTO_HTTPS});
#endif
  for (const char* const name : {"CURL_CA_BUNDLE", "SSL_CERT_FILE"}) {  // as the curl command does
    const char* const file = std::getenv(name);
    if (file == nullptr || *file == 0) continue;
    set(CURLOPT_CAINFO, file);
    break;
  }
  // Absolute values of -1 and 0 have meanings: the body's size is set for both.
  const curl_off_t size =
      request_.body != nullptr ? static_cast<curl_off_t>(request_.body->size()) : 0;
  switch (request_.method) {
    case Method::kGet:
      break;
    case Method::kHead:
      set(CURLOPT_NOBODY, 1L);
      break;
    case Method::kPut:
      set(CURLOPT_UPLOAD, 1L);
      set(CURLOPT_INFILESIZE_LARGE, size);
      break;
    case Method::kPost:
      set(CURLOPT_POST, 1L);
      set(CURLOPT_POSTFIELDSIZE_LARGE, size);
      headers_ = ::curl_slist_append(headers_, "Content-Type:");  // the caller's, or none
      break;
    case Method::kDelete:
      set(CURLOPT_CUSTOMREQUEST, "DELETE");
      break;
  }
  for (const Header& header : request_.headers) {
    const std::string line =
        header.value.empty() ? header.name + ";" : header.name + ": " + header.value;
    headers_ = ::curl_slist_append(headers_, line.c_str());
    CHECK(headers_ != nullptr);
  }
  if (headers_ != nullptr) set(CURLOPT_HTTPHEADER, headers_);
  if (request_.takes_off_coding) set(CURLOPT_ACCEPT_ENCODING, "");

  using Bytes = size_t (*)(char*, size_t, size_t, void*);
  set(CURLOPT_WRITEDATA, static_cast<void*>(this));
  set(CURLOPT_WRITEFUNCTION,
      static_cast<Bytes>([](char* bytes, size_t size_1, size_t count, void* self) {
        return static_cast<ExchangeImpl*>(self)->take(
            {reinterpret_cast<const uint8_t*>(bytes), size_1 * count});
      }));
  set(CURLOPT_READDATA, static_cast<void*>(this));
  set(CURLOPT_READFUNCTION,
      static_cast<Bytes>([](char* bytes, size_t size_1, size_t count, void* self) {
        return static_cast<ExchangeImpl*>(self)->give(
            {reinterpret_cast<uint8_t*>(bytes), size_1 * count});
      }));
  using Seek = int (*)(void*, curl_off_t, int);
  set(CURLOPT_SEEKDATA, static_cast<void*>(this));
  set(CURLOPT_SEEKFUNCTION, static_cast<Seek>([](void* self, curl_off_t offset, int origin) {
        if (origin != SEEK_SET) return CURL_SEEKFUNC_FAIL;
        static_cast<ExchangeImpl*>(self)->sent_ = static_cast<uint64_t>(offset);
        return CURL_SEEKFUNC_OK;
      }));
  using Progress = int (*)(void*, curl_off_t, curl_off_t, curl_off_t, curl_off_t);
  set(CURLOPT_NOPROGRESS, 0L);
  set(CURLOPT_XFERINFODATA, static_cast<void*>(this));
  set(CURLOPT_XFERINFOFUNCTION,
      static_cast<Progress>([](void* self, curl_off_t, curl_off_t down, curl_off_t, curl_off_t up) {
        auto* const exchange = static_cast<ExchangeImpl*>(self);
        if (down + up != std::exchange(exchange->moved_, down + up))
          exchange->last_byte_ = SteadyClock::now();
        return 0;
      }));
  if (!options_.unix_socket.empty()) set(CURLOPT_UNIX_SOCKET_PATH, options_.unix_socket.c_str());
}

// What curl has of the last reply, behind redirects and interim ones.
void ExchangeImpl::take_head() {
  if (std::exchange(has_head_, true)) return;
  long status = 0;
  ::curl_easy_getinfo(easy_, CURLINFO_RESPONSE_CODE, &status);
  std::vector<Header> headers;
  size_t bytes = 0;
  for (curl_header* at = nullptr;
       (at = ::curl_easy_nextheader(easy_, CURLH_HEADER, -1, at)) != nullptr;) {
    headers.push_back({at->name, at->value});
    bytes += headers.back().name.size() + headers.back().value.size() + sizeof(Header);
    if (bytes > kMostHead) {
      has_large_head_ = true;
      break;
    }
  }
  outcome_.head =
      ReplyHead::of(static_cast<unsigned>(status), std::move(headers), std::time(nullptr));
}

size_t ExchangeImpl::take(std::span<const uint8_t> bytes) {
  last_byte_ = SteadyClock::now();
  const bool is_first = !has_head_;
  take_head();
  if (has_large_head_) return CURL_WRITEFUNC_ERROR;
  const ReplyHead& head = outcome_.head;
  is_endless_ = !head.has_end(request_.method);
  if (!head.is_success()) {
    std::string& text = outcome_.explanation;
    text.append(reinterpret_cast<const char*>(bytes.data()),
                std::min(bytes.size(), kMostExplained - text.size()));
    return bytes.size();
  }
  if (is_endless_) return CURL_WRITEFUNC_ERROR;
  if (sink_ == nullptr) return bytes.size();
  if (is_first) {
    if (auto begun = sink_->begin(head); !begun) return fail_with(std::move(begun).error());
  }
  auto taken = sink_->take(bytes);
  if (!taken) return fail_with(std::move(taken).error());
  if (*taken) return bytes.size();
  is_paused_ = true;
  return CURL_WRITEFUNC_PAUSE;
}

size_t ExchangeImpl::give(std::span<uint8_t> out) {
  last_byte_ = SteadyClock::now();
  if (request_.body == nullptr) return 0;
  const auto part = out.first(std::min<uint64_t>(out.size(), request_.body->size() - sent_));
  if (part.empty()) return 0;
  if (auto read = request_.body->read_at(sent_, part); !read) {
    fail_with(std::move(read).error());
    return CURL_READFUNC_ABORT;
  }
  sent_ += part.size();
  return part.size();
}

void ExchangeImpl::finish(CURLcode code) {
  using Ending = Outcome::Ending;
  const bool had_body = has_head_;
  take_head();
  if (outcome_.ending == Ending::kStopped) return;
  outcome_.ending = outcome_.local                              ? Ending::kLocal
                    : has_large_head_                           ? Ending::kFailed
                    : is_endless_ && outcome_.head.is_success() ? Ending::kEndless
                                                                : ending_of(code);
  outcome_.reason = has_large_head_   ? "the head of the reply is longer than 64 KiB"
                    : reason_[0] != 0 ? printable(reason_, 256)
                                      : ::curl_easy_strerror(code);
  if (outcome_.ending != Ending::kReply || had_body || !outcome_.head.is_success()) return;
  if (!outcome_.head.has_end(request_.method)) {
    outcome_.ending = Ending::kEndless;
  } else if (sink_ != nullptr) {  // a success without a byte
    if (auto begun = sink_->begin(outcome_.head); !begun) {
      outcome_.local.emplace(std::move(begun).error());
      outcome_.ending = Ending::kLocal;
    }
  }
}

}  // namespace

std::shared_ptr<Engine> Engine::create(Options options) {
  static const CURLcode started = ::curl_global_init(CURL_GLOBAL_DEFAULT);
  CHECK(started == CURLE_OK);
  return std::make_shared<EngineImpl>(options);
}

std::shared_ptr<Engine> Engine::shared() {
  static Mutex mutex;
  static std::weak_ptr<Engine> known;
  MutexLock lock(mutex);
  auto engine = known.lock();
  if (!engine) known = engine = create({});
  return engine;
}

}  // namespace spillway::net

#include "core/progress.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "core/procstat.hpp"

namespace spillway {
namespace {

using Clock = std::chrono::steady_clock;

enum class Style { kLive, kPlain, kJson, kNone };

std::string clock_time(double seconds) {
  const auto whole = static_cast<uint64_t>(seconds);
  if (whole >= 3600)
    return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
  return fmt::format("{}:{:02}", whole / 60, whole % 60);
}

class Drawer final : public Progress {
 public:
  Drawer(Style style, Bytes limit, std::function<ProgressSnapshot()> pull)
      : style_(style), limit_(limit), pull_(std::move(pull)) {
    if (style_ != Style::kNone)
      thread_ = std::jthread([this](std::stop_token stop) { draw_until(stop); });
  }

  ~Drawer() override {
    if (thread_.joinable()) {
      thread_.request_stop();
      wake_.notify_all();
      thread_.join();
    }
    if (style_ == Style::kLive) std::fputs("\r\x1b[K", stderr);
  }

  void note(const std::string& line) override {
    std::lock_guard lock(mutex_);
    if (style_ == Style::kNone) return;
    if (style_ == Style::kLive) std::fputs("\r\x1b[K", stderr);
    if (style_ == Style::kJson) {
      std::fprintf(stderr, "%s\n", nlohmann::json{{"note", line}}.dump().c_str());
    } else {
      std::fprintf(stderr, "spillway: %s\n", line.c_str());
    }
  }

 private:
  void draw_until(const std::stop_token& stop) {
    const auto every = style_ == Style::kLive   ? std::chrono::milliseconds(100)
                       : style_ == Style::kJson ? std::chrono::milliseconds(1000)
                                                : std::chrono::milliseconds(5000);
    std::unique_lock lock(mutex_);
    while (!wake_.wait_for(lock, every, [&] { return stop.stop_requested(); })) {
      lock.unlock();
      const ProgressSnapshot now = pull_();
      const std::string line = style_ == Style::kJson ? json(now) : text(now);
      lock.lock();
      if (style_ == Style::kLive) {
        std::fprintf(stderr, "\r%s\x1b[K", line.substr(0, columns() - 1).c_str());
      } else {
        std::fprintf(stderr, "%s\n", line.c_str());
      }
      std::fflush(stderr);
    }
  }

  double seconds() const { return std::chrono::duration<double>(Clock::now() - begin_).count(); }

  // The time the phase will still take, from how far it came since it began.
  std::string eta(const ProgressSnapshot& now) {
    if (now.phase != phase_) {
      phase_ = now.phase;
      phase_begin_ = Clock::now();
      phase_from_ = std::max(0.0, now.fraction);
    }
    const double done = now.fraction - phase_from_;
    if (now.fraction < 0 || done < 0.01) return "";
    const double spent = std::chrono::duration<double>(Clock::now() - phase_begin_).count();
    return fmt::format("  ETA {}", clock_time(spent / done * (1 - now.fraction)));
  }

  std::string text(const ProgressSnapshot& now) {
    const std::string share =
        now.fraction < 0 ? "" : fmt::format(" {:.0f} %", 100 * std::min(1.0, now.fraction));
    return fmt::format("{}  {}{}  {}  memory {} of {}  scratch {}{}", clock_time(seconds()),
                       now.phase, share, now.text, to_string(process_memory().counted()),
                       to_string(limit_), to_string(now.spilled), eta(now));
  }

  std::string json(const ProgressSnapshot& now) const {
    return fmt::format(
        "{{\"seconds\":{:.1f},\"phase\":\"{}\",\"fraction\":{:.4f},\"memory\":{},\"memory_limit\":{"
        "},\"scratch\":{}{}{}}}",
        seconds(), now.phase, now.fraction, process_memory().counted().count(), limit_.count(),
        now.spilled.count(), now.json.empty() ? "" : ",", now.json);
  }

  static size_t columns() {
    struct winsize window {};
    return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 20 ? window.ws_col
                                                                                  : 80;
  }

  const Style style_;
  const Bytes limit_;
  const std::function<ProgressSnapshot()> pull_;
  const Clock::time_point begin_ = Clock::now();
  std::string phase_;
  Clock::time_point phase_begin_ = begin_;
  double phase_from_ = 0;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::jthread thread_;
};

}  // namespace

std::unique_ptr<Progress> Progress::start(ProgressMode mode, Bytes limit,
                                          std::function<ProgressSnapshot()> pull) {
  Style style = Style::kNone;
  if (mode == ProgressMode::kAuto) style = ::isatty(STDERR_FILENO) ? Style::kLive : Style::kPlain;
  if (mode == ProgressMode::kPlain) style = Style::kPlain;
  if (mode == ProgressMode::kJson) style = Style::kJson;
  return std::make_unique<Drawer>(style, limit, std::move(pull));
}

}  // namespace spillway

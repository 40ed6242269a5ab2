#include "core/job/progress.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "core/json.hpp"
#include "core/mutex.hpp"
#include "core/say.hpp"
#include "core/ticker.hpp"

namespace spillway {
namespace {

enum class Style { kLive, kPlain, kJson, kNone };

constexpr const char* kClearLine = "\r\x1b[K";

std::string clock_time(double seconds) {
  const auto whole = static_cast<uint64_t>(std::clamp(seconds, 0.0, 1e12));
  if (whole >= 3600)
    return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
  return fmt::format("{}:{:02}", whole / 60, whole % 60);
}

// Unknown is -1.
double share_of(const ProgressSnapshot& now) {
  return now.fraction >= 0 ? std::min(1.0, now.fraction) : -1;
}

// Rounded down, and never 100: as long as a line is drawn there is something left to do.
int percent(double share) { return std::min(99, static_cast<int>(100 * share)); }

std::string dumped(const OrderedJson& json) {
  return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

// Every line goes out in one call, so that those of two threads never mix.
class Drawer final : public Progress {
 public:
  Drawer(Style style, Bytes limit, std::function<ProgressSnapshot()> pull)
      : style_(style), pull_(std::move(pull)), lines_(limit), asked_(limit) {
    if (style_ != Style::kNone) ticker_.emplace([this] { return every(); }, [this] { draw(); });
  }

  ~Drawer() override {
    ticker_.reset();
    if (style_ == Style::kJson) draw();  // programs get at least the end
    if (style_ == Style::kLive) say(kClearLine);
  }

  void note(const std::string& line) override {
    if (style_ == Style::kNone) return;
    const std::string text =
        style_ == Style::kJson
            ? ProgressLines::json_note(line) + "\n"
            : fmt::format("{}spillway: {}\n", style_ == Style::kLive ? kClearLine : "", line);
    say(text);
  }

  std::string line() override {
    MutexLock lock(mutex_);
    return asked_.text(pull_());
  }

 private:
  std::chrono::milliseconds every() const {
    if (style_ == Style::kLive) return std::chrono::milliseconds(100);
    return std::chrono::milliseconds(style_ == Style::kJson ? 1000 : 5000);
  }

  void draw() {
    MutexLock lock(mutex_);
    const ProgressSnapshot now = pull_();
    const std::string line =
        style_ == Style::kJson ? lines_.json(now) + "\n"
        : style_ == Style::kLive
            ? "\r" + ProgressLines::fitted(lines_.text(now), columns() - 1) + "\x1b[K"
            : lines_.text(now) + "\n";
    say(line);
  }

  static size_t columns() {
    struct winsize window {};
    return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 20 ? window.ws_col
                                                                                  : 80;
  }

  const Style style_;
  const std::function<ProgressSnapshot()> pull_;
  Mutex mutex_;
  ProgressLines lines_ GUARDED_BY(mutex_), asked_ GUARDED_BY(mutex_);
  std::optional<Ticker> ticker_;
};

}  // namespace

std::optional<double> Rate::per_second(uint64_t count) {
  const Clock::Time now = clock_.now();
  if (!begin_) {
    begin_ = now;
    from_ = count;
  }
  const double seconds = seconds_between(*begin_, now);
  if (seconds < 0.5 || count < from_) return std::nullopt;
  return static_cast<double>(count - from_) / seconds;
}

std::string rate_text(std::optional<double> per_second, double unit, int digits) {
  if (!per_second) return "-";
  if (unit != 1 || digits > 0) return fmt::format("{:.{}f}", *per_second / unit, digits);
  return grouped(static_cast<uint64_t>(std::llround(*per_second)));
}

std::string rate_json(std::optional<double> per_second) {
  return per_second ? fmt::format("{:.0f}", *per_second) : "null";
}

ProgressLines::ProgressLines(Bytes limit, Sources sources)
    : limit_(limit),
      sources_(std::move(sources)),
      begin_(sources_.clock->now()),
      phase_begin_(begin_) {}

double ProgressLines::seconds() const { return seconds_between(begin_, sources_.clock->now()); }

// The time the phase will still take, from how far it came since it began.
std::string ProgressLines::eta(const ProgressSnapshot& now) {
  const double share = share_of(now);
  if (now.phase != phase_) {
    phase_ = now.phase;
    phase_begin_ = sources_.clock->now();
    phase_from_ = std::max(0.0, share);
  }
  const double done = share - phase_from_;
  if (share < 0 || done < 0.01) return "";
  const double spent = seconds_between(phase_begin_, sources_.clock->now());
  const double left = spent / done * (1 - share);
  return left < 1 ? "" : fmt::format("  phase ends in {}", clock_time(left));
}

std::string ProgressLines::text(const ProgressSnapshot& now) {
  const double share = share_of(now);
  return fmt::format("{}  {}{}  {}  memory {} of {}  scratch {}{}", clock_time(seconds()),
                     now.phase, share < 0 ? "" : fmt::format(" {} %", percent(share)), now.text,
                     to_string(sources_.memory().counted()), to_string(limit_),
                     to_string(now.spilled), eta(now));
}

std::string ProgressLines::json(const ProgressSnapshot& now) const {
  OrderedJson json;
  json["seconds"] = std::round(seconds() * 10) / 10;
  json["phase"] = now.phase;
  json["fraction"] = std::round(share_of(now) * 1e4) / 1e4;
  json["memory"] = sources_.memory().counted().count();
  json["memory_limit"] = limit_.count();
  json["scratch"] = now.spilled.count();
  const ProcessCounts counts = process_counts();
  json["descriptors"] = counts.descriptors;
  json["threads"] = counts.threads;
  const auto own = OrderedJson::parse("{" + now.json + "}", nullptr, false);
  DCHECK(own.is_object());
  if (own.is_object()) json.update(own);
  return dumped(json);
}

std::string ProgressLines::json_note(std::string_view note) {
  return dumped(OrderedJson{{"note", note}});
}

std::string ProgressLines::fitted(std::string_view line, size_t columns) {
  std::string fit;
  size_t characters = 0;
  for (const char byte : line) {
    const auto code = static_cast<unsigned char>(byte);
    const bool begins = (code & 0xC0) != 0x80;
    if (begins && characters++ == columns) break;
    fit += code < 0x20 || code == 0x7F ? ' ' : byte;
  }
  return fit;
}

std::unique_ptr<Progress> Progress::start(ProgressMode mode, Bytes limit,
                                          std::function<ProgressSnapshot()> pull) {
  Style style = Style::kNone;
  if (mode == ProgressMode::kAuto) style = ::isatty(STDERR_FILENO) ? Style::kLive : Style::kPlain;
  if (mode == ProgressMode::kPlain) style = Style::kPlain;
  if (mode == ProgressMode::kJson) style = Style::kJson;
  return std::make_unique<Drawer>(style, limit, std::move(pull));
}

}  // namespace spillway

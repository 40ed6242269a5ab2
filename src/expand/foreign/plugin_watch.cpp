#include "expand/foreign/plugin_watch.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "core/mutex.hpp"
#include "core/printable.hpp"

namespace spillway::expand {
namespace {

// What a thread does in a plugin.
struct Slot {
  std::atomic<const char*> function{nullptr};
  std::atomic<uint64_t> calls{0};
  const std::string* file = nullptr;  // the thread's own
};

// Threads that ever called a plugin, and the plugins that are loaded.
struct Registry {
  Mutex mutex;
  std::vector<const Slot*> slots GUARDED_BY(mutex);
  std::vector<const std::string*> files GUARDED_BY(mutex);
};
Registry& registry() {
  static Registry* const one = new Registry;  // outlives every exit handler
  return *one;
}

struct Registered {
  Slot slot;
  Registered() {
    MutexLock lock(registry().mutex);
    registry().slots.push_back(&slot);
  }
  ~Registered() {
    MutexLock lock(registry().mutex);
    std::erase(registry().slots, &slot);
  }
};
Slot& own_slot() {
  thread_local Registered registered;
  return registered.slot;
}

[[noreturn]] void end_process(const std::string& file, const char* function, const char* what) {
  std::string call = function == nullptr ? "it" : function;
  if (function != nullptr && call.find(' ') == std::string::npos) call += "()";
  const std::string line =
      fmt::format("spillway: plugin {}: {} {}\n", printable(file, 400), call, what);
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
  ::_exit(1);
}

// Runs on the thread that called exit().
void at_exit() {
  const Slot& slot = own_slot();
  const char* const function = slot.function.load();
  constexpr const char* kWhat =
      "ended the process with exit(), which a plugin must not; the same command continues from the "
      "last checkpoint";
  if (function != nullptr) end_process(*slot.file, function, kWhat);
  MutexLock lock(registry().mutex);
  if (!registry().files.empty()) end_process(*registry().files.back(), nullptr, kWhat);
}

struct Seen {
  const Slot* slot;
  uint64_t calls;
  friend bool operator==(const Seen&, const Seen&) = default;
};

std::vector<Seen> calls_now() {
  std::vector<Seen> seen;
  MutexLock lock(registry().mutex);
  for (const Slot* const slot : registry().slots) {
    if (slot->function.load() != nullptr) seen.push_back({slot, slot->calls.load()});
  }
  return seen;
}

}  // namespace

PluginWatch::PluginWatch(std::string file, std::stop_token stop) : file_(std::move(file)) {
  static const bool registered = [] {
    return std::atexit(at_exit) == 0 && std::at_quick_exit(at_exit) == 0;
  }();
  (void)registered;
  {
    MutexLock lock(registry().mutex);
    registry().files.push_back(&file_);
  }
  if (stop.stop_possible())
    thread_ = std::jthread([this, stop](const std::stop_token& end) { wait(end, stop); });
}

PluginWatch::~PluginWatch() {
  thread_ = std::jthread();
  MutexLock lock(registry().mutex);
  std::erase(registry().files, &file_);
}

void PluginWatch::wait(const std::stop_token& end, const std::stop_token& stop) {
  const std::stop_callback wake(stop, [this] {
    { const std::lock_guard lock(mutex_); }
    changed_.notify_all();
  });
  std::unique_lock lock(mutex_);
  changed_.wait(lock, end, [&] { return stop.stop_requested(); });
  std::vector<Seen> before = calls_now();
  while (!end.stop_requested()) {
    changed_.wait_for(lock, end, kPatience, [] { return false; });
    if (end.stop_requested()) return;
    std::vector<Seen> now = calls_now();
    for (const Seen& seen : now) {
      if (std::find(before.begin(), before.end(), seen) == before.end()) continue;
      end_process(file_, seen.slot->function.load(),
                  "has not returned since the stop; ended without it, the same command continues "
                  "from the last checkpoint");
    }
    before = std::move(now);
  }
}

PluginWatch::Call::Call(const PluginWatch& watch, const char* function) {
  Slot& slot = own_slot();
  slot.file = &watch.file_;
  slot.calls.store(slot.calls.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  slot.function.store(function, std::memory_order_release);
}

PluginWatch::Call::~Call() { own_slot().function.store(nullptr, std::memory_order_release); }

}  // namespace spillway::expand

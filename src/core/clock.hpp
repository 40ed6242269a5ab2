// The time that intervals are measured with, a seam so that tests need no real one; and a thread
// that does something again and again.
//
// Threads  Clock: any. Ticker: its owner's.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <thread>

#include "core/mutex.hpp"

namespace spillway {

class Clock {
 public:
  using Time = std::chrono::steady_clock::time_point;
  virtual ~Clock() = default;
  virtual Time now() const = 0;

  static const Clock& real();  // steady_clock
};

// Stands still until a test moves it.
class FakeClock final : public Clock {
 public:
  Time now() const override { return Time(std::chrono::nanoseconds(nanoseconds_.load())); }
  void advance(std::chrono::nanoseconds by) { nanoseconds_ += by.count(); }

 private:
  std::atomic<int64_t> nanoseconds_{0};
};

// Calls `tick` on a thread of its own, `every()` after the last one ended, until it is destroyed.
class Ticker {
 public:
  Ticker() = default;  // does nothing
  Ticker(std::function<std::chrono::milliseconds()> every, std::function<void()> tick);
  ~Ticker() { end(); }
  void end();  // waits for a tick under way; none comes after it

 private:
  void run(const std::function<std::chrono::milliseconds()>& every,
           const std::function<void()>& tick);

  Mutex mutex_;
  CondVar wake_;
  bool ended_ GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

inline double seconds_between(Clock::Time begin, Clock::Time end) {
  return std::chrono::duration<double>(end - begin).count();
}

}  // namespace spillway

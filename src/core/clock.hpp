// The time that intervals are measured with, a seam so that tests need no real one.
//
// Threads  Any.
#pragma once

#include <atomic>
#include <chrono>

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

inline double seconds_between(Clock::Time begin, Clock::Time end) {
  return std::chrono::duration<double>(end - begin).count();
}

}  // namespace spillway

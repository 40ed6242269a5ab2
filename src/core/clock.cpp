#include "core/clock.hpp"

namespace spillway {
namespace {
class SteadyClock final : public Clock {
 public:
  Time now() const override { return std::chrono::steady_clock::now(); }
};
}  // namespace

const Clock& Clock::real() {
  static const SteadyClock clock;
  return clock;
}

Ticker::Ticker(std::function<std::chrono::milliseconds()> every, std::function<void()> tick)
    : thread_([this, every = std::move(every), tick = std::move(tick)] { run(every, tick); }) {}

void Ticker::end() {
  {
    MutexLock lock(mutex_);
    ended_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Ticker::run(const std::function<std::chrono::milliseconds()>& every,
                 const std::function<void()>& tick) {
  MutexLock lock(mutex_);
  while (!ended_) {
    const auto next = std::chrono::steady_clock::now() + every();
    while (!ended_ && wake_.wait_until(mutex_, next)) {
    }
    if (ended_) return;
    lock.unlock();
    tick();
    lock.lock();
  }
}

}  // namespace spillway

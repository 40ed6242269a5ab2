#include "core/ticker.hpp"

namespace spillway {

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

#include "core/flow/grace.hpp"

#include <system_error>
#include <utility>

namespace spillway {

Grace::~Grace() {
  followed_.reset();  // begin() is over, or never comes
  std::thread thread;
  {
    MutexLock lock(mutex_);
    ended_ = true;
    thread = std::move(thread_);
  }
  changed_.notify_all();
  if (thread.joinable()) thread.join();
}

void Grace::follow(std::stop_token stop) {
  followed_.reset();
  followed_.emplace(std::move(stop), std::function<void()>([this] { begin(); }));
}

void Grace::begin() {
  bool is_over = time_ <= std::chrono::milliseconds(0);
  if (!is_over) {
    MutexLock lock(mutex_);
    if (std::exchange(begun_, true)) return;
    try {
      thread_ = std::thread([this] { wait(); });
    } catch (const std::system_error&) {
      is_over = true;
    }
  }
  if (is_over) late_.request_stop();
}

void Grace::wait() {
  const auto end = std::chrono::steady_clock::now() + time_;
  {
    MutexLock lock(mutex_);
    while (!ended_ && changed_.wait_until(mutex_, end)) {
    }
    if (ended_) return;
  }
  late_.request_stop();
}

}  // namespace spillway

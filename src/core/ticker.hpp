// A thread that does something again and again.
//
// Threads  Its owner's; `tick` runs on a thread of its own, with no mutex held.
#pragma once

#include <chrono>
#include <functional>
#include <thread>

#include "core/mutex.hpp"

namespace spillway {

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

}  // namespace spillway

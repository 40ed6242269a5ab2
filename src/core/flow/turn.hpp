// Threads that work side by side and leave their results in order.
//
// parallel() runs one function on several threads and returns the first error. A Turn lets them
// pass one by one, in the order of the tickets they drew: thread A with ticket 7 waits until 0..6
// have passed.
//
// Threads  Turn: any. A failed Turn lets nobody wait any more: wait() returns false and the thread
// gives up.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <thread>
#include <vector>

#include "core/mutex.hpp"
#include "core/result.hpp"

namespace spillway {

class Turn {
 public:
  // Waits until every smaller ticket has passed. False: somebody failed.
  [[nodiscard]] bool wait(uint64_t ticket) {
    MutexLock lock(mutex_);
    while (!failed_ && next_ != ticket) changed_.wait(mutex_);
    return !failed_;
  }
  void pass(uint64_t ticket) {
    {
      MutexLock lock(mutex_);
      if (next_ == ticket) ++next_;
    }
    changed_.notify_all();
  }
  void fail() {
    {
      MutexLock lock(mutex_);
      failed_ = true;
    }
    changed_.notify_all();
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  uint64_t next_ GUARDED_BY(mutex_) = 0;
  bool failed_ GUARDED_BY(mutex_) = false;
};

// `work(thread index)` on `threads` threads, the calling one among them; `on_error` is called once,
// at the first error.
template <class Work, class OnError>
[[nodiscard]] Result<void> parallel(unsigned threads, Work&& work, OnError&& on_error) {
  struct {
    Mutex mutex;
    std::optional<Error> error GUARDED_BY(mutex);
  } first;
  const auto run = [&](unsigned index) {
    auto result = work(index);
    if (result) return;
    {
      MutexLock lock(first.mutex);
      if (!first.error) first.error = std::move(result).error();
    }
    on_error();
  };
  {
    std::vector<std::jthread> others;
    others.reserve(threads - 1);
    for (unsigned i = 1; i < threads; ++i) others.emplace_back(run, i);
    run(0);
  }
  MutexLock lock(first.mutex);
  if (first.error) return fail(std::move(*first.error));
  return {};
}

}  // namespace spillway

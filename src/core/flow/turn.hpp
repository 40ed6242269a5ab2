// Threads that work side by side pass one by one, in the order of the tickets they drew: thread A with
// ticket 7 waits until 0..6 have passed.
//
// Threads  Any. A failed Turn lets nobody wait any more: wait() returns false and the thread gives up.
#pragma once

#include <cstdint>

#include "core/mutex.hpp"

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

}  // namespace spillway

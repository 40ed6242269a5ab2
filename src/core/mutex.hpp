// A mutex whose use the compiler checks.
//
// clang (-Wthread-safety, the `tidy` preset) refuses code that touches a GUARDED_BY field without
// its mutex, forgets to unlock, or calls a REQUIRES function without it; gcc sees plain wrappers of
// the standard types. Every field that threads share has a GUARDED_BY, an atomic or a const.
//
//   Mutex mutex_;
//   uint64_t next_ GUARDED_BY(mutex_) = 0;
//   ...
//   MutexLock lock(mutex_);
//   while (next_ != ticket) changed_.wait(mutex_);  // the loop is the caller's: the check sees it
//
// Cost     That of std::mutex and std::condition_variable.
// Source   clang's documentation, "Thread Safety Analysis".
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

#if defined(__clang__)
#define SPILLWAY_ANNOTATION(x) __attribute__((x))
#else
#define SPILLWAY_ANNOTATION(x)
#endif
#define GUARDED_BY(mutex) SPILLWAY_ANNOTATION(guarded_by(mutex))
#define REQUIRES(mutex) SPILLWAY_ANNOTATION(requires_capability(mutex))  // call with it held
#define EXCLUDES(mutex) SPILLWAY_ANNOTATION(locks_excluded(mutex))       // call without it

namespace spillway {

class SPILLWAY_ANNOTATION(capability("mutex")) Mutex {
 public:
  Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  void lock() SPILLWAY_ANNOTATION(acquire_capability()) { mutex_.lock(); }
  void unlock() SPILLWAY_ANNOTATION(release_capability()) { mutex_.unlock(); }

 private:
  friend class CondVar;
  std::mutex mutex_;
};

// Holds a mutex for a scope; may let go of it in between.
class SPILLWAY_ANNOTATION(scoped_lockable) MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) SPILLWAY_ANNOTATION(acquire_capability(mutex)) : mutex_(mutex) {
    mutex_.lock();
  }
  ~MutexLock() SPILLWAY_ANNOTATION(release_capability()) {
    if (held_) mutex_.unlock();
  }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

  void unlock() SPILLWAY_ANNOTATION(release_capability()) {
    held_ = false;
    mutex_.unlock();
  }
  void lock() SPILLWAY_ANNOTATION(acquire_capability()) {
    mutex_.lock();
    held_ = true;
  }

 private:
  Mutex& mutex_;
  bool held_ = true;
};

// Waits may end without a notification: test the condition in a loop.
class CondVar {
 public:
  void wait(Mutex& mutex) REQUIRES(mutex) {
    std::unique_lock held(mutex.mutex_, std::adopt_lock);
    changed_.wait(held);
    held.release();
  }
  // False: `end` has passed.
  bool wait_until(Mutex& mutex, std::chrono::steady_clock::time_point end) REQUIRES(mutex) {
    std::unique_lock held(mutex.mutex_, std::adopt_lock);
    const bool in_time = changed_.wait_until(held, end) == std::cv_status::no_timeout;
    held.release();
    return in_time;
  }
  void notify_one() { changed_.notify_one(); }
  void notify_all() { changed_.notify_all(); }

 private:
  std::condition_variable changed_;
};

}  // namespace spillway

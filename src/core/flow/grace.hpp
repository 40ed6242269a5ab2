// A stop that comes some time after another: for what a job still does once it was asked to end.
//
// Who is asked to end stops taking work at once, and saves what was done under token(): when that is
// requested, too, the saving is given up and the last checkpoint holds.
//
//   Grace grace(std::chrono::seconds(1));
//   grace.follow(stop);
//   ... saved = sort->flush() ...   // whose stop is grace.token()
//
// Threads  follow(): one at a time. token(): any. A thread of its own runs from the stop on; where the
//          system refuses it there is no grace.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <stop_token>
#include <thread>

#include "core/mutex.hpp"

namespace spillway {

class Grace {
 public:
  explicit Grace(std::chrono::milliseconds time) : time_(time) {}
  ~Grace();
  Grace(const Grace&) = delete;
  Grace& operator=(const Grace&) = delete;

  // From now on a stop of `stop`, also one before this call, is followed by one of token().
  void follow(std::stop_token stop);
  std::stop_token token() const { return late_.get_token(); }

 private:
  void begin() EXCLUDES(mutex_);
  void wait() EXCLUDES(mutex_);

  const std::chrono::milliseconds time_;
  std::stop_source late_;
  std::optional<std::stop_callback<std::function<void()>>> followed_;
  Mutex mutex_;
  CondVar changed_;
  bool begun_ GUARDED_BY(mutex_) = false, ended_ GUARDED_BY(mutex_) = false;
  std::thread thread_ GUARDED_BY(mutex_);
};

}  // namespace spillway

// Which of the process's mapped buffers were touched: a buffer takes no memory until it is.
//
// Threads  Any.
// Cost     add, resize, remove: a lock and a map's step. untouched(): about 2 ms a GiB of buffers.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>

#include "core/bytes.hpp"
#include "core/clock.hpp"
#include "core/mutex.hpp"

namespace spillway {

// All buffers of Pages and GrowingPages.
class MappedBuffers {
 public:
  static MappedBuffers& of_process();

  void add(const uint8_t* data, size_t size) EXCLUDES(mutex_);  // again: its new size
  // Before its addresses are given back.
  void remove(const uint8_t* data) EXCLUDES(mutex_);
  // What is mapped and not resident; as it was a little ago when looking takes long.
  Bytes untouched() EXCLUDES(mutex_);

 private:
  Bytes look() EXCLUDES(mutex_);
  Mutex mutex_;
  std::map<const uint8_t*, size_t> buffers_ GUARDED_BY(mutex_);
  Mutex looking_;
  Bytes seen_ GUARDED_BY(looking_);
  Clock::Time next_ GUARDED_BY(looking_);
};

}  // namespace spillway

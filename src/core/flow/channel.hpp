// Between threads: a first-in first-out queue bounded by bytes and by count.
//
// The memory of what passes through belongs to the items (their leases); the channel adds none and
// its bound only keeps a fast producer near its consumer. An empty channel always admits one item,
// however large, so a bound can never stop the work.
//
// Threads  Any number of producers and consumers. A stop wakes all who wait with its token.
// Cost     One mutex, one wake-up; the ring is reserved at construction. For units, not for rows.
// Fails    Nothing: push() is false once the channel was closed or `stop` was requested; pop() is
//          empty when closed and drained, or stopped.
#pragma once

#include <optional>
#include <stop_token>
#include <utility>
#include <vector>

#include "core/bytes.hpp"
#include "core/mutex.hpp"
#include "core/result.hpp"

namespace spillway {

struct ChannelOptions {
  size_t items = 16;
  Bytes bytes{uint64_t{64} << 20};
};

template <class T>
class Channel {
 public:
  explicit Channel(ChannelOptions options = {}) : options_(options), ring_(options.items) {
    CHECK(options.items > 0);
  }

  [[nodiscard]] bool push(T item, Bytes bytes, const std::stop_token& stop) {
    {
      const std::stop_callback wake(stop, [this] { wake_all(); });
      MutexLock lock(mutex_);
      while (!closed_ && !has_room_for(bytes) && !stop.stop_requested()) has_room_.wait(mutex_);
      if (closed_ || stop.stop_requested()) return false;
      ring_[(first_ + count_) % ring_.size()] = {std::move(item), bytes};
      ++count_;
      held_ += bytes;
    }
    has_items_.notify_one();
    return true;
  }

  [[nodiscard]] std::optional<T> pop(const std::stop_token& stop) {
    std::optional<T> item;
    {
      const std::stop_callback wake(stop, [this] { wake_all(); });
      MutexLock lock(mutex_);
      while (!closed_ && count_ == 0 && !stop.stop_requested()) has_items_.wait(mutex_);
      if (count_ == 0 || stop.stop_requested()) return std::nullopt;
      auto& [slot, bytes] = ring_[first_];
      item = std::exchange(slot, std::nullopt);
      held_ -= bytes;
      first_ = (first_ + 1) % ring_.size();
      --count_;
    }
    has_room_.notify_all();  // a smaller item may fit where the longest waiter's does not
    return item;
  }

  // No more items come; those inside can still be taken.
  void close() {
    {
      MutexLock lock(mutex_);
      closed_ = true;
    }
    has_items_.notify_all();
    has_room_.notify_all();
  }

  // Closes and drops what is inside, with its memory.
  void abandon() {
    close();
    while (pop({})) {
    }
  }

  size_t size() const {
    MutexLock lock(mutex_);
    return count_;
  }

 private:
  bool has_room_for(Bytes bytes) const REQUIRES(mutex_) {
    return count_ == 0 || (count_ < ring_.size() && held_ + bytes <= options_.bytes);
  }
  // With the mutex, so that a stop between a look and the wait is not lost.
  void wake_all() EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    has_items_.notify_all();
    has_room_.notify_all();
  }

  const ChannelOptions options_;
  mutable Mutex mutex_;
  CondVar has_room_, has_items_;
  std::vector<std::pair<std::optional<T>, Bytes>> ring_ GUARDED_BY(mutex_);
  size_t first_ GUARDED_BY(mutex_) = 0, count_ GUARDED_BY(mutex_) = 0;
  Bytes held_ GUARDED_BY(mutex_);
  bool closed_ GUARDED_BY(mutex_) = false;
};

}  // namespace spillway

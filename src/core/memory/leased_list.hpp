// A list of small items that grows with the data, in memory that is leased as it grows.
//
// Memory   Chunks of 16 KiB, from the account; an item never moves.
// Threads  One writer, or many readers.
// Fails    push_back() is false when the account lends no more; the list is as it was.
#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/memory/pages.hpp"

namespace spillway {

template <class T>
class LeasedList {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  static constexpr size_t kChunk = (size_t{16} << 10) / sizeof(T);

  explicit LeasedList(Account account = {}) : account_(std::move(account)) {}

  [[nodiscard]] bool push_back(const T& item) {
    if (size_ == chunks_.size() * kChunk) {
      auto lease = account_.try_acquire(Bytes(kChunk * sizeof(T)));
      if (!lease) return false;
      auto pages = Pages::map(std::move(*lease));
      if (!pages) return false;
      chunks_.push_back(std::move(*pages));
    }
    chunks_[size_ / kChunk].template as<T>()[size_ % kChunk] = item;
    ++size_;
    return true;
  }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  const T& operator[](size_t index) const {
    return chunks_[index / kChunk].template as<T>()[index % kChunk];
  }
  T& operator[](size_t index) { return chunks_[index / kChunk].template as<T>()[index % kChunk]; }
  const T& back() const { return (*this)[size_ - 1]; }

  // Of a list in order: the first index whose item is not `before`.
  template <class Before>
  size_t partition_point(Before&& before) const {
    size_t low = 0, high = size_;
    while (low < high) {
      const size_t middle = low + (high - low) / 2;
      if (before((*this)[middle]))
        low = middle + 1;
      else
        high = middle;
    }
    return low;
  }

 private:
  Account account_;
  std::vector<Pages> chunks_;
  size_t size_ = 0;
};

}  // namespace spillway

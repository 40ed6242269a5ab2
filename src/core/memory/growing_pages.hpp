// A contiguous buffer that grows in place: address space is reserved once, memory is leased and
// touched as the buffer grows. For accumulators whose records must lie side by side (sort buffers,
// tables) and whose size is not known before.
//
// Memory   What grow_to() leased, in whole steps; nothing before the first. The reserved addresses
//          cost no memory.
// Threads  One owner at a time.
// Fails    reserve(): kMemoryLimit when the system refuses the addresses. grow_to() returns false
//          when the account lends no more, or the reservation ends: the time to spill.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/memory/budget.hpp"

namespace spillway {

class GrowingPages {
 public:
  static constexpr size_t kStep = size_t{2} << 20;  // a huge page

  GrowingPages() = default;  // empty
  // `step`: a power of two of at least a page; below 2 MiB no huge pages are used.
  [[nodiscard]] static Result<GrowingPages> reserve(Account account, size_t most,
                                                    size_t step = kStep);
  GrowingPages(GrowingPages&& other) noexcept;
  GrowingPages& operator=(GrowingPages&& other) noexcept;
  ~GrowingPages();

  // Makes at least `size` bytes usable. Keeps what is there.
  [[nodiscard]] bool grow_to(size_t size);
  void shrink_to(size_t size);  // gives what is behind it back; the addresses stay
  void release() { shrink_to(0); }

  uint8_t* data() const { return data_; }
  size_t size() const { return size_; }  // usable bytes
  template <class T>
  T* as() const {
    return reinterpret_cast<T*>(data_);
  }

 private:
  void unmap();

  Account account_;
  Lease lease_;
  uint8_t* data_ = nullptr;
  size_t size_ = 0, most_ = 0, step_ = kStep;
};

}  // namespace spillway

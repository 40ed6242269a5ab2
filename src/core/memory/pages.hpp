// A big buffer straight from the system, so that what the ledger says is what is resident.
//
// Owns the lease it was made with and an mmap'd region of that size (rounded up to pages). Freed at
// once on destruction: never returned to an allocator that might keep it.
//
// Cost     A mmap and a page fault a page; for buffers of 64 KiB and more. Contents start as zeros.
// Threads  One owner at a time.
// Fails    kMemoryLimit when the system refuses the mapping.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/memory/budget.hpp"

namespace spillway {

class Pages {
 public:
  Pages() = default;  // empty
  [[nodiscard]] static Result<Pages> map(Lease lease);

  Pages(Pages&& other) noexcept;
  Pages& operator=(Pages&& other) noexcept;
  ~Pages();

  uint8_t* data() const { return data_; }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  template <class T>
  std::span<T> as() const {
    return {reinterpret_cast<T*>(data_), size_ / sizeof(T)};
  }
  // Gives the tail beyond `size` back to the system and to the account.
  void shrink_to(size_t size);

 private:
  void unmap();

  Lease lease_;
  uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace spillway

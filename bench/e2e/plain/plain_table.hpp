// What the plain references share: one open-addressing hash set of 64-bit states and the closing
// line. States are never 0. Deliberately shares no code with src/.
#pragma once

#include <sys/mman.h>
#include <sys/resource.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace plain {

class Table {
 public:
  explicit Table(uint64_t expected) {
    uint64_t slots = 1024;
    while (slots * 7 < expected * 10) slots *= 2;
    allocate(slots);
  }
  Table(const Table&) = delete;
  Table& operator=(const Table&) = delete;
  ~Table() { ::munmap(slots_, (mask_ + 1) * 8); }

  void prefetch(uint64_t state) const { __builtin_prefetch(slots_ + (mix(state) & mask_), 1); }

  // True when the state is new. One thread.
  bool insert(uint64_t state) {
    if (!put(state)) return false;
    if (++count_ * 10 > (mask_ + 1) * 7) grow();
    return true;
  }

  // The same for several threads; the table must have been made large enough.
  bool insert_shared(uint64_t state) {
    for (uint64_t at = mix(state) & mask_;; at = (at + 1) & mask_) {
      std::atomic_ref<uint64_t> slot(slots_[at]);
      uint64_t found = slot.load(std::memory_order_relaxed);
      if (found == 0 && slot.compare_exchange_strong(found, state, std::memory_order_relaxed))
        return true;
      if (found == state) return false;
    }
  }

 private:
  static uint64_t mix(uint64_t state) {
    const uint64_t product = state * 0x9e3779b97f4a7c15;
    return product ^ (product >> 32);
  }
  bool put(uint64_t state) {
    uint64_t at = mix(state) & mask_;
    for (; slots_[at] != 0; at = (at + 1) & mask_)
      if (slots_[at] == state) return false;
    slots_[at] = state;
    return true;
  }
  void allocate(uint64_t slots) {
    void* const memory = ::mmap(nullptr, slots * 8, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
      std::fprintf(stderr, "no memory for %llu slots\n", static_cast<unsigned long long>(slots));
      std::exit(1);
    }
    ::madvise(memory, slots * 8, MADV_HUGEPAGE);
    slots_ = static_cast<uint64_t*>(memory);
    mask_ = slots - 1;
  }
  void grow() {
    uint64_t* const old = slots_;
    const uint64_t size = mask_ + 1;
    allocate(size * 2);
    for (uint64_t i = 0; i < size; ++i)
      if (old[i] != 0) put(old[i]);
    ::munmap(old, size * 8);
  }

  uint64_t* slots_ = nullptr;
  uint64_t mask_ = 0;
  uint64_t count_ = 0;
};

class Stopwatch {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

inline void print_outcome(uint64_t distinct, uint64_t generated, uint64_t layers, double seconds) {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  std::printf("distinct %llu generated %llu layers %llu seconds %.2f peak_rss_mib %ld\n",
              static_cast<unsigned long long>(distinct), static_cast<unsigned long long>(generated),
              static_cast<unsigned long long>(layers), seconds, usage.ru_maxrss / 1024);
}

}  // namespace plain

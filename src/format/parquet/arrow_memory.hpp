// Arrow's memory, charged to an account: what Arrow allocates is in the ledger, and a refusal is
// Arrow's OutOfMemory.
//
// Threads  Any. Cost: Arrow allocates in buffers of KiB to MiB, so a lease each is cheap.
#pragma once

#include <arrow/memory_pool.h>

#include <atomic>

#include "core/memory/budget.hpp"
#include "core/mutex.hpp"

namespace spillway::format {

class LeasedPool final : public arrow::MemoryPool {
 public:
  explicit LeasedPool(Account account) : account_(std::move(account)) {}

  using arrow::MemoryPool::Allocate;
  using arrow::MemoryPool::Free;
  using arrow::MemoryPool::Reallocate;
  arrow::Status Allocate(int64_t size, int64_t alignment, uint8_t** out) override;
  arrow::Status Reallocate(int64_t old_size, int64_t new_size, int64_t alignment,
                           uint8_t** ptr) override;
  void Free(uint8_t* buffer, int64_t size, int64_t alignment) override;
  int64_t bytes_allocated() const override { return allocated_; }
  int64_t total_bytes_allocated() const override { return total_; }
  int64_t num_allocations() const override { return count_; }
  int64_t max_memory() const override { return peak_; }
  std::string backend_name() const override { return "spillway"; }

 private:
  bool charge(int64_t bytes);
  void discharge(int64_t bytes);

  Account account_;
  Mutex mutex_;
  Lease lease_ GUARDED_BY(mutex_);
  std::atomic<int64_t> allocated_{0}, total_{0}, count_{0}, peak_{0};
};

}  // namespace spillway::format

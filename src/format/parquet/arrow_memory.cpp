#include "format/parquet/arrow_memory.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace spillway::format {
namespace {

// Arrow wants a valid, aligned address for empty buffers too.
alignas(64) uint8_t empty[64];

size_t rounded(int64_t size, int64_t alignment) {
  return (static_cast<size_t>(size) + static_cast<size_t>(alignment) - 1) /
         static_cast<size_t>(alignment) * static_cast<size_t>(alignment);
}

}  // namespace

bool LeasedPool::charge(int64_t bytes) {
  auto lease = account_.try_acquire(Bytes(static_cast<uint64_t>(bytes)));
  if (!lease) return false;
  MutexLock lock(mutex_);
  lease_.join(std::move(*lease));
  allocated_ += bytes;
  total_ += bytes;
  ++count_;
  peak_ = std::max<int64_t>(peak_, allocated_);
  return true;
}

void LeasedPool::discharge(int64_t bytes) {
  Lease freed;  // given back after the unlock: that may call a waiter
  MutexLock lock(mutex_);
  freed = lease_.split(Bytes(static_cast<uint64_t>(bytes)));
  allocated_ -= bytes;
}

arrow::Status LeasedPool::Allocate(int64_t size, int64_t alignment, uint8_t** out) {
  if (size == 0) {
    *out = empty;
    return arrow::Status::OK();
  }
  if (!charge(size)) return arrow::Status::OutOfMemory("refused ", size, " bytes");
  *out = static_cast<uint8_t*>(
      std::aligned_alloc(static_cast<size_t>(alignment), rounded(size, alignment)));
  if (*out != nullptr) return arrow::Status::OK();
  discharge(size);
  return arrow::Status::OutOfMemory("the system refused ", size, " bytes");
}

arrow::Status LeasedPool::Reallocate(int64_t old_size, int64_t new_size, int64_t alignment,
                                     uint8_t** ptr) {
  uint8_t* fresh = nullptr;
  ARROW_RETURN_NOT_OK(Allocate(new_size, alignment, &fresh));
  std::memcpy(fresh, *ptr, static_cast<size_t>(std::min(old_size, new_size)));
  Free(*ptr, old_size, alignment);
  *ptr = fresh;
  return arrow::Status::OK();
}

void LeasedPool::Free(uint8_t* buffer, int64_t size, int64_t) {
  if (buffer == empty) return;
  std::free(buffer);
  discharge(size);
}

}  // namespace spillway::format

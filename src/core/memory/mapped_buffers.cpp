#include "core/memory/mapped_buffers.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <array>

namespace spillway {
namespace {
constexpr size_t kPage = 4096;
constexpr size_t kAtOnce = size_t{16} << 20;  // looked at with the mutex held: some 50 us
}  // namespace

MappedBuffers& MappedBuffers::of_process() {
  static MappedBuffers buffers;
  return buffers;
}

void MappedBuffers::add(const uint8_t* data, size_t size) {
  MutexLock lock(mutex_);
  buffers_[data] = size;
}

void MappedBuffers::remove(const uint8_t* data) {
  MutexLock lock(mutex_);
  buffers_.erase(data);
}

Bytes MappedBuffers::untouched() {
  MutexLock lock(looking_);
  const Clock::Time begin = Clock::real().now();
  if (begin < next_) return seen_;
  seen_ = look();
  const Clock::Time end = Clock::real().now();
  next_ = end + 100 * (end - begin);
  return seen_;
}

Bytes MappedBuffers::look() {
  uint64_t untouched = 0;
  const uint8_t* at = nullptr;  // all below were looked at
  std::array<unsigned char, kAtOnce / kPage> resident;
  while (true) {
    MutexLock lock(mutex_);  // none is unmapped meanwhile
    auto next = buffers_.upper_bound(at);
    if (next != buffers_.begin()) {
      const auto before = std::prev(next);
      if (before->first + before->second > at) next = before;
    }
    if (next == buffers_.end()) return Bytes(untouched);
    const uint8_t* const from = std::max(at, next->first);
    const size_t size =
        std::min(kAtOnce, next->second - static_cast<size_t>(from - next->first));
    const size_t pages = (size + kPage - 1) / kPage;
    if (::mincore(const_cast<uint8_t*>(from), size, resident.data()) == 0) {
      const auto end = resident.begin() + static_cast<ptrdiff_t>(pages);
      untouched += kPage * static_cast<uint64_t>(std::count_if(
                               resident.begin(), end, [](unsigned char page) { return !(page & 1); }));
    }
    at = from + size;
  }
}

}  // namespace spillway

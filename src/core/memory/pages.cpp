#include "core/memory/pages.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "core/memory/mapped_buffers.hpp"

namespace spillway {
namespace {
constexpr size_t kHugePage = size_t{2} << 20;
}  // namespace

Result<Pages> Pages::map(Lease lease) {
  Pages pages;
  const size_t size = lease.bytes().count();
  if (size > 0) {
    void* const at =
        ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) {
      const int error = errno;
      return fail(Code::kMemoryLimit,
                  "the system has no memory for a buffer of " + to_string(lease.bytes()), error);
    }
    // Large buffers are filled once and soon: huge pages halve the time of that. Never below 2 MiB,
    // where one huge page could hold more than the lease.
    if (size >= kHugePage) ::madvise(at, size, MADV_HUGEPAGE);
    pages.data_ = static_cast<uint8_t*>(at);
    pages.size_ = size;
    MappedBuffers::of_process().add(pages.data_, size);
  }
  pages.lease_ = std::move(lease);
  return pages;
}

Pages::Pages(Pages&& other) noexcept
    : lease_(std::move(other.lease_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

void Pages::unmap() {
  if (data_ == nullptr) return;
  MappedBuffers::of_process().remove(data_);
  ::munmap(data_, size_);
}

Pages& Pages::operator=(Pages&& other) noexcept {
  if (this != &other) {
    unmap();
    lease_ = std::move(other.lease_);
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
  }
  return *this;
}

Pages::~Pages() { unmap(); }

void Pages::shrink_to(size_t size) {
  const size_t page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  const size_t kept = (size + page - 1) / page * page;
  if (kept >= size_) return;
  MappedBuffers::of_process().remove(data_);
  ::munmap(data_ + kept, size_ - kept);
  if (kept > 0) MappedBuffers::of_process().add(data_, kept);
  size_ = kept;
  if (kept == 0) data_ = nullptr;
  lease_.shrink_to(Bytes(kept));
}

}  // namespace spillway

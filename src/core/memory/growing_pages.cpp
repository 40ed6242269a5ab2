#include "core/memory/growing_pages.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "core/memory/mapped_buffers.hpp"

namespace spillway {

Result<GrowingPages> GrowingPages::reserve(Account account, size_t most, size_t step) {
  CHECK(step >= 4096 && (step & (step - 1)) == 0);
  GrowingPages pages;
  pages.account_ = std::move(account);
  pages.step_ = step;
  pages.most_ = (most + step - 1) / step * step;
  // Aligned to the step, so that a huge page never reaches beyond what is leased.
  const size_t room = pages.most_ + step;
  void* const at = ::mmap(nullptr, room, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) {
    return fail(Code::kMemoryLimit,
                "the system has no addresses for a buffer of " + to_string(Bytes(room)), errno);
  }
  auto* const base = static_cast<uint8_t*>(at);
  const auto address = reinterpret_cast<uintptr_t>(base);
  const size_t before = (step - address % step) % step;
  if (before > 0) ::munmap(base, before);
  if (before < step) ::munmap(base + before + pages.most_, step - before);
  pages.data_ = base + before;
  ::madvise(pages.data_, pages.most_, step >= kStep ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
  return pages;
}

GrowingPages::GrowingPages(GrowingPages&& other) noexcept
    : account_(std::move(other.account_)),
      lease_(std::move(other.lease_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      most_(std::exchange(other.most_, 0)),
      step_(other.step_) {}

GrowingPages& GrowingPages::operator=(GrowingPages&& other) noexcept {
  if (this != &other) {
    unmap();
    account_ = std::move(other.account_);
    lease_ = std::move(other.lease_);
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
    most_ = std::exchange(other.most_, 0);
    step_ = other.step_;
  }
  return *this;
}

GrowingPages::~GrowingPages() { unmap(); }

void GrowingPages::unmap() {
  if (data_ == nullptr) return;
  MappedBuffers::of_process().remove(data_);
  ::munmap(data_, most_);
}

bool GrowingPages::grow_to(size_t size) {
  if (size <= size_) return true;
  const size_t wanted = (size + step_ - 1) / step_ * step_;
  if (wanted > most_) return false;
  auto lease = account_.try_acquire(Bytes(wanted - size_));
  if (!lease) return false;
  lease_.join(std::move(*lease));
  size_ = wanted;
  MappedBuffers::of_process().add(data_, size_);
  return true;
}

void GrowingPages::shrink_to(size_t size) {
  const size_t kept = (size + step_ - 1) / step_ * step_;
  if (kept >= size_) return;
  if (kept == 0)
    MappedBuffers::of_process().remove(data_);
  else
    MappedBuffers::of_process().add(data_, kept);
  ::madvise(data_ + kept, size_ - kept, MADV_DONTNEED);
  size_ = kept;
  lease_.shrink_to(Bytes(kept));
}

}  // namespace spillway

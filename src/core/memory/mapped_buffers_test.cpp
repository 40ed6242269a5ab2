#include "core/memory/mapped_buffers.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstring>

#include "core/memory/growing_pages.hpp"
#include "core/memory/pages.hpp"

namespace spillway {
namespace {

class Mapping {
 public:
  explicit Mapping(size_t size)
      : size_(size),
        data_(static_cast<uint8_t*>(::mmap(nullptr, size, PROT_READ | PROT_WRITE,
                                           MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))) {
    ::madvise(data_, size, MADV_NOHUGEPAGE);
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() { ::munmap(data_, size_); }
  uint8_t* data() const { return data_; }

 private:
  size_t size_;
  uint8_t* data_;
};

TEST(MappedBuffers, CountsThePagesThatNothingTouched) {
  const Mapping small(1 << 20), large(40 << 20);
  const auto untouched = [&](bool both) {
    MappedBuffers buffers;  // a fresh one looks at once
    buffers.add(large.data(), 40 << 20);
    if (both) buffers.add(small.data(), 1 << 20);
    const Bytes bytes = buffers.untouched();
    buffers.remove(large.data());
    buffers.remove(small.data());
    return bytes;
  };
  EXPECT_EQ(untouched(false), 40_MiB);
  EXPECT_EQ(untouched(true), 41_MiB);
  std::memset(small.data(), 1, 1 << 20);
  std::memset(large.data() + (30 << 20), 1, 5 << 20);
  EXPECT_EQ(untouched(true), 35_MiB);
}

TEST(MappedBuffers, HoldsWhatPagesMapAndNothingElse) {
  auto& all = MappedBuffers::of_process();
  const auto budget = Budget::create(64_MiB);
  Account account = *budget->open({"pages", 1});
  // Looks are far apart when they take long: until one sees what is expected.
  const auto becomes = [&](Bytes least, Bytes most) {
    for (int i = 0; i < 1000000; ++i) {
      const Bytes now = all.untouched();
      if (now >= least && now <= most) return true;
    }
    return false;
  };
  ASSERT_TRUE(becomes(0_B, 0_B));
  {
    Pages pages = *Pages::map(*account.try_acquire(8_MiB));
    EXPECT_TRUE(becomes(8_MiB, 8_MiB));
    Pages moved = std::move(pages);
    moved.shrink_to(6 << 20);
    EXPECT_TRUE(becomes(6_MiB, 6_MiB));
    std::memset(moved.data(), 1, 6 << 20);
    EXPECT_TRUE(becomes(0_B, 0_B));
    auto growing = *GrowingPages::reserve(account, 16 << 20);
    ASSERT_TRUE(growing.grow_to(4 << 20));
    EXPECT_TRUE(becomes(4_MiB, 4_MiB));
    growing.release();
    EXPECT_TRUE(becomes(0_B, 0_B));
    ASSERT_TRUE(growing.grow_to(2 << 20));
    moved.shrink_to(0);
    EXPECT_TRUE(becomes(2_MiB, 2_MiB));
  }
  EXPECT_TRUE(becomes(0_B, 0_B));
}

}  // namespace
}  // namespace spillway

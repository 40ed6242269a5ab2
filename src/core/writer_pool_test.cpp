#include "core/writer_pool.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <map>
#include <string>

namespace spillway {
namespace {

// Outputs that write to a map, and count how many are open.
struct Disk {
  std::map<uint64_t, std::string> files;
  std::vector<uint64_t> finished;
  int open = 0, most_open = 0;
  bool refuse_park = false;
};

class Output : public PooledOutput {
 public:
  Output(Disk& disk, uint64_t number) : disk_(disk), number_(number) { opened(); }
  void write(char what) { held_ += what; }
  Result<void> park() override {
    if (disk_.refuse_park) return fail(Code::kDiskFull, "writing an output: no space");
    flush();
    return {};
  }
  Result<void> reopen() override {
    opened();
    return {};
  }
  Result<void> finish() override {
    flush();
    disk_.finished.push_back(number_);
    return {};
  }

 private:
  void opened() { disk_.most_open = std::max(disk_.most_open, ++disk_.open); }
  void flush() {
    disk_.files[number_] += std::exchange(held_, {});
    --disk_.open;
  }
  Disk& disk_;
  uint64_t number_;
  std::string held_;
};

std::unique_ptr<WriterPool> pool_of(Disk& disk, Account account, WriterPool::Options options) {
  return *WriterPool::create(options, std::move(account),
                             [&disk](uint64_t number) -> Result<std::unique_ptr<PooledOutput>> {
                               return std::unique_ptr<PooledOutput>(new Output(disk, number));
                             });
}

RC_GTEST_PROP(WriterPool, WritesWhatFilesThatAreAllOpenWouldHold, ()) {
  const auto writes = *rc::gen::container<std::vector<std::pair<uint8_t, char>>>(
      rc::gen::pair(rc::gen::inRange<uint8_t>(0, 12), rc::gen::inRange('a', 'z')));
  const WriterPool::Options options{*rc::gen::inRange<size_t>(1, 6), Bytes(1000), Bytes(10)};
  auto budget = Budget::create(Bytes(*rc::gen::inRange<uint64_t>(1000 + 12 * 202, 9000)));
  Disk disk;
  std::map<uint64_t, std::string> want;
  {
    auto pool = pool_of(disk, *budget->open({"outputs", 1}), options);
    for (const auto& [number, what] : writes) {
      auto output = pool->open(number);
      RC_ASSERT(output.has_value());
      static_cast<Output*>(*output)->write(what);
      want[number] += what;
      RC_ASSERT(budget->used() <= budget->capacity());
    }
    RC_ASSERT(pool->finish_all().has_value());
    RC_ASSERT(pool->size() == 0u);
  }
  RC_ASSERT(disk.files == want);
  RC_ASSERT(disk.open == 0);
  RC_ASSERT(disk.most_open <= static_cast<int>(options.most_open));
  RC_ASSERT(std::is_sorted(disk.finished.begin(), disk.finished.end()));
  RC_ASSERT(budget->used() == Bytes(0));
}

TEST(WriterPool, ParksTheOneUsedLongestAgo) {
  Disk disk;
  auto budget = Budget::create(1_MiB);
  auto pool = pool_of(disk, *budget->open({"outputs", 1}), {2, Bytes(100), Bytes(1)});
  for (const uint64_t number : {1, 2, 1, 3}) ASSERT_TRUE(pool->open(number));
  EXPECT_EQ(pool->parked(), 1u);
  ASSERT_TRUE(pool->open(1));  // 2 was parked
  EXPECT_EQ(pool->parked(), 1u);
}

TEST(WriterPool, SaysWhenMemoryEndsAndWhenADiskIsFull) {
  Disk disk;
  auto budget = Budget::create(Bytes(2000));
  auto pool = pool_of(disk, *budget->open({"outputs", 1}), {4, Bytes(1000), Bytes(10)});
  Code code = Code::kInternal;
  for (uint64_t number = 0; number < 20; ++number) {
    if (auto output = pool->open(number); !output) {
      code = output.error().code();
      break;
    }
  }
  EXPECT_EQ(code, Code::kMemoryLimit);

  auto more = Budget::create(1_MiB);
  auto other = pool_of(disk, *more->open({"outputs", 1}), {1, Bytes(1000), Bytes(10)});
  ASSERT_TRUE(other->open(1));
  disk.refuse_park = true;
  const auto refused = other->open(2);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Code::kDiskFull);
  disk.refuse_park = false;
  EXPECT_TRUE(other->open(2));  // nothing was lost
}

TEST(WriterPool, PlansByMemoryDescriptorsAndFormat) {
  const WriterPool::Options options{100, 1_MiB, Bytes(100)};
  using Plan = WriterPool::Plan;
  EXPECT_EQ(WriterPool::plan(50, true, 64_MiB, options), Plan::kAllOpen);
  EXPECT_EQ(WriterPool::plan(50, true, 32_MiB, options), Plan::kPark);
  EXPECT_EQ(WriterPool::plan(50, false, 32_MiB, options), Plan::kPartitionFirst);
  EXPECT_EQ(WriterPool::plan(101, true, 1_GiB, options), Plan::kPark);
}

}  // namespace
}  // namespace spillway

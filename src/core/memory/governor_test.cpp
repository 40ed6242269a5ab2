#include "core/memory/governor.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <optional>

namespace spillway {
namespace {

struct Fixture {
  std::unique_ptr<Budget> budget = Budget::create(90_MiB);
  ProcessMemory now;
  FakeClock clock;
  unsigned purges = 0;
  std::function<void()> when_exceeded;
  std::optional<Error> error;
  Governor governor{*budget,
                    {.limit = 100_MiB,
                     .reserve = 10_MiB,
                     .every = std::chrono::hours(1),  // the test steps it
                     .sample = [this] { return now; },
                     .purge = [this] { ++purges; },
                     .clock = &clock,
                     .exceeded =
                         [this](Error told) {
                           error.emplace(std::move(told));
                           if (when_exceeded) when_exceeded();
                         }}};
};

TEST(Governor, LendsLessWhenTheProcessHoldsMoreThanItsLeases) {
  Fixture f;
  f.now.anonymous = 8_MiB;
  f.governor.step();
  EXPECT_EQ(f.budget->capacity(), 90_MiB) << "within the reserve";
  f.now.anonymous = 30_MiB;
  f.governor.step();
  EXPECT_EQ(f.budget->capacity(), 70_MiB);
  f.now.anonymous = 5_MiB;
  f.governor.step();
  EXPECT_EQ(f.budget->capacity(), 70_MiB) << "the peak of the drift counts";
}

TEST(Governor, CountsSharedMemoryAndNotMappedFiles) {
  Fixture f;
  f.now.shared = 30_MiB;
  f.now.file = 500_MiB;
  f.governor.step();
  EXPECT_EQ(f.budget->capacity(), 70_MiB);
}

TEST(Governor, NeverTakesFloors) {
  Fixture f;
  ASSERT_TRUE(f.budget->open({"floor", 1, 60_MiB}));
  f.now.anonymous = 80_MiB;
  f.governor.step();
  EXPECT_EQ(f.budget->capacity(), 60_MiB);
}

TEST(Governor, AsksTheAllocatorOnceASecondAtMost) {
  Fixture f;
  f.now.anonymous = 85_MiB;
  f.governor.step();
  EXPECT_EQ(f.purges, 0u);
  f.now.anonymous = 86_MiB;
  for (int i = 0; i < 100; ++i) {
    f.governor.step();
    f.clock.advance(std::chrono::milliseconds(50));
  }
  EXPECT_EQ(f.purges, 5u) << "a hundred samples, five seconds";
}

TEST(Governor, LendsOnlyFloorsNearTheLimit) {
  Fixture f;
  auto sink = f.budget->open({"sink", 2, 2_MiB});
  auto source = f.budget->open({"source", 1});
  const auto lease = source->try_acquire(80_MiB);
  ASSERT_TRUE(lease);
  f.now.anonymous = 92_MiB;
  f.governor.step();
  EXPECT_TRUE(source->try_acquire(1_MiB));
  f.now.anonymous = 93_MiB;
  f.governor.step();
  EXPECT_FALSE(source->try_acquire(1_B));
  EXPECT_TRUE(sink->try_acquire(2_MiB));
  f.now.anonymous = 80_MiB;
  f.governor.step();
  EXPECT_TRUE(source->try_acquire(1_MiB));
}

TEST(Governor, TellsWithoutHoldingItsMutex) {
  Fixture f;
  f.now.anonymous = 98_MiB;
  unsigned told = 0;
  f.when_exceeded = [&] {
    ++told;
    f.governor.step();  // would wait for ever
  };
  f.governor.step();
  EXPECT_EQ(told, 1u);
}

TEST(Governor, FailsBeforeTheKernelAndListsTheAccounts) {
  Fixture f;
  auto account = f.budget->open({"candidates", 1});
  const auto lease = account->try_acquire(40_MiB);
  f.now.anonymous = 98_MiB;
  f.governor.step();
  f.governor.step();
  ASSERT_TRUE(f.error);
  EXPECT_EQ(f.error->code(), Code::kMemoryLimit);
  EXPECT_EQ(f.error->message(),
            "the process holds 98 MiB of --memory 100 MiB: leased 40 MiB (candidates 40 MiB)");
}

}  // namespace
}  // namespace spillway

#include "core/memory/governor.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <optional>
#include <vector>

namespace spillway {
namespace {

struct Fixture {
  std::unique_ptr<Budget> budget = Budget::create(90_MiB);
  ProcessMemory now;
  FakeClock clock;
  unsigned purges = 0;
  Bytes untouched;
  std::function<void()> when_exceeded;
  std::function<void(Pressure)> when_pressed;
  std::optional<Error> error;
  Governor governor{*budget,
                    {.limit = 100_MiB,
                     .reserve = 10_MiB,
                     .every = std::chrono::hours(1),  // the test steps it
                     .sample = [this] { return now; },
                     .untouched = [this] { return untouched; },
                     .purge = [this] { ++purges; },
                     .clock = &clock,
                     .exceeded =
                         [this](Error told) {
                           error.emplace(std::move(told));
                           if (when_exceeded) when_exceeded();
                         },
                     .on_pressure =
                         [this](Pressure level, Bytes) {
                           if (when_pressed) when_pressed(level);
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
  EXPECT_EQ(f.budget->capacity(), 70_MiB) << "the most of the last seconds counts";
}

TEST(Governor, LendsAgainWhenASpikeHasPassed) {
  Fixture f;
  f.now.anonymous = 60_MiB;
  f.governor.step();
  f.now.anonymous = 5_MiB;
  Bytes capacity;
  int seconds = 0;
  for (; seconds < 60 && capacity < 90_MiB; ++seconds) {
    f.clock.advance(std::chrono::seconds(1));
    f.governor.step();
    capacity = f.budget->capacity();
    EXPECT_TRUE(seconds >= 4 || capacity == 40_MiB);
  }
  EXPECT_LE(seconds, 11);
  f.now.anonymous = 30_MiB;  // what stays is seen in every window
  for (int i = 0; i < 30; ++i) {
    f.clock.advance(std::chrono::seconds(1));
    f.governor.step();
    EXPECT_EQ(f.budget->capacity(), 70_MiB);
  }
}

TEST(Governor, SeesDriftBehindLeasesThatNothingTouched) {
  Fixture f;
  auto account = f.budget->open({"table", 1});
  const auto lease = account->try_acquire(50_MiB);
  f.now.anonymous = 45_MiB;
  f.governor.step();
  EXPECT_EQ(f.budget->capacity(), 90_MiB) << "less than is leased";
  f.untouched = 40_MiB;
  f.governor.step();
  EXPECT_EQ(f.budget->capacity(), 65_MiB) << "35 MiB are beside the 10 that were touched";
}

TEST(Governor, CountsAndTellsEveryChangeOfPressureOnce) {
  Fixture f;
  std::vector<Pressure> told;
  f.when_pressed = [&](Pressure level) { told.push_back(level); };
  const auto at = [&](uint64_t mib) {
    f.now.anonymous = Bytes(mib << 20);
    f.governor.step();
    return f.governor.pressure();
  };
  EXPECT_EQ(at(85), Pressure::kNone);
  EXPECT_EQ(at(86), Pressure::kPurging);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(at(i % 2 == 0 ? 84 : 86), Pressure::kPurging) << "near it";
  EXPECT_EQ(at(83), Pressure::kNone);
  EXPECT_EQ(at(93), Pressure::kFloorsOnly);
  EXPECT_EQ(at(91), Pressure::kFloorsOnly);
  EXPECT_EQ(at(90), Pressure::kPurging);
  EXPECT_EQ(at(99), Pressure::kExceeded);
  EXPECT_EQ(at(10), Pressure::kNone);
  EXPECT_EQ(f.governor.pressure_counts(), (Governor::PressureCounts{2, 2, 1}));
  EXPECT_EQ(told, (std::vector<Pressure>{Pressure::kPurging, Pressure::kNone, Pressure::kFloorsOnly,
                                         Pressure::kPurging, Pressure::kExceeded,
                                         Pressure::kNone}));
}

TEST(Governor, EndsAWaitThatDriftLeavesNoRoomFor) {
  Fixture f;
  auto account = f.budget->open({"sort", 1});
  f.now.anonymous = 50_MiB;
  f.governor.step();
  account->acquire_async(80_MiB, [](const Result<Lease>&) {});
  for (int i = 0; i < 9; ++i) {
    f.governor.step();
    f.clock.advance(std::chrono::seconds(1));
  }
  EXPECT_FALSE(f.error) << "it may pass";
  for (int i = 0; i < 3; ++i) {
    f.governor.step();
    f.clock.advance(std::chrono::seconds(1));
  }
  ASSERT_TRUE(f.error);
  EXPECT_EQ(f.error->message().substr(0, 60),
            "sort waits for 80 MiB and can have 50 MiB; raise --memory: t");
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

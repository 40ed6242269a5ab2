#include "core/governor.hpp"

#include <gtest/gtest.h>

#include <optional>

namespace spillway {
namespace {

struct Fixture {
  std::unique_ptr<Budget> budget = Budget::create(90_MiB);
  ProcessMemory now;
  std::optional<Error> error;
  Governor governor{*budget,
                    {.limit = 100_MiB,
                     .reserve = 10_MiB,
                     .every = std::chrono::hours(1),  // the test steps it
                     .sample = [this] { return now; },
                     .exceeded = [this](Error told) { error.emplace(std::move(told)); }}};
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

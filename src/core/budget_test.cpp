#include "core/budget.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <atomic>
#include <thread>
#include <utility>
#include <vector>

namespace spillway {
namespace {

Account must_open(Budget& budget, AccountSpec spec) {
  auto account = budget.open(std::move(spec));
  EXPECT_TRUE(account) << account.error().message();
  return *account;
}

TEST(Budget, RefusesFloorsThatDoNotFitAndListsThem) {
  auto budget = Budget::create(10_MiB);
  must_open(*budget, {"read", 1, 4_MiB});
  must_open(*budget, {"decode", 2, 4_MiB});
  const auto refused = budget->open({"write", 3, 4_MiB});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Code::kMemoryLimit);
  EXPECT_EQ(refused.error().message(),
            "needs at least 12 MiB: read 4 MiB, decode 4 MiB, write 4 MiB");
}

TEST(Budget, KeepsFloorsForTheirOwners) {
  auto budget = Budget::create(10_MiB);
  Account sink = must_open(*budget, {"sink", 2, 4_MiB});
  Account source = must_open(*budget, {"source", 1});
  const auto all = source.try_acquire(6_MiB);
  ASSERT_TRUE(all);
  EXPECT_FALSE(source.try_acquire(1_B));
  EXPECT_TRUE(sink.try_acquire(4_MiB));
}

TEST(Budget, GivesTheFloorOfARetiredAccountToAll) {
  auto budget = Budget::create(10_MiB);
  Account done = must_open(*budget, {"done", 2, 8_MiB});
  Account next = must_open(*budget, {"next", 1});
  const Lease kept = *done.try_acquire(3_MiB);
  EXPECT_FALSE(next.try_acquire(3_MiB));
  budget->retire(done);
  EXPECT_TRUE(next.try_acquire(7_MiB));
  EXPECT_FALSE(next.try_acquire(8_MiB));
}

TEST(Budget, FailsAtOnceAboveTheCeiling) {
  auto budget = Budget::create(10_MiB);
  Account account = must_open(*budget, {"a", 1, Bytes(0), 2_MiB});
  const auto refused = account.acquire(3_MiB, {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Code::kTooLarge);
}

TEST(Budget, GivesBackOnDestructionShrinkAndSplit) {
  auto budget = Budget::create(10_MiB);
  Account account = must_open(*budget, {"a", 1});
  {
    Lease lease = *account.try_acquire(8_MiB);
    lease.shrink_to(5_MiB);
    EXPECT_EQ(budget->used(), 5_MiB);
    Lease part = lease.split(2_MiB);
    EXPECT_EQ(lease.bytes(), 3_MiB);
    lease.release();
    EXPECT_EQ(budget->used(), 2_MiB);
    lease.join(std::move(part));
    EXPECT_EQ(lease.bytes(), 2_MiB);
  }
  EXPECT_EQ(budget->used(), Bytes(0));
  EXPECT_EQ(budget->peak(), 8_MiB);
}

TEST(Budget, ServesTheHighestRankFirst) {
  auto budget = Budget::create(4_MiB);
  Account low = must_open(*budget, {"low", 1});
  Account high = must_open(*budget, {"high", 9});
  std::optional<Lease> all = low.try_acquire(4_MiB);
  std::vector<std::string> order;
  std::vector<Lease> kept;
  low.acquire_async(4_MiB, [&](Result<Lease> lease) {
    order.push_back("low");
    kept.push_back(std::move(*lease));
  });
  high.acquire_async(2_MiB, [&](Result<Lease> lease) {
    order.push_back("high");
    kept.push_back(std::move(*lease));
  });
  EXPECT_TRUE(order.empty());
  all.reset();
  ASSERT_EQ(order, std::vector<std::string>{"high"});
  std::exchange(kept, {}).clear();  // giving back calls the next waiter, who keeps its own
  EXPECT_EQ(order, (std::vector<std::string>{"high", "low"}));
}

TEST(Budget, LetsNobodyOvertakeAWaiterOfHigherRank) {
  auto budget = Budget::create(4_MiB);
  Account low = must_open(*budget, {"low", 1});
  Account high = must_open(*budget, {"high", 9});
  std::optional<Lease> most = low.try_acquire(3_MiB);
  std::optional<Lease> got;
  high.acquire_async(2_MiB, [&](Result<Lease> lease) { got = std::move(*lease); });
  EXPECT_FALSE(low.try_acquire(1_MiB)) << "one MiB is free, but it is spoken for";
  most.reset();
  EXPECT_TRUE(got);
}

TEST(Budget, StopsWaitingWhenAsked) {
  auto budget = Budget::create(1_MiB);
  Account account = must_open(*budget, {"a", 1});
  const std::optional<Lease> all = account.try_acquire(1_MiB);
  std::stop_source stop;
  std::jthread stopper([&] { stop.request_stop(); });
  const auto lease = account.acquire(1_MiB, stop.get_token());
  ASSERT_FALSE(lease);
  EXPECT_EQ(lease.error().code(), Code::kCancelled);
  EXPECT_FALSE(account.acquire(1_MiB, stop.get_token())) << "and at once when it was asked before";
}

TEST(Budget, ServesThoseBehindAWaiterThatGivesUp) {
  auto budget = Budget::create(4_MiB);
  Account low = must_open(*budget, {"low", 1});
  Account high = must_open(*budget, {"high", 9});
  const std::optional<Lease> most = low.try_acquire(3_MiB);
  std::stop_source stop;
  std::atomic<bool> gave_up{false};
  std::jthread waiter([&] { gave_up = !high.acquire(2_MiB, stop.get_token()); });
  while (budget->usage()[1].waits == 0) std::this_thread::yield();
  std::optional<Lease> got;
  low.acquire_async(1_MiB, [&](Result<Lease> lease) { got = std::move(*lease); });
  EXPECT_FALSE(got);
  stop.request_stop();
  waiter.join();
  EXPECT_TRUE(gave_up);
  EXPECT_TRUE(got);
}

TEST(Budget, RefusesWhatWouldOverflowAndFloorsThatAreLent) {
  auto budget = Budget::create(10_MiB);
  Account account = must_open(*budget, {"a", 1});
  const std::optional<Lease> some = account.try_acquire(8_MiB);
  EXPECT_FALSE(account.try_acquire(Bytes(~uint64_t{0})));
  EXPECT_FALSE(budget->open({"late", 2, 4_MiB}));
  EXPECT_TRUE(budget->open({"later", 2, 2_MiB}));
}

TEST(Budget, ServesEveryWaiterWhenAllIsReleased) {
  auto budget = Budget::create(8_MiB);
  Account account = must_open(*budget, {"a", 1});
  std::atomic<uint64_t> most{0};
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 8; ++i) {
      threads.emplace_back([&, i] {
        for (int round = 0; round < 300; ++round) {
          auto lease = account.acquire(Bytes(uint64_t{1} << (18 + (i + round) % 5)), {});
          ASSERT_TRUE(lease);
          const uint64_t used = budget->used().count();
          uint64_t seen = most.load();
          while (used > seen && !most.compare_exchange_weak(seen, used)) {
          }
        }
      });
    }
  }
  EXPECT_LE(most.load(), (8_MiB).count());
  EXPECT_EQ(budget->used(), Bytes(0));
}

RC_GTEST_PROP(Budget, NeverLendsMoreThanItHas,
              (const std::vector<std::pair<uint8_t, uint8_t>>& steps)) {
  auto budget = Budget::create(Bytes(200));
  std::vector<Account> accounts{must_open(*budget, {"a", 1, Bytes(20)}),
                                must_open(*budget, {"b", 2, Bytes(30), Bytes(90)}),
                                must_open(*budget, {"c", 3})};
  std::vector<std::pair<size_t, Lease>> leases;
  for (const auto& [what, size] : steps) {
    const size_t which = what % 3;
    if (what < 160) {
      if (auto lease = accounts[which].try_acquire(Bytes(size)))
        leases.emplace_back(which, std::move(*lease));
    } else if (!leases.empty()) {
      leases.erase(leases.begin() + static_cast<ptrdiff_t>(size % leases.size()));
    }
    uint64_t used[3] = {0, 0, 0};
    for (const auto& [owner, lease] : leases) used[owner] += lease.bytes().count();
    RC_ASSERT(budget->used().count() == used[0] + used[1] + used[2]);
    // Whatever the others hold, a floor can still be had.
    RC_ASSERT(used[1] <= 90u);
    RC_ASSERT(std::max<uint64_t>(used[0], 20) + std::max<uint64_t>(used[1], 30) + used[2] <= 200);
  }
}

}  // namespace
}  // namespace spillway

#include "core/memory/budget.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <deque>
#include <numeric>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "core/sync_point.hpp"

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

// The governor lowers the capacity while the process holds more than its leases: that passes.
TEST(Budget, ADipOfTheCapacityKillsNoWaiter) {
  auto budget = Budget::create(10_MiB);
  Account account = must_open(*budget, {"a", 1, Bytes(0), 9_MiB});
  Account other = must_open(*budget, {"b", 0});
  std::optional<Lease> some = account.try_acquire(4_MiB);
  std::optional<Lease> got;
  account.acquire_async(8_MiB, [&](Result<Lease> lease) {
    ASSERT_TRUE(lease) << lease.error().message();
    got = std::move(*lease);
  });
  budget->set_capacity(6_MiB);
  some.reset();
  EXPECT_FALSE(got);
  EXPECT_EQ(budget->starved(), "a waits for 8 MiB and can have 6 MiB");
  EXPECT_TRUE(other.try_acquire(6_MiB)) << "what it waits for is not what others hold";
  EXPECT_EQ(account.ceiling(), 9_MiB);
  budget->set_capacity(10_MiB);
  EXPECT_TRUE(got);
  EXPECT_EQ(budget->starved(), "");
}

TEST(Budget, AWaitingThreadOutlastsADip) {
  auto budget = Budget::create(10_MiB);
  Account account = must_open(*budget, {"a", 1});
  budget->set_capacity(6_MiB);
  std::optional<Bytes> got;
  std::jthread waiter([&] {
    const auto lease = account.acquire(8_MiB, {});
    if (lease) got = lease->bytes();
  });
  while (budget->usage()[0].waits == 0) std::this_thread::yield();
  budget->set_capacity(9_MiB);
  waiter.join();
  EXPECT_EQ(got, 8_MiB);
}

TEST(Budget, RefusesWhatNoCapacityThereWasCanLend) {
  auto budget = Budget::create(10_MiB);
  Account account = must_open(*budget, {"a", 1});
  budget->set_capacity(6_MiB);
  const auto refused = account.acquire(11_MiB, {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Code::kTooLarge);
  const std::optional<Lease> all = account.try_acquire(6_MiB);
  std::optional<Error> waiting;
  account.acquire_async(9_MiB, [&](Result<Lease> lease) { waiting = std::move(lease).error(); });
  EXPECT_FALSE(waiting);
  budget->set_capacity(10_MiB);
  must_open(*budget, {"late", 2, 2_MiB});
  ASSERT_TRUE(waiting) << "a floor that will not be given back leaves 8";
  EXPECT_EQ(waiting->code(), Code::kTooLarge);
}

TEST(Budget, WakesAWaiterWhenTheCapacityIsRaised) {
  auto budget = Budget::create(4_MiB);
  Account account = must_open(*budget, {"a", 1});
  const std::optional<Lease> some = account.try_acquire(3_MiB);
  std::optional<Lease> got;
  account.acquire_async(2_MiB, [&](Result<Lease> lease) { got = std::move(*lease); });
  EXPECT_FALSE(got);
  budget->set_capacity(5_MiB);
  EXPECT_TRUE(got);
}

TEST(Budget, LetsOthersPassAWaiterStoppedByItsOwnCeiling) {
  auto budget = Budget::create(10_MiB);
  Account capped = must_open(*budget, {"capped", 9, Bytes(0), 2_MiB});
  Account low = must_open(*budget, {"low", 1});
  std::optional<Lease> own = capped.try_acquire(2_MiB);
  std::vector<Bytes> order;
  const auto take = [&](Result<Lease> lease) { order.push_back(lease->bytes()); };
  std::optional<Lease> kept;
  capped.acquire_async(2_MiB, take);
  capped.acquire_async(1_MiB, take);
  low.acquire_async(3_MiB, [&](Result<Lease> lease) { kept = std::move(*lease); });
  EXPECT_TRUE(kept) << "what the first one waits for is not memory";
  EXPECT_TRUE(low.try_acquire(3_MiB));
  own->shrink_to(1_MiB);
  EXPECT_TRUE(order.empty()) << "the second of an account does not overtake the first";
  own.reset();
  EXPECT_EQ(order, (std::vector<Bytes>{2_MiB, 1_MiB}));
}

TEST(Budget, CallsThoseWhoStillWaitWhenItEnds) {
  auto budget = Budget::create(4_MiB);
  Account account = must_open(*budget, {"a", 1});
  std::optional<Lease> all = account.try_acquire(4_MiB);
  std::vector<Code> codes;
  const auto note = [&](const Result<Lease>& lease) {
    codes.push_back(lease ? Code::kInternal : lease.error().code());
  };
  account.acquire_async(1_MiB, [&](Result<Lease> lease) {
    note(lease);
    all.reset();                         // the last lease goes before the budget is gone,
    account.acquire_async(1_MiB, note);  // and nobody waits for what has ended
  });
  budget.reset();
  EXPECT_EQ(codes, (std::vector<Code>{Code::kCancelled, Code::kCancelled}));
  EXPECT_FALSE(account.try_acquire(1_B));
  EXPECT_EQ(account.acquire(1_B, {}).error().code(), Code::kCancelled);
}

TEST(Budget, ServesAnyNumberOfWaitersWithoutGrowingTheStack) {
  auto budget = Budget::create(1_MiB);
  Account account = must_open(*budget, {"a", 1});
  std::optional<Lease> all = account.try_acquire(1_MiB);
  size_t served = 0;
  constexpr size_t kWaiters = 200000;
  for (size_t i = 0; i < kWaiters; ++i)
    account.acquire_async(1_MiB, [&](Result<Lease> lease) { served += lease.has_value(); });
  all.reset();
  EXPECT_EQ(served, kWaiters) << "each gives back at once, which serves the next";
}

// Seconds where each return looked at all who wait, or each end at all before it.
TEST(Budget, EndsCheaplyWithManyLeasesAndWaiters) {
  constexpr size_t kMany = 200000;
  const auto begin = std::chrono::steady_clock::now();
  auto budget = Budget::create(Bytes(kMany + 10));
  Account floored = must_open(*budget, {"floored", 1, Bytes(10)});
  Account free = must_open(*budget, {"free", 2});
  std::vector<Lease> leases;
  for (size_t i = 0; i < kMany; ++i) leases.push_back(*free.try_acquire(1_B));
  std::optional<Lease> all = floored.try_acquire(10_B);
  size_t served = 0, ended = 0;
  for (size_t i = 0; i < kMany; ++i) {
    floored.acquire_async(10_B, [&](Result<Lease> lease) {
      lease ? ++served : ++ended;
    });
  }
  all.reset();
  EXPECT_EQ(served, kMany) << "each out of the floor";
  all = floored.try_acquire(10_B);
  for (size_t i = 0; i < kMany; ++i)
    floored.acquire_async(10_B, [&](Result<Lease> lease) { lease ? ++served : ++ended; });
  std::stop_source stop;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] { EXPECT_FALSE(floored.acquire(10_B, stop.get_token())); });
    }
    stop.request_stop();
  }
  budget->retire(free);
  leases.clear();
  budget->retire(floored);
  all.reset();
  EXPECT_EQ(served, 2 * kMany);
  budget.reset();
  EXPECT_EQ(ended, 0u);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
}

TEST(Budget, LendsOnlyFloorsWhileToldTo) {
  auto budget = Budget::create(10_MiB);
  Account account = must_open(*budget, {"a", 1, 2_MiB});
  budget->lend_floors_only(true);
  EXPECT_FALSE(account.try_acquire(3_MiB));
  EXPECT_TRUE(account.try_acquire(2_MiB));
  std::optional<Lease> got;
  account.acquire_async(3_MiB, [&](Result<Lease> lease) { got = std::move(*lease); });
  EXPECT_FALSE(got) << "it waits: the step will pass";
  budget->lend_floors_only(false);
  EXPECT_TRUE(got);
}

#ifdef SPILLWAY_FAULTS
// The grant falls between a waiter's stop and its leaving the queue: it has the bytes, they are not
// lost.
TEST(Budget, KeepsWhatIsGrantedToAWaiterThatIsBeingStopped) {
  auto budget = Budget::create(1_MiB);
  Account account = must_open(*budget, {"a", 1});
  std::optional<Lease> all = account.try_acquire(1_MiB);
  const sync_point::Hook hook(sync_point::index_of("budget.acquire.stopped"), [&] { all.reset(); });
  std::stop_source stop;
  stop.request_stop();
  auto lease = account.acquire(1_MiB, stop.get_token());
  ASSERT_TRUE(lease);
  EXPECT_EQ(budget->used(), 1_MiB);
  lease->release();
  EXPECT_EQ(budget->used(), Bytes(0));
}

TEST(Budget, SeesAStopThatComesJustBeforeItSleeps) {
  auto budget = Budget::create(1_MiB);
  Account account = must_open(*budget, {"a", 1});
  const std::optional<Lease> all = account.try_acquire(1_MiB);
  std::stop_source stop;
  const sync_point::Hook hook(sync_point::index_of("budget.acquire.waiting"),
                              [&] { stop.request_stop(); });
  const auto lease = account.acquire(1_MiB, stop.get_token());
  ASSERT_FALSE(lease);
  EXPECT_EQ(lease.error().code(), Code::kCancelled);
}
#endif

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

// A budget beside a plain model of it: any order of requests, returns and changes of the limit.
class Modelled {
 public:
  struct Owner {
    uint64_t floor, ceiling;
    int rank;
  };
  static constexpr uint64_t kCapacity = 200;
  static constexpr uint64_t kNone = ~uint64_t{0};

  Modelled() {
    for (size_t i = 0; i < owners_.size(); ++i) {
      const Owner& owner = owners_[i];
      accounts_.push_back(must_open(
          *budget_, {std::string(1, static_cast<char>('a' + i)), owner.rank, Bytes(owner.floor),
                     owner.ceiling == kNone ? std::nullopt : std::optional(Bytes(owner.ceiling))}));
    }
  }

  ~Modelled() {
    keeps_ = false;
    while (!leases_.empty()) leases_.pop_back();
  }

  void step(int what, size_t who, uint64_t size) {
    const size_t owner = who % owners_.size();
    switch (what % 8) {
      case 0:
      case 1:
        try_for(owner, size);
        break;
      case 2:
      case 3:
        wait_for(owner, size);
        break;
      case 4:
      case 5:
        if (!leases_.empty()) {
          const auto at = leases_.begin() + static_cast<ptrdiff_t>(size % leases_.size());
          const auto gone = std::move(*at);  // its bytes are free before a waiter is called
          leases_.erase(at);
          held_[gone.first] -= gone.second.bytes().count();
        }
        break;
      case 6:
        capacity_ = std::max<uint64_t>(size, floors());
        most_ = std::max(most_, capacity_);
        budget_->set_capacity(Bytes(capacity_));
        break;
      case 7:
        floors_only_ = size % 2 == 1;
        budget_->lend_floors_only(floors_only_);
        break;
    }
  }

  void check() const {
    RC_ASSERT(broken_ == "");
    RC_ASSERT(budget_->used() == Bytes(std::accumulate(held_.begin(), held_.end(), uint64_t{0})));
    for (size_t i = 0; i < owners_.size(); ++i) {
      RC_ASSERT(accounts_[i].used() == Bytes(held_[i]));
      RC_ASSERT(held_[i] <= owners_[i].ceiling);
    }
    // Nobody waits who can be served.
    const Request* first = nullptr;
    std::vector<bool> has_earlier(owners_.size(), false);
    for (const Request& request : requests_) {
      if (request.answered) continue;
      RC_ASSERT(request.bytes <= most_for(request.owner, most_));
      RC_ASSERT(held_[request.owner] + request.bytes > owners_[request.owner].floor);
      const bool behind_own = has_earlier[request.owner];
      has_earlier[request.owner] = true;
      if (behind_own || is_capped(request) || request.bytes > most_for(request.owner, capacity_))
        continue;
      if (first == nullptr || owners_[request.owner].rank > owners_[first->owner].rank)
        first = &request;
    }
    if (first != nullptr) RC_ASSERT(!fits(first->owner, first->bytes));
  }

  // Everything is given back as soon as it is had.
  void drain() {
    keeps_ = false;
    budget_->lend_floors_only(floors_only_ = false);
    budget_->set_capacity(Bytes(capacity_ = most_));
    while (!leases_.empty()) step(4, 0, 0);
    RC_ASSERT(broken_ == "");
    for (const Request& request : requests_) RC_ASSERT(request.answered);
    RC_ASSERT(budget_->used() == Bytes(0));
  }

 private:
  struct Request {
    size_t owner;
    uint64_t bytes;
    bool answered = false;
  };
  uint64_t floors() const {
    uint64_t total = 0;
    for (const Owner& owner : owners_) total += owner.floor;
    return total;
  }
  uint64_t most_for(size_t owner, uint64_t capacity) const {
    return std::min(owners_[owner].ceiling, capacity - floors() + owners_[owner].floor);
  }
  bool is_capped(const Request& request) const {
    return owners_[request.owner].ceiling != kNone &&
           held_[request.owner] + request.bytes > owners_[request.owner].ceiling;
  }
  // Whether everybody's floor can still be had once `owner` has `bytes` more.
  bool fits(size_t owner, uint64_t bytes) const {
    if (held_[owner] + bytes <= owners_[owner].floor) return true;
    uint64_t total = 0;
    for (size_t i = 0; i < owners_.size(); ++i)
      total += std::max(owners_[i].floor, held_[i] + (i == owner ? bytes : 0));
    return !floors_only_ && total <= capacity_;
  }
  // For what runs inside a callback, which may not throw: check() tells.
  void expect(bool holds, const char* otherwise) {
    if (!holds) broken_ = otherwise;
  }
  void keep(size_t owner, Lease lease) {
    const uint64_t bytes = lease.bytes().count();
    expect(bytes == 0 || fits(owner, bytes), "a grant past the limit");
    if (!keeps_) return;
    held_[owner] += bytes;
    leases_.emplace_back(owner, std::move(lease));
  }
  void try_for(size_t owner, uint64_t bytes) {
    // A waiter that this one sets free is called before it returns: count it before.
    held_[owner] += bytes;
    auto lease = accounts_[owner].try_acquire(Bytes(bytes));
    held_[owner] -= bytes;
    if (lease) keep(owner, std::move(*lease));
  }
  void wait_for(size_t owner, uint64_t bytes) {
    const size_t index = requests_.size();
    requests_.push_back({owner, bytes});
    accounts_[owner].acquire_async(Bytes(bytes), [this, index](Result<Lease> lease) {
      Request& request = requests_[index];
      expect(!request.answered, "a second answer");
      request.answered = true;
      if (lease) {
        keep(request.owner, std::move(*lease));
      } else {
        expect(lease.error().code() == Code::kTooLarge &&
                   request.bytes > most_for(request.owner, most_),
               "a refusal of what can be had");
      }
    });
  }

  const std::vector<Owner> owners_{
      {20, kNone, 1}, {30, 90, 2}, {0, kNone, 3}, {10, kNone, 2}, {0, 40, 9}};
  uint64_t capacity_ = kCapacity, most_ = kCapacity;
  bool floors_only_ = false, keeps_ = true;
  std::string broken_;
  std::vector<uint64_t> held_ = std::vector<uint64_t>(owners_.size(), 0);
  std::deque<Request> requests_;
  std::unique_ptr<Budget> budget_ = Budget::create(Bytes(kCapacity));
  std::vector<Account> accounts_;
  std::vector<std::pair<size_t, Lease>> leases_;
};

RC_GTEST_PROP(Budget, DoesWhatItsModelDoes, ()) {
  const auto byte = rc::gen::inRange(0, 256);
  const auto steps = *rc::gen::container<std::vector<std::tuple<int, int, int>>>(
      150, rc::gen::tuple(byte, byte, byte));
  Modelled modelled;
  for (const auto& [what, who, size] : steps) {
    modelled.step(what, static_cast<size_t>(who), static_cast<uint64_t>(size));
    modelled.check();
  }
  modelled.drain();
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

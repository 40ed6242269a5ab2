#include "core/flow/pipeline.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <chrono>
#include <cstdlib>
#include <future>
#include <numeric>

#include "core/flow/refused_threads.hpp"

namespace spillway {
namespace {

// read (1 MiB a unit) -> decode (2 MiB) -> write (2 MiB): the least that works is 5 MiB.
struct Floors {
  Bytes read, decode, write;
};
constexpr Floors kOneUnit{1_MiB, 2_MiB, 2_MiB};
constexpr Floors kNone{};

struct ThreeStages {
  ThreeStages(Bytes capacity, Floors floors, int count, std::stop_token stop, unsigned threads = 2)
      : budget(Budget::create(capacity)),
        read(*budget->open({"read", 1, floors.read})),
        decode(*budget->open({"decode", 2, floors.decode})),
        write(*budget->open({"write", 3, floors.write})),
        pipeline(std::move(stop)) {
    const ChannelOptions wide{1000, 1_GiB};  // the budget alone bounds what is in flight
    auto raw = pipeline.source<int>(
        {"read", wide}, [this, count](std::stop_token token) -> Result<std::optional<Unit<int>>> {
          if (made == count) return std::optional<Unit<int>>();
          Lease lease = TRY(read.acquire(1_MiB, token));
          return std::optional<Unit<int>>(Unit<int>{made++, std::move(lease)});
        });
    StageOptions<int> decoding{
        .name = "decode", .threads = threads, .account = decode, .out = wide};
    decoding.peak = [](const Unit<int>&) { return 2_MiB; };
    auto rows = pipeline.stage<int, int>(
        raw, decoding, [](Unit<int> unit, Lease lease, Emit<int>& emit) -> Result<void> {
          unit.lease.release();
          (void)emit(unit.value * 2, std::move(lease));
          return {};
        });
    StageOptions<int> writing{.name = "write", .account = write};
    writing.peak = [](const Unit<int>&) { return 2_MiB; };
    pipeline.sink<int>(rows, writing, [this](Unit<int> unit, Lease) -> Result<void> {
      written.push_back(unit.value);
      return {};
    });
  }
  std::unique_ptr<Budget> budget;
  Account read, decode, write;
  int made = 0;
  std::vector<int> written;
  Pipeline pipeline;
};

TEST(Pipeline, RunsToTheEndAtItsMinimum) {
  for (const Bytes capacity : {5_MiB, 6_MiB}) {
    ThreeStages run(capacity, kOneUnit, 3000, {});
    const auto result = run.pipeline.run();
    ASSERT_TRUE(result) << result.error().message();
    ASSERT_EQ(run.written.size(), 3000u);
    for (int i = 0; i < 3000; ++i) ASSERT_EQ(run.written[static_cast<size_t>(i)], 2 * i);
    EXPECT_LE(run.budget->peak(), capacity);
    EXPECT_EQ(run.budget->used(), Bytes(0));
  }
}

// The control: it shows that the test above can fail. Units fill the memory that later stages need.
TEST(Pipeline, HangsWithoutFloors) {
  std::stop_source stop;
  ThreeStages run(6_MiB, kNone, 3000, stop.get_token());
  auto result = std::async(std::launch::async, [&] { return run.pipeline.run(); });
  // The run above takes a few hundredths of a second.
  EXPECT_EQ(result.wait_for(std::chrono::seconds(2)), std::future_status::timeout);
  stop.request_stop();
  const auto stopped = result.get();
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code(), Code::kCancelled);
  EXPECT_LT(run.written.size(), 3000u);
  EXPECT_EQ(run.budget->used(), Bytes(0));  // leases unwound
}

RC_GTEST_PROP(Pipeline, KeepsTheOrderOfTheSourceWhateverTheThreads, ()) {
  const int count = *rc::gen::inRange(0, 300);
  const unsigned threads = *rc::gen::inRange(1u, 5u);
  ThreeStages run(Bytes(*rc::gen::inRange<uint64_t>(5, 20) << 20), kOneUnit, count, {}, threads);
  RC_ASSERT(run.pipeline.run().has_value());
  std::vector<int> want(static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) want[static_cast<size_t>(i)] = 2 * i;
  RC_ASSERT(run.written == want);
}

struct Fails {
  std::unique_ptr<Budget> budget = Budget::create(16_MiB);
  Account account = *budget->open({"work", 1, 1_MiB});
  uint64_t emitted = 0;

  // Emits `out` values a unit; the unit 50 runs `trouble`.
  Result<void> run(Order order, const std::function<Result<void>()>& trouble, unsigned out = 1) {
    Pipeline pipeline;
    int made = 0;
    auto raw = pipeline.source<int>(
        {"source"}, [&](std::stop_token token) -> Result<std::optional<Unit<int>>> {
          if (made == 1000) return std::optional<Unit<int>>();
          Lease lease = TRY(account.acquire(1_MiB, token));
          return std::optional<Unit<int>>(Unit<int>{made++, std::move(lease)});
        });
    auto worked =
        pipeline.stage<int, int>(raw, {.name = "trouble", .threads = 3, .order = order},
                                 [&](Unit<int> unit, Lease, Emit<int>& emit) -> Result<void> {
                                   if (unit.value == 50) TRY(trouble());
                                   for (unsigned i = 0; i < out; ++i) {
                                     if (!emit(unit.value, Lease())) return {};
                                   }
                                   return {};
                                 });
    pipeline.sink<int>(worked, {.name = "sink"}, [&](Unit<int>, Lease) -> Result<void> {
      ++emitted;
      return {};
    });
    return pipeline.run();
  }
};

TEST(Pipeline, TheFirstErrorStopsAllAndIsReturned) {
  for (const Order order : {Order::kAny, Order::kPreserve}) {
    Fails run;
    const auto result =
        run.run(order, []() -> Result<void> { return fail(Code::kInvalid, "row 50 is bad"); });
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code(), Code::kInvalid);
    EXPECT_EQ(run.budget->used(), Bytes(0));
    EXPECT_LT(run.emitted, 1000u);
  }
}

TEST(Pipeline, AnExceptionBecomesAnErrorThatNamesTheStage) {
  Fails run;
  const auto result = run.run(Order::kAny, []() -> Result<void> { throw std::bad_alloc(); });
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), Code::kInternal);
  EXPECT_NE(result.error().message().find("trouble"), std::string::npos);
}

TEST(Pipeline, AStageMayEmitNothingOrMuch) {
  for (const unsigned out : {0u, 1u, 40u}) {
    Fails run;
    ASSERT_TRUE(run.run(
        Order::kPreserve, []() -> Result<void> { return {}; }, out));
    EXPECT_EQ(run.emitted, 1000u * out);
  }
}

TEST(Pipeline, RefusesAUnitThatCanNeverFit) {
  ThreeStages run(5_MiB, kOneUnit, 1, {});
  Pipeline pipeline;
  bool made = false;
  auto raw =
      pipeline.source<int>({"source"}, [&](std::stop_token) -> Result<std::optional<Unit<int>>> {
        if (std::exchange(made, true)) return std::optional<Unit<int>>();
        return std::optional<Unit<int>>(Unit<int>{1, Lease()});
      });
  StageOptions<int> options{.name = "sink", .account = run.write};
  options.peak = [](const Unit<int>&) { return 1_GiB; };
  pipeline.sink<int>(raw, options, [](Unit<int>, Lease) -> Result<void> { return {}; });
  const auto result = pipeline.run();
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), Code::kTooLarge);
}

// A stage without threads would never close its channel, and the others wait for it.
TEST(PipelineDeathTest, EndsWhenTheSystemRefusesAThread) {
  const auto run = [] {
    ThreeStages stages(6_MiB, kOneUnit, 3000, {});
    refuse_threads();
    const auto result = stages.pipeline.run();
    std::_Exit(!result && result.error().code() == Code::kMemoryLimit ? 7 : 8);
  };
  EXPECT_EXIT(run(), testing::ExitedWithCode(7), "");
}

}  // namespace
}  // namespace spillway

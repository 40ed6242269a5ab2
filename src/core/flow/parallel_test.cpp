#include "core/flow/parallel.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>

#include "core/flow/refused_threads.hpp"
#include "core/flow/turn.hpp"

namespace spillway {
namespace {

TEST(Parallel, CallsEachIndexOnceAndTellsTheFirstError) {
  std::atomic<uint64_t> seen{0};
  ASSERT_TRUE(parallel(
      4,
      [&](unsigned index) -> Result<void> {
        seen |= uint64_t{1} << index;
        return {};
      },
      [] {}));
  EXPECT_EQ(seen, 0xFu);
  Turn turn;
  const auto failed = parallel(
      4,
      [&](unsigned index) -> Result<void> {
        if (index == 2) return fail(Code::kIo, "no");
        (void)turn.wait(1);  // whose time does not come
        return {};
      },
      [&] { turn.fail(); });
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().message(), "no");
}

TEST(ParallelDeathTest, EndsWhenTheSystemRefusesAThread) {
  const auto run = [] {
    refuse_threads();
    bool told = false;
    const auto result = parallel(
        3, [](unsigned) -> Result<void> { return {}; }, [&] { told = true; });
    std::_Exit(!result && told && result.error().code() == Code::kMemoryLimit ? 7 : 8);
  };
  EXPECT_EXIT(run(), testing::ExitedWithCode(7), "");
}

}  // namespace
}  // namespace spillway

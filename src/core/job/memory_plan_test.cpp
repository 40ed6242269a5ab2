#include "core/job/memory_plan.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace spillway {
namespace {

struct TwoParts {
  MemoryPlan memory;
};

std::optional<TwoParts> within(Bytes memory) {
  TwoParts plan;
  plan.memory.reserve(4_MiB, "code");
  plan.memory.account({"read", 1, 3_MiB}, "pages");
  plan.memory.account({"table", 2, 0_B, 1_MiB}, "when it fits");
  plan.memory.part("work", 2_MiB, "buffers");
  plan.memory.later("states", 100_MiB, "at the end");
  if (plan.memory.total() > memory) return std::nullopt;
  return plan;
}

TEST(MemoryPlan, RefusesWithTheLeastThatWorksPartByPart) {
  const auto refused = plan_or_refuse<TwoParts>(1_MiB, within);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Code::kMemoryLimit);
  EXPECT_EQ(refused.error().message(),
            "--memory 1 MiB is too small: needs at least 9 MiB: program 4 MiB, read 3 MiB, work 2 "
            "MiB, states 100 MiB");
  EXPECT_TRUE(plan_or_refuse<TwoParts>(9_MiB, within)) << "what it names must do";
  EXPECT_FALSE(plan_or_refuse<TwoParts>(9_MiB - 1_B, within));
}

TEST(MemoryPlan, OpensTheAccountsThatItNames) {
  const auto plan = within(16_MiB);
  const auto budget = Budget::create(16_MiB - plan->memory.reserve());
  auto read = plan->memory.open(*budget, "read");
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_EQ(read->floor(), 3_MiB);
  EXPECT_TRUE(plan->memory.has("table"));
  EXPECT_FALSE(plan->memory.has("tables"));
  EXPECT_EQ(plan->memory.open(*budget, "table")->ceiling(), 1_MiB);
}

TEST(MemoryPlan, ExplainsEveryPartTheLeastAndWhatIsShared) {
  JobOptions job{.memory = 16_MiB, .memory_source = "--memory", .threads = 1};
  const std::string text = explain_plan(job, 9_MiB, within(16_MiB)->memory, "the rest");
  EXPECT_THAT(text, ::testing::HasSubstr("memory         16 MiB  (--memory)\n"));
  EXPECT_THAT(text, ::testing::HasSubstr("least           9 MiB  for this job with 1 thread\n"));
  EXPECT_THAT(text, ::testing::HasSubstr("table             0 B  when it fits\n"));
  EXPECT_THAT(text, ::testing::HasSubstr("shared          7 MiB  the rest\n"));
}

}  // namespace
}  // namespace spillway

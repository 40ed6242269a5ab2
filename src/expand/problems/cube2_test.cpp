#include "expand/problems/cube2.hpp"

#include <gtest/gtest.h>

#include "expand/engine/search_oracle.hpp"

namespace spillway::expand {
namespace {

// The deeper layers are in tests/cli: 3,674,160 positions take too long here.
TEST(Cube2, HasTheKnownFirstLayersWithHalfTurns) {
  EXPECT_EQ(oracle_search("cube2", {"htm"}, 6).fresh(),
            (std::vector<uint64_t>{1, 9, 54, 321, 1847, 9992, 50136}));
}

TEST(Cube2, HasTheKnownFirstLayersWithQuarterTurns) {
  EXPECT_EQ(oracle_search("cube2", {"qtm"}, 7).fresh(),
            (std::vector<uint64_t>{1, 6, 27, 120, 534, 2256, 8969, 33058}));
}

TEST(Cube2, CanonicalFormsAreCornersAndTwists) {
  const auto problem = *make_cube2({"qtm"});
  std::array<uint8_t, 14> bytes;
  ASSERT_EQ(problem->canonical({.packed = 0, .bytes = {}}, bytes), 14u);
  EXPECT_EQ(bytes, (std::array<uint8_t, 14>{0, 1, 2, 3, 4, 5, 6, 0, 0, 0, 0, 0, 0, 0}));
  // The last permutation, the last twists: six of 2 each, and the seventh makes the sum divisible
  // by 3.
  ASSERT_EQ(problem->canonical({.packed = 5039u << 10 | 728u, .bytes = {}}, bytes), 14u);
  EXPECT_EQ(bytes, (std::array<uint8_t, 14>{6, 5, 4, 3, 2, 1, 0, 2, 2, 2, 2, 2, 2, 0}));
}

TEST(Cube2, RefusesOtherMetrics) {
  for (const ProblemArguments& words : std::vector<ProblemArguments>{{}, {"xtm"}, {"htm", "qtm"}}) {
    const auto problem = make_cube2(words);
    ASSERT_FALSE(problem.has_value());
    EXPECT_EQ(problem.error().code(), Code::kUsage);
  }
}

}  // namespace
}  // namespace spillway::expand

#include "expand/problems/hanoi.hpp"

#include <gtest/gtest.h>

#include "expand/engine/search_oracle.hpp"

namespace spillway::expand {
namespace {

TEST(Hanoi, HasTheKnownLayersOfFourPegsFourDiscs) {
  EXPECT_EQ(oracle_search("hanoi", {"--pegs", "4", "--discs", "4"}).fresh(),
            (std::vector<uint64_t>{1, 3, 6, 12, 30, 30, 66, 72, 30, 6}));
}

TEST(Hanoi, MeetsAllStatesAtTheKnownDepths) {
  constexpr std::array<size_t, 7> kDepths = {1, 3, 5, 9, 13, 17, 25};
  for (size_t discs = 1; discs <= kDepths.size(); ++discs) {
    const OracleResult found =
        oracle_search("hanoi", {"--pegs", "4", "--discs", std::to_string(discs)});
    EXPECT_EQ(found.states, uint64_t{1} << (2 * discs));
    EXPECT_EQ(found.layers.size(), kDepths[discs - 1] + 1) << discs << " discs";
  }
}

TEST(Hanoi, ThreePegsTakeAllStatesToo) {
  const OracleResult found = oracle_search("hanoi", {"--pegs=3", "--discs=7"});
  EXPECT_EQ(found.states, 2187u);
  EXPECT_EQ(found.layers.size(), 128u);  // 2^7 - 1 moves and the start
}

TEST(Hanoi, RefusesOtherNumbers) {
  const std::vector<ProblemArguments> wrong = {{},
                                               {"--pegs", "4"},
                                               {"--discs", "4"},
                                               {"--pegs", "1", "--discs", "3"},
                                               {"--pegs", "17", "--discs", "3"},
                                               {"--pegs", "4", "--discs", "33"},
                                               {"--pegs", "4", "--discs", "0"},
                                               {"--pegs", "5", "--discs", "22"},
                                               {"--pegs", "4", "--discs", "3", "more"}};
  for (const ProblemArguments& words : wrong) {
    const auto problem = make_hanoi(words);
    ASSERT_FALSE(problem.has_value());
    EXPECT_EQ(problem.error().code(), Code::kUsage);
  }
}

}  // namespace
}  // namespace spillway::expand

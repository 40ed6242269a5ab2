#include "expand/problems/pancake.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>

#include "expand/engine/search_oracle.hpp"

namespace spillway::expand {
namespace {

TEST(Pancake, HasTheKnownLayersOfEight) {
  const OracleResult found = oracle_search("pancake", {"8"});
  EXPECT_EQ(found.fresh(),
            (std::vector<uint64_t>{1, 7, 42, 251, 1191, 4281, 10561, 15011, 8520, 455}));
  EXPECT_EQ(found.generated, 40320u * 7);
}

RC_GTEST_PROP(PancakeRules, FlipsLikeANaiveReversal, ()) {
  const auto count = *rc::gen::inRange(2u, 17u);
  std::vector<uint8_t> stack;
  for (unsigned i = 0; i < count; ++i) stack.push_back(*rc::gen::inRange<uint8_t>(0, 16));
  const auto pack = [](const std::vector<uint8_t>& cells) {
    uint64_t word = 0;
    for (size_t i = 0; i < cells.size(); ++i) word |= uint64_t{cells[i]} << (4 * i);
    return word;
  };
  std::vector<uint64_t> expected, found;
  for (unsigned k = 2; k <= count; ++k) {
    std::vector<uint8_t> flipped = stack;
    std::reverse(flipped.begin(), flipped.begin() + k);
    expected.push_back(pack(flipped));
  }
  PancakeRules(count).successors(pack(stack), [&found](uint64_t state) { found.push_back(state); });
  RC_ASSERT(found == expected);
}

TEST(Pancake, StopsAtTheLastParentWithRoom) {
  const auto problem = *make_pancake({"5"});
  const auto expander = *problem->expander();
  const std::vector<uint64_t> parents(3, 0x43210);
  std::vector<uint64_t> room(9);  // two parents need 8, three 12
  std::vector<uint32_t> parent_ends(3);
  Successors out(StateForm::kPacked, room, {}, {}, parent_ends);
  EXPECT_EQ(*expander->expand({.packed = parents, .data = nullptr, .ends = {}}, 0, out), 2u);
  EXPECT_EQ(out.count(), 8u);
}

TEST(Pancake, CanonicalFormIsOneByteAPancakeFromTheTop) {
  const auto problem = *make_pancake({"4"});
  std::array<uint8_t, 16> bytes;
  ASSERT_EQ(problem->canonical({.packed = 0x3201, .bytes = {}}, bytes), 4u);
  EXPECT_EQ(std::vector<uint8_t>(bytes.begin(), bytes.begin() + 4),
            (std::vector<uint8_t>{1, 0, 2, 3}));
}

TEST(Pancake, RefusesOtherSizes) {
  const std::vector<ProblemArguments> wrong = {{},     {"1"},  {"17"},    {"eight"},
                                               {"8x"}, {"-8"}, {"8", "9"}};
  for (const ProblemArguments& words : wrong) {
    const auto problem = make_pancake(words);
    ASSERT_FALSE(problem.has_value());
    EXPECT_EQ(problem.error().code(), Code::kUsage);
  }
}

}  // namespace
}  // namespace spillway::expand

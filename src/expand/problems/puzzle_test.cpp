#include "expand/problems/puzzle.hpp"

#include <gtest/gtest.h>

#include "expand/engine/search_oracle.hpp"

namespace spillway::expand {
namespace {

TEST(Puzzle, HasTheKnownLayersOfThe8Puzzle) {
  const OracleResult found = oracle_search("puzzle", {"3x3"});
  EXPECT_EQ(found.fresh(),
            (std::vector<uint64_t>{1,     2,     4,     8,     16,    20,    39,    62,
                                   116,   152,   286,   396,   748,   1024,  1893,  2512,
                                   4485,  5638,  9529,  10878, 16993, 17110, 23952, 20224,
                                   24047, 15578, 14560, 6274,  3910,  760,   221,   2}));
}

TEST(Puzzle, HasTheKnownLayersOf2x3) {
  EXPECT_EQ(oracle_search("puzzle", {"2x3"}).fresh(),
            (std::vector<uint64_t>{1,  2,  3,  5,  6,  7,  10, 12, 12, 16, 23,
                                   25, 28, 39, 44, 40, 29, 21, 18, 12, 6,  1}));
}

TEST(Puzzle, EveryCornerGivesTheSameLayers) {
  const OracleResult first = oracle_search("puzzle", {"2x3"});
  for (const char* blank : {"0,2", "1,0", "1,2"}) {
    EXPECT_EQ(oracle_search("puzzle", {"2x3", "--blank", blank}).fresh(), first.fresh());
  }
  EXPECT_NE(oracle_search("puzzle", {"2x3", "--blank", "0,1"}).fresh(), first.fresh());
}

std::vector<std::vector<uint8_t>> boards_after_start(const ProblemArguments& words) {
  const auto problem = *make_puzzle(words);
  const auto start = *problem->initial();
  const auto expander = *problem->expander();
  const StateForm form = problem->traits().form;
  uint64_t packed = 0;
  StateBlock block;
  const std::vector<uint32_t> ends = {static_cast<uint32_t>(start[0].size())};
  if (form == StateForm::kPacked) {
    std::memcpy(&packed, start[0].data(), sizeof packed);
    block.packed = {&packed, 1};
  } else {
    block.data = start[0].data();
    block.ends = ends;
  }
  std::vector<uint64_t> packed_room(8);
  std::vector<uint8_t> byte_room(256);
  std::vector<uint32_t> end_room(8), parent_ends(1);
  Successors out(form, packed_room, byte_room, end_room, parent_ends);
  EXPECT_EQ(*expander->expand(block, 0, out), 1u);
  std::vector<std::vector<uint8_t>> boards;
  for (uint32_t i = 0; i < out.count(); ++i) {
    std::vector<uint8_t> board(problem->canonical_size());
    board.resize(problem->canonical(out[i], board));
    boards.push_back(board);
  }
  return boards;
}

TEST(Puzzle, TheBlankMovesUpDownLeftRight) {
  EXPECT_EQ(boards_after_start({"3x3", "--blank", "1,1"}),
            (std::vector<std::vector<uint8_t>>{{1, 0, 3, 4, 2, 5, 6, 7, 8},
                                               {1, 2, 3, 4, 7, 5, 6, 0, 8},
                                               {1, 2, 3, 0, 4, 5, 6, 7, 8},
                                               {1, 2, 3, 4, 5, 0, 6, 7, 8}}));
}

TEST(Puzzle, BoardsOfMoreThan16CellsMoveTheSameWay) {
  const auto boards = boards_after_start({"2x9"});
  ASSERT_EQ(boards.size(), 2u);
  EXPECT_EQ(boards[0],
            (std::vector<uint8_t>{9, 1, 2, 3, 4, 5, 6, 7, 8, 0, 10, 11, 12, 13, 14, 15, 16, 17}));
  EXPECT_EQ(boards[1],
            (std::vector<uint8_t>{1, 0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17}));
}

// The first layers depend only on the corner's surroundings, not on the form of the states.
TEST(Puzzle, PackedAndByteBoardsAgreeNearTheCorner) {
  EXPECT_EQ(oracle_search("puzzle", {"4x4"}, 3).fresh(),
            oracle_search("puzzle", {"5x5"}, 3).fresh());
}

TEST(Puzzle, RefusesOtherWords) {
  const std::vector<ProblemArguments> wrong = {{},
                                               {"3by3"},
                                               {"99x99"},
                                               {"6x5"},
                                               {"1x1"},
                                               {"0x4"},
                                               {"3x"},
                                               {"3x3", "--blank", "3,0"},
                                               {"3x3", "--blank", "1"},
                                               {"3x3", "--blank"},
                                               {"3x3", "4x4"},
                                               {"3x3", "--hole", "0,0"}};
  for (const ProblemArguments& words : wrong) {
    const auto problem = make_puzzle(words);
    ASSERT_FALSE(problem.has_value());
    EXPECT_EQ(problem.error().code(), Code::kUsage);
  }
}

}  // namespace
}  // namespace spillway::expand

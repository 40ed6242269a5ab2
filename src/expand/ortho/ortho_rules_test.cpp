#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "expand/ortho/ortho_oracle.hpp"
#include "expand/ortho/siphash13.hpp"

namespace spillway::expand::ortho {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
constexpr uint32_t E = kEmptyCell;
constexpr auto kCurrent = OrthoRules::kCurrent;
constexpr auto kClassic = OrthoRules::kClassic;

Ortho add_all(std::initializer_list<uint32_t> words, OrthoRules rules) {
  Ortho ortho = first_ortho();
  for (const uint32_t word : words) ortho = add(ortho, word, rules).front();
  return ortho;
}

TEST(OrthoRules, OrdersCellsByShell) {
  const Shape shape({3, 3});
  const std::vector<Cell> expected = {{0, 0}, {0, 1}, {1, 0}, {0, 2}, {1, 1},
                                      {2, 0}, {1, 2}, {2, 1}, {2, 2}};
  for (uint32_t i = 0; i < 9; ++i) EXPECT_EQ(shape.cell(i), expected[i]);
}

TEST(OrthoRules, RequiresTheCellsBeforeOnEachLine) {
  const Shape square({2, 2});
  EXPECT_THAT(square.required(0), IsEmpty());
  EXPECT_THAT(square.required(3), ElementsAre(ElementsAre(1), ElementsAre(2)));
}

TEST(OrthoRules, ForbidsTheShellBefore) {
  const Shape square({2, 2});
  EXPECT_THAT(square.forbidden(0, kCurrent, {}), IsEmpty());
  EXPECT_THAT(square.forbidden(1, kCurrent, {}), IsEmpty());
  EXPECT_THAT(square.forbidden(2, kCurrent, {}), ElementsAre(1));
  EXPECT_THAT(square.forbidden(3, kCurrent, {}), IsEmpty());
  const Shape nine({3, 3});
  EXPECT_THAT(nine.forbidden(4, kCurrent, {}), ElementsAre(3));
  EXPECT_THAT(nine.forbidden(5, kCurrent, {}), ElementsAre(3, 4));
  EXPECT_THAT(nine.forbidden(6, kCurrent, {}), IsEmpty());
}

TEST(OrthoRules, CurrentForbidsWhatTheParentFilledLaterInTheShell) {
  const Shape wide({2, 3});  // 00 01 10 02 11 12; [2,2] filled 00 01 10 11
  EXPECT_THAT(wide.forbidden(3, kCurrent, {}), ElementsAre(4));
  EXPECT_THAT(wide.forbidden(3, kClassic, {}), IsEmpty());
  const Shape cube({2, 2, 2});  // 000 001 010 100 011 101 110 111; up on axis 2 filled 0xx
  EXPECT_THAT(cube.forbidden(3, kCurrent, 2), ElementsAre(1, 2));
  EXPECT_THAT(cube.forbidden(1, kCurrent, 0), ElementsAre(2, 3));
}

TEST(OrthoRules, MapsOldCellsIntoTheGrownBox) {
  const Shape square({2, 2});
  EXPECT_THAT(map_over(square, Shape({3, 2})), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(map_over(square, Shape({2, 3})), ElementsAre(0, 1, 2, 4));
  EXPECT_THAT(map_up(square, Shape({2, 2, 2}), 0), ElementsAre(0, 2, 3, 6));
}

TEST(OrthoRules, GrowsByTheShapesOfItsRuleSet) {
  using Shapes = std::vector<Dims>;
  EXPECT_EQ(over_shapes({2, 2}, kCurrent), (Shapes{{2, 3}}));
  EXPECT_EQ(over_shapes({2, 3}, kCurrent), (Shapes{{3, 3}, {2, 4}}));
  EXPECT_EQ(over_shapes({2, 2}, kClassic), (Shapes{{3, 2}}));
  EXPECT_EQ(over_shapes({3, 2}, kClassic), (Shapes{{4, 2}, {3, 3}}));
}

TEST(OrthoRules, InsertsTheAxisByTheOrderOfTheFirstShell) {
  const Ortho two{{2, 2}, {0, 15, E, E}, {}};
  EXPECT_EQ(insert_axis(two, 14), 0u);
  EXPECT_EQ(insert_axis(two, 20), 1u);
  const Ortho three{{2, 2}, {0, 10, 20, E}, {}};
  EXPECT_EQ(insert_axis(three, 5), 0u);
  EXPECT_EQ(insert_axis(three, 15), 1u);
  EXPECT_EQ(insert_axis(three, 1000), 2u);
  EXPECT_EQ(insert_axis(first_ortho(), 5), 0u);
}

TEST(OrthoRules, SortsTheTwoAxesOfASquare) {
  const Ortho expected{{2, 2}, {1, 2, 3, E}, {}};
  for (const auto rules : {kCurrent, kClassic}) {
    EXPECT_EQ(add_all({1, 3, 2}, rules), expected);
    EXPECT_EQ(add_all({1, 2, 3}, rules), expected);
  }
}

TEST(OrthoRules, ACompletedSquareGrowsOverThenUp) {
  const Ortho full{{2, 2}, {1, 2, 3, E}, {}};
  EXPECT_THAT(add(full, 4, kCurrent), ElementsAre(Ortho{{2, 3}, {1, 2, 3, E, 4, E}, {}},
                                                  Ortho{{2, 2, 2}, {1, 2, 3, E, 4, E, E, E}, 2}));
  EXPECT_THAT(add(full, 4, kClassic), ElementsAre(Ortho{{3, 2}, {1, 2, 3, 4, E, E}, {}},
                                                  Ortho{{2, 2, 2}, {1, 2, 3, 4, E, E, E, E}, {}}));
}

TEST(OrthoRules, FillsTheHoleBeforeItGrows) {
  const Ortho hole{{2, 2}, {10, E, 20, 30}, {}};
  EXPECT_THAT(add(hole, 15, kCurrent),
              ElementsAre(Ortho{{2, 3}, {10, 15, 20, E, 30, E}, {}},
                          Ortho{{2, 2, 2}, {10, E, 15, 20, E, E, 30, E}, 0}));
}

TEST(OrthoRules, DrawsRowsAndSlices) {
  const std::vector<std::string> words = {"a", "b", "c", "d", "élan vital"};
  EXPECT_EQ(draw({{2, 2}, {0, 1, 2, 3}, {}}, words), "   a    b\n   c    d");
  EXPECT_EQ(draw({{2, 3}, {0, 1, 2, E, 3, E}, {}}, words), "   a    b    ·\n   c    d    ·");
  EXPECT_EQ(draw({{2, 2, 2}, {0, 1, 2, E, 3, E, E, E}, 2}, words),
            "[0, *, *]\n   a    b\n   c    d\n\n[1, *, *]\n   ·    ·\n   ·    ·");
  EXPECT_EQ(draw({{2, 2}, {4, 1, E, E}, {}}, words),
            " élan vital           b\n          ·           ·");
}

TEST(OrthoRules, IdsAreThePublishedOnes) {
  EXPECT_EQ(ortho_id({{2, 2}, {0, 1, E, E}, {}}, kCurrent), 9025308801283370351u);
  EXPECT_EQ(ortho_id({{2, 3}, {0, 1, 2, E, 3, E}, {}}, kCurrent), 5670357403030002192u);
  EXPECT_EQ(ortho_id({{3, 2}, {0, 1, 2, 3, E, E}, {}}, kClassic), 8011539456053979638u);
  EXPECT_EQ(ortho_id({{2, 2}, {0, E, E, E}, {}}, kClassic), 138013414843172964u);
}

}  // namespace
}  // namespace spillway::expand::ortho

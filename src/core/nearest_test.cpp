#include "core/nearest.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace spillway {
namespace {

const std::vector<std::string> kOptions{"--memory", "--threads", "--scratch", "--scratch-limit"};

TEST(Nearest, FindsWhatALetterTooManyTooFewOrWrongMeant) {
  EXPECT_EQ(nearest("--memroy", kOptions), "--memory");
  EXPECT_EQ(nearest("--theads", kOptions), "--threads");
  EXPECT_EQ(nearest("--threadss", kOptions), "--threads");
  EXPECT_EQ(nearest("--scratch-limot", kOptions), "--scratch-limit");
}

TEST(Nearest, PrefersTheNearestAndThenTheFirst) {
  EXPECT_EQ(nearest("--scratc", kOptions), "--scratch");
  const std::vector<std::string> tied{"bat", "cat"};
  EXPECT_EQ(nearest("at", tied), "bat");
}

TEST(Nearest, HasNothingForAWordThatIsFarFromAll) {
  EXPECT_EQ(nearest("zebra", kOptions), "");
  EXPECT_EQ(nearest("--completely-different", kOptions), "");
  EXPECT_EQ(nearest("", std::vector<std::string>{"pipe"}), "");
  EXPECT_EQ(nearest("pipe", {}), "");
  EXPECT_EQ(nearest("", {}), "");
}

TEST(Nearest, AllowsTwoEditsInAShortWordAndAThirdOfALongOne) {
  const std::vector<std::string> words{"abcdefghi"};
  EXPECT_EQ(nearest("xxxdefghi", words), "abcdefghi");
  EXPECT_EQ(nearest("xxxxefghi", words), "");
  const std::vector<std::string> small{"pipe"};
  EXPECT_EQ(nearest("pip", small), "pipe");
  EXPECT_EQ(nearest("pxxe", small), "pipe");
  EXPECT_EQ(nearest("xx", std::vector<std::string>{"ab"}), "");
  EXPECT_EQ(nearest("p", small), "");
}

TEST(Nearest, StopsReadingAVeryLongWord) {
  EXPECT_EQ(nearest(std::string(1000000, 'x'), kOptions), "");
}

}  // namespace
}  // namespace spillway

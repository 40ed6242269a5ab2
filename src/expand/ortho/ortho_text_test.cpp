#include "expand/ortho/ortho_text.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace spillway::expand::ortho {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<Sentence> split(std::string_view text, OrthoRules rules = OrthoRules::kCurrent) {
  auto sentences = split_sentences(text, rules, "text");
  EXPECT_TRUE(sentences) << sentences.error().message();
  return sentences ? *std::move(sentences) : std::vector<Sentence>{};
}

PhraseIndex index_of(std::string_view text, PhraseIndex::Options options = {}) {
  const auto sentences = split(text);
  auto index = PhraseIndex::make(sentences, vocabulary(sentences), options);
  EXPECT_TRUE(index) << index.error().message();
  return *std::move(index);
}

TEST(OrthoText, TheVocabularyIsSortedAndLowercase) {
  EXPECT_THAT(vocabulary(split("Hello WORLD Rust MiXeD CaSe")),
              ElementsAre("case", "hello", "mixed", "rust", "world"));
}

TEST(OrthoText, OnlyCurrentRulesSplitAtCommas) {
  const std::string_view text = "hello, world! it's working.";
  EXPECT_THAT(phrases(split(text)), ElementsAre(ElementsAre("it's", "working")));
  EXPECT_THAT(phrases(split(text, OrthoRules::kClassic)),
              ElementsAre(ElementsAre("hello", "world"), ElementsAre("it's", "working")));
}

TEST(OrthoText, ASentenceEndsAtABlankLineAndNotAtANewlineOrColon) {
  EXPECT_THAT(split("a\nb: c\n\nd?e;f!g"),
              ElementsAre(ElementsAre("a", "b", "c"), ElementsAre("d"), ElementsAre("e"),
                          ElementsAre("f"), ElementsAre("g")));
}

TEST(OrthoText, OtherCharactersSeparateWords) {
  EXPECT_THAT(split("one-two 3three_four\u00a0five"),
              ElementsAre(ElementsAre("one", "two", "three", "four", "five")));
}

TEST(OrthoText, LettersOfOtherScriptsAreLowercased) {
  EXPECT_THAT(split("ÉTÉ Ж Ⅷ 漢字"), ElementsAre(ElementsAre("été", "ж", "ⅷ", "漢字")));
}

TEST(OrthoText, TextWithoutWordsHasNoSentences) {
  EXPECT_THAT(split(""), ElementsAre());
  EXPECT_THAT(split(" .,; 123 \n\n - "), ElementsAre());
}

TEST(OrthoText, NamesTheByteThatIsNotUtf8) {
  for (const std::string bad : {"abc\xff", "abc\xc3", "abc\xed\xa0\x80", "abc\xc0\xaf"}) {
    const auto sentences = split_sentences(bad, OrthoRules::kCurrent, "f.txt");
    ASSERT_FALSE(sentences);
    EXPECT_EQ(sentences.error().code(), Code::kInvalid);
    EXPECT_THAT(sentences.error().message(), HasSubstr("f.txt: not UTF-8 at byte 3"));
  }
}

TEST(PhraseIndex, CompletesEveryPhrasePrefix) {
  for (const size_t dense_bytes : {size_t{1} << 20, size_t{0}}) {
    const PhraseIndex index = index_of("a b c. a c", {.dense_bytes = dense_bytes});
    EXPECT_EQ(index.is_dense(), dense_bytes > 0);
    EXPECT_EQ(index.longest_phrase(), 3u);
    const auto completions = [&](std::initializer_list<uint32_t> prefix) {
      const auto list = index.completions(index.find(std::vector<uint32_t>(prefix)));
      return std::vector<uint32_t>(list.begin(), list.end());
    };
    EXPECT_THAT(completions({0}), ElementsAre(1, 2));
    EXPECT_THAT(completions({1}), ElementsAre(2));
    EXPECT_THAT(completions({2}), ElementsAre());
    EXPECT_THAT(completions({0, 1}), ElementsAre(2));
    EXPECT_THAT(completions({0, 2}), ElementsAre());
    EXPECT_EQ(index.find(std::vector<uint32_t>{2, 0}), PhraseIndex::kNone);
  }
}

TEST(PhraseIndex, FingerprintIgnoresTheOrderOfSentences) {
  const auto fingerprint = [](std::string_view text) {
    const auto sentences = split(text);
    const auto words = vocabulary(sentences);
    return PhraseIndex::make(sentences, words)->fingerprint(words);
  };
  EXPECT_EQ(fingerprint("a b c. d a"), fingerprint("d a. a b c. a b"));
  EXPECT_NE(fingerprint("a b c. d a"), fingerprint("a b. b c. d a"));
}

TEST(PhraseIndex, RefusesMorePhrasesThanItsLimit) {
  std::string text;
  for (uint32_t i = 0; i < 1600; ++i) {
    text += static_cast<char>('a' + i % 26);
    text += static_cast<char>('a' + i / 26 % 26);
    text += static_cast<char>('a' + i / 676);
    text += ' ';
  }
  const auto sentences = split(text);
  const auto index = PhraseIndex::make(sentences, vocabulary(sentences));
  ASSERT_FALSE(index);
  EXPECT_EQ(index.error().code(), Code::kTooLarge);
}

}  // namespace
}  // namespace spillway::expand::ortho

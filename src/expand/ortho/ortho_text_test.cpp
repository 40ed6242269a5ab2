#include "expand/ortho/ortho_text.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "expand/ortho/ortho_sentences.hpp"

namespace spillway::expand::ortho {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<Sentence> split(std::string_view text, OrthoRules rules = OrthoRules::kCurrent) {
  auto sentences = split_sentences(text, rules, "text");
  EXPECT_TRUE(sentences) << sentences.error().message();
  return sentences ? *std::move(sentences) : std::vector<Sentence>{};
}

PhraseIndex index_of(std::string_view text, size_t dense_bytes = 1 << 20) {
  auto made = phrases_of(split(text), dense_bytes);
  EXPECT_TRUE(made) << made.error().message();
  return std::move(made->index);
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
    const PhraseIndex index = index_of("a b c. a c", dense_bytes);
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
    const auto made = phrases_of(split(text));
    return made->index.fingerprint(made->words);
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
  const auto index = phrases_of(split(text));
  ASSERT_FALSE(index);
  EXPECT_EQ(index.error().code(), Code::kTooLarge);
}

TEST(PhraseIndex, HoldsExactlyThePhrasesOfRandomSentences) {
  uint32_t random = 12345;
  const auto draw = [&](uint32_t below) {
    random = random * 1664525 + 1013904223;
    return (random >> 8) % below;
  };
  for (int round = 0; round < 200; ++round) {
    std::vector<Sentence> sentences(1 + draw(4));
    for (Sentence& sentence : sentences) {
      for (uint32_t i = 0, size = 1 + draw(12); i < size; ++i)
        sentence.push_back(std::string(1, static_cast<char>('a' + draw(3))));
    }
    const auto made = phrases_of(sentences);
    ASSERT_TRUE(made);
    EXPECT_EQ(made->words, vocabulary(sentences));
    auto all = phrases(sentences);
    std::sort(all.begin(), all.end());
    all.erase(std::unique(all.begin(), all.end()), all.end());
    EXPECT_EQ(made->index.node_count(), all.size() + made->words.size());
    for (const Sentence& phrase : all) {
      std::vector<uint32_t> ids;
      for (const std::string& word : phrase)
        ids.push_back(static_cast<uint32_t>(
            std::lower_bound(made->words.begin(), made->words.end(), word) - made->words.begin()));
      EXPECT_NE(made->index.find(ids), PhraseIndex::kNone);
    }
  }
}

TEST(PhraseIndex, ALongSentenceOfEqualWordsIsReadInLinearTime) {
  std::string text;
  for (int i = 0; i < 200000; ++i) text += "a ";
  const PhraseIndex index = index_of(text);
  EXPECT_EQ(index.node_count(), 200000u);
  EXPECT_EQ(index.longest_phrase(), 200000u);
}

TEST(PhraseIndex, KeepsToItsMemory) {
  std::string text;
  for (int i = 0; i < 5000; ++i) text += static_cast<char>('a' + i * i % 7), text += ' ';
  const auto index = phrases_of(split(text), 0, 256_KiB);
  ASSERT_FALSE(index);
  EXPECT_EQ(index.error().code(), Code::kMemoryLimit);
}

TEST(OrthoText, LinesMayEndAsOnWindows) {
  EXPECT_THAT(split("\xEF\xBB\xBF"
                    "a\r\nb\r\n\r\nc\r\n"),
              ElementsAre(ElementsAre("a", "b"), ElementsAre("c")));
}

TEST(OrthoText, AWordHasALimit) {
  const auto sentences =
      split_sentences(std::string(70000, 'a'), OrthoRules::kCurrent, "f.txt", 4096);
  ASSERT_FALSE(sentences);
  EXPECT_THAT(sentences.error().message(), HasSubstr("f.txt: a word of more than 64 KiB"));
}

}  // namespace
}  // namespace spillway::expand::ortho

// Test only: whole sentences, and the phrases and words of them, by the rules' own words.
#pragma once

#include <algorithm>

#include "expand/ortho/ortho_text.hpp"

namespace spillway::expand::ortho {

using Sentence = std::vector<std::string>;

// The text in pieces of `piece` bytes.
inline Result<std::vector<Sentence>> split_sentences(std::string_view text, OrthoRules rules,
                                                     std::string_view name, size_t piece = 7) {
  class Gather final : public WordSink {
   public:
    Result<void> word(std::string_view word) override {
      sentence_.emplace_back(word);
      return {};
    }
    void end_sentence() override { sentences.push_back(std::exchange(sentence_, {})); }
    std::vector<Sentence> sentences;

   private:
    Sentence sentence_;
  } gather;
  SentenceReader reader(rules, std::string(name), gather);
  for (; !text.empty(); text.remove_prefix(std::min(piece, text.size()))) {
    const std::string_view part = text.substr(0, piece);
    TRY(reader.feed({reinterpret_cast<const uint8_t*>(part.data()), part.size()}));
  }
  TRY(reader.finish());
  return std::move(gather.sentences);
}

// The different words of all sentences, ascending by their UTF-8 bytes.
inline std::vector<std::string> vocabulary(std::span<const Sentence> sentences) {
  std::vector<std::string> words;
  for (const Sentence& sentence : sentences)
    words.insert(words.end(), sentence.begin(), sentence.end());
  std::sort(words.begin(), words.end());
  words.erase(std::unique(words.begin(), words.end()), words.end());
  return words;
}

// Every contiguous part of every sentence, of two words or more, in order of sentence, start, length.
inline std::vector<Sentence> phrases(std::span<const Sentence> sentences) {
  std::vector<Sentence> all;
  for (const Sentence& sentence : sentences) {
    for (size_t begin = 0; begin < sentence.size(); ++begin) {
      for (size_t end = begin + 2; end <= sentence.size(); ++end) {
        all.emplace_back(sentence.begin() + static_cast<ptrdiff_t>(begin),
                         sentence.begin() + static_cast<ptrdiff_t>(end));
      }
    }
  }
  return all;
}

inline Result<PhraseBuilder::Phrases> phrases_of(std::span<const Sentence> sentences,
                                                 size_t dense_bytes = 8u << 20,
                                                 Bytes limit = 1_GiB) {
  PhraseBuilder builder(limit);
  for (const Sentence& sentence : sentences) {
    for (const std::string& word : sentence) TRY(builder.word(word));
    builder.end_sentence();
  }
  return std::move(builder).finish(dense_bytes);
}

}  // namespace spillway::expand::ortho

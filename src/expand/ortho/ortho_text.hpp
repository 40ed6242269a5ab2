// Text -> sentences -> the words that may follow a phrase: the input of the ortho problem.
//
// A sentence ends at a blank line ("\n\n", also with a \r before each \n) and at . ? ; ! (current
// rules: also ,). In it, everything that is not alphabetic, white space or ' separates words like a
// space; words are lowercased. Alphabetic means the Unicode categories L* and Nl and the circled and
// squared Latin letters; lowercase is Unicode's, one character to one.
//
// Memory   A text is read in pieces and not kept. The phrases take about 40 B each while they are
//          gathered and 16 B later, counted before they grow; look-up tables at most dense_bytes each.
// Cost     Linear in the text and the number of different phrases, however long a sentence is.
// Threads  PhraseIndex is immutable after it is made.
// Fails    kInvalid: not UTF-8 (names the file and the byte offset); kTooLarge: above a limit,
//          which the message names; kMemoryLimit.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/bytes.hpp"
#include "core/result.hpp"
#include "expand/problem/tables.hpp"

namespace spillway::expand::ortho {

enum class OrthoRules { kCurrent, kClassic };

inline constexpr Bytes kMaxOrthoText = 16_MiB;          // all files together
inline constexpr uint32_t kMaxOrthoPhrases = 1u << 20;  // different phrases, single words included
inline constexpr Bytes kMaxOrthoWord = 64_KiB;

// Gets the words of a text, sentence by sentence.
class WordSink {
 public:
  virtual ~WordSink() = default;
  [[nodiscard]] virtual Result<void> word(std::string_view word) = 0;
  virtual void end_sentence() = 0;  // of one word or more
};

// Takes one text apart, in pieces of any size.
class SentenceReader {
 public:
  // `name` is what errors call the text.
  SentenceReader(OrthoRules rules, std::string name, WordSink& sink)
      : rules_(rules), name_(std::move(name)), sink_(sink) {}
  [[nodiscard]] Result<void> feed(std::span<const uint8_t> piece);
  [[nodiscard]] Result<void> finish();

 private:
  Result<size_t> take(std::span<const uint8_t> bytes, bool is_last);
  Result<void> character(int32_t c);
  Result<void> end_word();
  Result<void> end_sentence();

  OrthoRules rules_;
  std::string name_;
  WordSink& sink_;
  std::string word_;           // at most kMaxOrthoWord
  std::vector<uint8_t> rest_;  // of a piece: the beginning of a character
  uint64_t at_ = 0;            // the byte being read
  bool after_newline_ = false;
  bool in_sentence_ = false;
};

// Prefix (word ids) -> the words that complete it to a phrase; a trie over all phrases and all
// single words. The completions of a phrase are its children. Nodes 0..V-1 are the single words.
class PhraseIndex {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;

  uint32_t word_count() const { return word_count_; }
  uint32_t node_count() const { return static_cast<uint32_t>(row_.size()) - 1; }
  uint32_t longest_phrase() const { return longest_; }  // in words

  // The node of a phrase one word longer; kNone when there is none.
  uint32_t child(uint32_t node, uint32_t word) const {
    if (!child_.empty()) return child_[size_t{node} * word_count_ + word];
    return search(node, word);
  }
  uint32_t find(std::span<const uint32_t> prefix) const;

  // The completions of a node, ascending.
  std::span<const uint32_t> completions(uint32_t node) const {
    return {edge_word_.data() + row_[node], row_[node + 1] - row_[node]};
  }
  // The same as a bitset of bitset_words() words; null when the dense form did not fit.
  const uint64_t* bitset(uint32_t node) const {
    return bits_.empty() ? nullptr : bits_.data() + size_t{node} * bitset_words_;
  }
  uint64_t memory() const {  // bytes held
    return 4 * (row_.capacity() + edge_word_.capacity() + edge_node_.capacity() +
                child_.capacity()) +
           8 * bits_.capacity();
  }
  bool is_dense() const { return !bits_.empty(); }
  uint32_t bitset_words() const { return bitset_words_; }

  // The same for the same set of phrases, whatever the order of the texts. 128 bits as hex digits.
  std::string fingerprint(std::span<const std::string> words) const;

 private:
  friend class PhraseBuilder;
  uint32_t search(uint32_t node, uint32_t word) const;

  uint32_t word_count_ = 0;
  uint32_t bitset_words_ = 0;
  uint32_t longest_ = 0;
  std::vector<uint32_t> row_;        // node -> its first edge; one more at the end
  std::vector<uint32_t> edge_word_;  // ascending within a node
  std::vector<uint32_t> edge_node_;
  std::vector<uint32_t> child_;  // node * V + word -> node, when it fits
  std::vector<uint64_t> bits_;
};

// Gathers the phrases of sentences: every contiguous part of each.
class PhraseBuilder final : public WordSink {
 public:
  explicit PhraseBuilder(Bytes limit) : tally_("the text", limit) {}
  Result<void> word(std::string_view word) override;
  void end_sentence() override;

  struct Phrases {
    std::vector<std::string> words;  // ascending by their UTF-8 bytes
    PhraseIndex index;
  };
  // Room for the bitsets, and as much for the child tables. Without room: binary search.
  [[nodiscard]] Result<Phrases> finish(size_t dense_bytes = 8u << 20) &&;

 private:
  // A phrase of one word is that word's number; a longer one kLonger | its place in longer_.
  static constexpr uint32_t kLonger = 0x80000000;
  static constexpr uint32_t kEmpty = UINT32_MAX;
  struct Phrase {
    uint32_t from, word;  // the phrase without its last word, and that
    uint32_t tail = 0;    // the phrase without its first word
  };

  uint32_t tail(uint32_t phrase) const {
    return (phrase & kLonger) != 0 ? longer_[phrase & ~kLonger].tail : kEmpty;
  }
  size_t slot_of(uint32_t from, uint32_t word) const;
  Result<uint32_t> add(uint32_t from, uint32_t word);  // kEmpty when it was there

  Tally tally_;
  NameTable words_;
  std::vector<Phrase> longer_;
  std::vector<uint32_t> slots_;  // open addressing: 1 + place in longer_
  uint32_t sentence_ = kEmpty;   // the words of the sentence so far, as a phrase
  uint32_t length_ = 0, longest_ = 1;
  uint32_t first_word_ = 0;  // of the sentence
};

}  // namespace spillway::expand::ortho

// Text -> sentences -> the words that may follow a phrase: the input of the ortho problem.
//
// A sentence ends at a blank line ("\n\n") and at . ? ; ! (current rules: also ,). In it,
// everything that is not alphabetic, white space or ' separates words like a space; words are
// lowercased. Alphabetic means the Unicode categories L* and Nl and the circled and squared Latin
// letters; lowercase is Unicode's, one character to one.
//
// Memory   Bounded by the limits below: about 16 B a phrase, and up to 16 MiB of tables that make
//          look-ups fast (PhraseIndex::Options). Building it takes about 60 B a phrase more.
// Threads  PhraseIndex is immutable after make().
// Fails    kInvalid: not UTF-8 (names the file and the byte offset); kTooLarge: above a limit,
//          which the message names.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/bytes.hpp"
#include "core/result.hpp"

namespace spillway::expand::ortho {

enum class OrthoRules { kCurrent, kClassic };

inline constexpr Bytes kMaxOrthoText = 16_MiB;          // all files together
inline constexpr uint32_t kMaxOrthoPhrases = 1u << 20;  // different phrases, single words included

using Sentence = std::vector<std::string>;

// `name` is what errors call the text. Sentences without a word are dropped.
[[nodiscard]] Result<std::vector<Sentence>> split_sentences(std::string_view text, OrthoRules rules,
                                                            std::string_view name);

// The different words of all sentences, ascending by their UTF-8 bytes.
std::vector<std::string> vocabulary(std::span<const Sentence> sentences);

// Every contiguous part of every sentence, of two words or more, in order of sentence, start,
// length; repeats stay.
std::vector<Sentence> phrases(std::span<const Sentence> sentences);

// Prefix (word ids) -> the words that complete it to a phrase; a trie over all phrases and all
// single words. The completions of a phrase are its children. Nodes 0..V-1 are the single words.
class PhraseIndex {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;

  struct Options {
    // Room for the bitsets, and as much for the child tables. Without room: binary search.
    size_t dense_bytes = 8u << 20;
  };
  [[nodiscard]] static Result<PhraseIndex> make(std::span<const Sentence> sentences,
                                                std::span<const std::string> words,
                                                Options options);
  [[nodiscard]] static Result<PhraseIndex> make(std::span<const Sentence> sentences,
                                                std::span<const std::string> words) {
    return make(sentences, words, Options());
  }

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

// Reads a whole text file. Fails with kNotFound, kIo, and kTooLarge above kMaxOrthoText.
[[nodiscard]] Result<std::string> read_text_file(const std::string& path);

}  // namespace spillway::expand::ortho

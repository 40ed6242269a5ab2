#include "expand/ortho/ortho_text.hpp"

#include <fmt/format.h>
#include <utf8proc.h>
#include <xxhash.h>

#include <algorithm>
#include <bit>

#include "core/printable.hpp"

namespace spillway::expand::ortho {
namespace {

bool is_alphabetic(utf8proc_int32_t c) {
  switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_NL:
      return true;
    case UTF8PROC_CATEGORY_SO:  // the circled and squared Latin letters
      return (c >= 0x24B6 && c <= 0x24E9) || (c >= 0x1F130 && c <= 0x1F149) ||
             (c >= 0x1F150 && c <= 0x1F169) || (c >= 0x1F170 && c <= 0x1F189);
    default:
      return false;
  }
}

bool ends_sentence(utf8proc_int32_t c, OrthoRules rules) {
  return c == '.' || c == '?' || c == ';' || c == '!' ||
         (c == ',' && rules == OrthoRules::kCurrent);
}

void append_lowercase(utf8proc_int32_t c, std::string& word) {
  utf8proc_uint8_t utf8[4];
  const auto size = utf8proc_encode_char(utf8proc_tolower(c), utf8);
  word.append(reinterpret_cast<const char*>(utf8), static_cast<size_t>(size));
}

}  // namespace

Result<void> SentenceReader::feed(std::span<const uint8_t> piece) {
  // The rest of the piece before is the beginning of a character: a few bytes more end it.
  while (!rest_.empty() && !piece.empty()) {
    rest_.push_back(piece.front());
    piece = piece.subspan(1);
    const std::vector<uint8_t> begun = std::exchange(rest_, {});
    const size_t taken = TRY(take(begun, begun.size() >= 4));
    if (taken < begun.size())
      rest_.assign(begun.begin() + static_cast<ptrdiff_t>(taken), begun.end());
  }
  const size_t taken = TRY(take(piece, false));
  rest_.insert(rest_.end(), piece.begin() + static_cast<ptrdiff_t>(taken), piece.end());
  return {};
}

Result<void> SentenceReader::finish() {
  const std::vector<uint8_t> rest = std::exchange(rest_, {});
  TRY(take(rest, true));
  return end_sentence();
}

// Returns how many bytes it took: fewer when they end within a character and more may come.
Result<size_t> SentenceReader::take(std::span<const uint8_t> bytes, bool is_last) {
  size_t at = 0;
  while (at < bytes.size()) {
    utf8proc_int32_t c = 0;
    const size_t left = bytes.size() - at;
    const auto size = utf8proc_iterate(bytes.data() + at, static_cast<utf8proc_ssize_t>(left), &c);
    if (size <= 0) {
      if (!is_last && left < 4) break;
      return fail(Code::kInvalid, fmt::format("{}: not UTF-8 at byte {} (0x{:02x}); convert the "
                                              "text to UTF-8",
                                              name_, at_, bytes[at]));
    }
    TRY(character(c));
    at += static_cast<size_t>(size);
    at_ += static_cast<uint64_t>(size);
  }
  return at;
}

Result<void> SentenceReader::character(int32_t c) {
  const bool after_newline = std::exchange(after_newline_, false);
  if (ends_sentence(c, rules_) || (c == '\n' && after_newline)) return end_sentence();
  if (c == '\'' || is_alphabetic(c)) {
    append_lowercase(c, word_);
    if (Bytes(word_.size()) <= kMaxOrthoWord) return {};
    return fail(Code::kTooLarge, fmt::format("{}: a word of more than {} ends after byte {}", name_,
                                             to_string(kMaxOrthoWord), at_));
  }
  after_newline_ = c == '\n' || (c == '\r' && after_newline);
  return end_word();
}

Result<void> SentenceReader::end_word() {
  if (word_.empty()) return {};
  in_sentence_ = true;
  TRY(sink_.word(word_));
  word_.clear();
  return {};
}

Result<void> SentenceReader::end_sentence() {
  TRY(end_word());
  if (in_sentence_) sink_.end_sentence();
  in_sentence_ = false;
  return {};
}

size_t PhraseBuilder::slot_of(uint32_t from, uint32_t word) const {
  const uint64_t key = (uint64_t{from} << 32 | word) * 0x9E3779B97F4A7C15u;
  size_t slot = (key ^ key >> 32) & (slots_.size() - 1);
  for (; slots_[slot] != 0; slot = (slot + 1) & (slots_.size() - 1)) {
    const Phrase& phrase = longer_[slots_[slot] - 1];
    if (phrase.from == from && phrase.word == word) break;
  }
  return slot;
}

Result<uint32_t> PhraseBuilder::add(uint32_t from, uint32_t word) {
  if (longer_.size() * 2 >= slots_.size()) {
    const size_t slots = std::max<size_t>(64, slots_.size() * 2);
    TRY(tally_.grow(slots_, slots));
    slots_.assign(slots, 0);
    for (uint32_t at = 0; at < longer_.size(); ++at)
      slots_[slot_of(longer_[at].from, longer_[at].word)] = at + 1;
  }
  const size_t slot = slot_of(from, word);
  if (slots_[slot] != 0) return kEmpty;
  if (words_.size() + longer_.size() >= kMaxOrthoPhrases) {
    return fail(Code::kTooLarge,
                fmt::format("the text has more than {} different phrases (a sentence of {} words "
                            "and more near \"{}\"); use a shorter text or shorter sentences",
                            kMaxOrthoPhrases, length_, printable(words_.name(first_word_))));
  }
  const uint32_t place = static_cast<uint32_t>(longer_.size());
  TRY(tally_.push(longer_, Phrase{from, word}));
  slots_[slot] = place + 1;
  return kLonger | place;
}

// With the sentence so far come all of its tails (the phrases that end with it). Each is longer by
// the word now; as soon as one is known longer, so are its own tails.
Result<void> PhraseBuilder::word(std::string_view text) {
  const uint32_t word = TRY(words_.number(text, tally_));
  if (words_.size() + longer_.size() > kMaxOrthoPhrases) {
    return fail(
        Code::kTooLarge,
        fmt::format("the text has more than {} different words and phrases", kMaxOrthoPhrases));
  }
  longest_ = std::max(longest_, ++length_);
  if (sentence_ == kEmpty) {
    first_word_ = sentence_ = word;
    return {};
  }
  uint32_t before = kEmpty;
  uint32_t tail_of_before = word;  // when all tails were new: behind the empty one is every word
  for (uint32_t at = sentence_; at != kEmpty; at = tail(at)) {
    const uint32_t made = TRY(add(at, word));
    if (made == kEmpty) {
      tail_of_before = kLonger | (slots_[slot_of(at, word)] - 1);
      break;
    }
    if (before != kEmpty) longer_[before & ~kLonger].tail = made;
    before = made;
  }
  if (before != kEmpty) longer_[before & ~kLonger].tail = tail_of_before;
  sentence_ = kLonger | (slots_[slot_of(sentence_, word)] - 1);
  return {};
}

void PhraseBuilder::end_sentence() {
  sentence_ = kEmpty;
  length_ = 0;
}

Result<PhraseBuilder::Phrases> PhraseBuilder::finish(size_t dense_bytes) && {
  slots_ = {};
  std::vector<uint32_t> order, rank;
  TRY(tally_.grow(order, words_.size()));
  TRY(tally_.grow(rank, words_.size()));
  for (uint32_t word = 0; word < words_.size(); ++word) order.push_back(word);
  std::sort(order.begin(), order.end(),
            [&](uint32_t a, uint32_t b) { return words_.name(a) < words_.name(b); });
  rank.resize(order.size());
  Phrases made;
  TRY(tally_.grow(made.words, order.size()));
  for (uint32_t at = 0; at < order.size(); ++at) {
    rank[order[at]] = at;
    made.words.emplace_back(words_.name(order[at]));
  }
  const auto node_of = [&](uint32_t phrase) {
    return (phrase & kLonger) != 0 ? words_.size() + (phrase & ~kLonger) : rank[phrase];
  };
  std::vector<uint32_t> sorted;  // places in longer_, by node and word
  TRY(tally_.grow(sorted, longer_.size()));
  for (uint32_t at = 0; at < longer_.size(); ++at) {
    longer_[at].from = node_of(longer_[at].from);
    longer_[at].word = rank[longer_[at].word];
    sorted.push_back(at);
  }
  std::sort(sorted.begin(), sorted.end(), [&](uint32_t a, uint32_t b) {
    const Phrase &left = longer_[a], &right = longer_[b];
    return left.from != right.from ? left.from < right.from : left.word < right.word;
  });

  PhraseIndex& index = made.index;
  const size_t nodes = words_.size() + longer_.size();
  index.word_count_ = words_.size();
  index.bitset_words_ = (index.word_count_ + 63) / 64;
  index.longest_ = longest_;
  TRY(tally_.grow(index.row_, nodes + 1));
  TRY(tally_.grow(index.edge_word_, longer_.size()));
  TRY(tally_.grow(index.edge_node_, longer_.size()));
  index.row_.assign(nodes + 1, 0);
  for (const uint32_t at : sorted) {
    ++index.row_[longer_[at].from + 1];
    index.edge_word_.push_back(longer_[at].word);
    index.edge_node_.push_back(words_.size() + at);
  }
  for (size_t node = 0; node < nodes; ++node) index.row_[node + 1] += index.row_[node];

  const size_t cells = nodes * index.word_count_;
  if (cells * sizeof(uint32_t) <= dense_bytes) {
    index.child_.assign(cells, PhraseIndex::kNone);
    for (size_t at = 0; at < longer_.size(); ++at)
      index.child_[size_t{longer_[at].from} * index.word_count_ + longer_[at].word] =
          words_.size() + static_cast<uint32_t>(at);
  }
  const size_t bit_words = nodes * index.bitset_words_;
  if (bit_words * sizeof(uint64_t) <= dense_bytes) {
    index.bits_.assign(bit_words, 0);
    for (const Phrase& phrase : longer_) {
      index.bits_[size_t{phrase.from} * index.bitset_words_ + phrase.word / 64] |=
          uint64_t{1} << (phrase.word % 64);
    }
  }
  return made;
}

uint32_t PhraseIndex::search(uint32_t node, uint32_t word) const {
  const auto list = completions(node);
  const auto it = std::lower_bound(list.begin(), list.end(), word);
  if (it == list.end() || *it != word) return kNone;
  return edge_node_[row_[node] + static_cast<size_t>(it - list.begin())];
}

uint32_t PhraseIndex::find(std::span<const uint32_t> prefix) const {
  if (prefix.empty() || prefix[0] >= word_count_) return kNone;
  uint32_t node = prefix[0];
  for (size_t i = 1; i < prefix.size() && node != kNone; ++i) node = child(node, prefix[i]);
  return node;
}

std::string PhraseIndex::fingerprint(std::span<const std::string> words) const {
  XXH3_state_t* state = XXH3_createState();
  XXH3_128bits_reset(state);
  const auto add = [&](const void* data, size_t size) {
    const uint64_t length = size;
    XXH3_128bits_update(state, &length, sizeof length);
    XXH3_128bits_update(state, data, size);
  };
  for (const std::string& word : words) add(word.data(), word.size());
  // Depth first, words ascending: the order of the phrases, not of their nodes' numbers.
  std::vector<std::pair<uint32_t, uint32_t>> stack;  // node, depth; at most one path's siblings
  for (uint32_t word = word_count_; word-- > 0;) stack.emplace_back(word, 1);
  while (!stack.empty()) {
    const auto [node, depth] = stack.back();
    stack.pop_back();
    const auto list = completions(node);
    add(&depth, sizeof depth);
    add(list.data(), list.size_bytes());
    for (size_t i = list.size(); i-- > 0;)
      stack.emplace_back(edge_node_[row_[node] + i], depth + 1);
  }
  const XXH128_hash_t hash = XXH3_128bits_digest(state);
  XXH3_freeState(state);
  return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

}  // namespace spillway::expand::ortho

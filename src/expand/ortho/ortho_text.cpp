#include "expand/ortho/ortho_text.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utf8proc.h>
#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <unordered_map>

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

// Gathers words to sentences.
class SentenceBuilder {
 public:
  void letter(utf8proc_int32_t c) { append_lowercase(c, word_); }
  void end_word() {
    if (word_.empty()) return;
    sentence_.push_back(std::move(word_));
    word_.clear();
  }
  void end_sentence() {
    end_word();
    if (sentence_.empty()) return;
    sentences_.push_back(std::move(sentence_));
    sentence_.clear();
  }
  std::vector<Sentence> take() && {
    end_sentence();
    return std::move(sentences_);
  }

 private:
  std::string word_;
  Sentence sentence_;
  std::vector<Sentence> sentences_;
};

}  // namespace

Result<std::vector<Sentence>> split_sentences(std::string_view text, OrthoRules rules,
                                              std::string_view name) {
  SentenceBuilder builder;
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  for (size_t at = 0; at < text.size();) {
    utf8proc_int32_t c = 0;
    const auto size =
        utf8proc_iterate(bytes + at, static_cast<utf8proc_ssize_t>(text.size() - at), &c);
    if (size <= 0) {
      return fail(Code::kInvalid, fmt::format("{}: not UTF-8 at byte {} (0x{:02x}); convert the "
                                              "text to UTF-8",
                                              name, at, bytes[at]));
    }
    const bool blank_line = c == '\n' && text.substr(at, 2) == "\n\n";
    if (ends_sentence(c, rules) || blank_line) {
      builder.end_sentence();
    } else if (c == '\'' || is_alphabetic(c)) {
      builder.letter(c);
    } else {
      builder.end_word();
    }
    at += blank_line ? 2 : static_cast<size_t>(size);
  }
  return std::move(builder).take();
}

std::vector<std::string> vocabulary(std::span<const Sentence> sentences) {
  std::vector<std::string> words;
  for (const Sentence& sentence : sentences) {
    words.insert(words.end(), sentence.begin(), sentence.end());
  }
  std::sort(words.begin(), words.end());  // std::string compares as unsigned bytes
  words.erase(std::unique(words.begin(), words.end()), words.end());
  return words;
}

std::vector<Sentence> phrases(std::span<const Sentence> sentences) {
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

namespace {

struct Edge {
  uint32_t from, word, to;
};

// The trie while it grows: (node, word) -> node.
struct GrowingTrie {
  std::unordered_map<uint64_t, uint32_t> next;
  std::vector<Edge> edges;
  uint32_t nodes = 0;
  uint32_t longest = 1;

  // Adds every phrase of one sentence; false when there are too many.
  bool add(std::span<const uint32_t> ids) {
    for (size_t begin = 0; begin < ids.size(); ++begin) {
      uint32_t node = ids[begin];
      for (size_t i = begin + 1; i < ids.size(); ++i) {
        const auto [it, is_new] = next.try_emplace(uint64_t{node} << 32 | ids[i], nodes);
        if (is_new) {
          if (nodes == kMaxOrthoPhrases) return false;
          edges.push_back({node, ids[i], nodes++});
        }
        node = it->second;
      }
    }
    longest = std::max(longest, static_cast<uint32_t>(ids.size()));
    return true;
  }
};

std::vector<uint32_t> ids_of(const Sentence& sentence, std::span<const std::string> words) {
  std::vector<uint32_t> ids;
  ids.reserve(sentence.size());
  for (const std::string& word : sentence) {
    ids.push_back(
        static_cast<uint32_t>(std::lower_bound(words.begin(), words.end(), word) - words.begin()));
  }
  return ids;
}

}  // namespace

Result<PhraseIndex> PhraseIndex::make(std::span<const Sentence> sentences,
                                      std::span<const std::string> words, Options options) {
  if (words.size() > kMaxOrthoPhrases) {
    return fail(Code::kTooLarge, fmt::format("the text has {} different words; the limit is {}",
                                             words.size(), kMaxOrthoPhrases));
  }
  GrowingTrie trie;
  trie.nodes = static_cast<uint32_t>(words.size());
  for (const Sentence& sentence : sentences) {
    if (trie.add(ids_of(sentence, words))) continue;
    return fail(Code::kTooLarge,
                fmt::format("the text has more than {} different phrases (a sentence of {} words "
                            "near \"{}\"); use a shorter text or shorter sentences",
                            kMaxOrthoPhrases, sentence.size(), sentence.front()));
  }
  std::sort(trie.edges.begin(), trie.edges.end(), [](const Edge& a, const Edge& b) {
    return a.from != b.from ? a.from < b.from : a.word < b.word;
  });

  PhraseIndex index;
  index.word_count_ = static_cast<uint32_t>(words.size());
  index.bitset_words_ = (index.word_count_ + 63) / 64;
  index.longest_ = trie.longest;
  index.row_.assign(size_t{trie.nodes} + 1, 0);
  for (const Edge& edge : trie.edges) {
    ++index.row_[edge.from + 1];
    index.edge_word_.push_back(edge.word);
    index.edge_node_.push_back(edge.to);
  }
  for (size_t node = 0; node < trie.nodes; ++node) index.row_[node + 1] += index.row_[node];

  const size_t cells = size_t{trie.nodes} * index.word_count_;
  if (cells * sizeof(uint32_t) <= options.dense_bytes) {
    index.child_.assign(cells, kNone);
    for (const Edge& e : trie.edges) index.child_[size_t{e.from} * words.size() + e.word] = e.to;
  }
  const size_t bit_words = size_t{trie.nodes} * index.bitset_words_;
  if (bit_words * sizeof(uint64_t) <= options.dense_bytes) {
    index.bits_.assign(bit_words, 0);
    for (const Edge& e : trie.edges) {
      index.bits_[size_t{e.from} * index.bitset_words_ + e.word / 64] |= uint64_t{1}
                                                                         << (e.word % 64);
    }
  }
  return index;
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

namespace {

struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

}  // namespace

Result<std::string> read_text_file(const std::string& path) {
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.fd < 0) return fail_errno(fmt::format("opening {}", path));
  std::string text;
  char block[1 << 16];
  while (true) {
    const ssize_t got = ::read(file.fd, block, sizeof block);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno(fmt::format("reading {}", path));
    if (got == 0) return text;
    if (Bytes(text.size() + static_cast<size_t>(got)) > kMaxOrthoText) {
      return fail(Code::kTooLarge, fmt::format("{}: larger than {}, the limit for ortho texts",
                                               path, to_string(kMaxOrthoText)));
    }
    text.append(block, static_cast<size_t>(got));
  }
}

}  // namespace spillway::expand::ortho

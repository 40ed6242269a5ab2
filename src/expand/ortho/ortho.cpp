#include "expand/ortho/ortho.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "core/disk/corrupt.hpp"
#include "core/json.hpp"
#include "expand/ortho/ortho_forms.hpp"
#include "expand/ortho/ortho_text.hpp"

namespace spillway::expand {

using namespace ortho;

namespace {

// What a problem and its expanders share.
struct OrthoTables {
  OrthoRules rules;
  std::vector<std::string> words;
  PhraseIndex index;
  FormTable forms;
  uint32_t form_bytes;
  uint32_t word_bytes;

  OrthoTables(OrthoRules rules_in, std::vector<std::string> words_in, PhraseIndex index_in)
      : rules(rules_in),
        words(std::move(words_in)),
        index(std::move(index_in)),
        forms(rules, index.longest_phrase(), index.word_count()),
        form_bytes(forms.count() <= 256 ? 1 : 2),
        word_bytes(words.size() <= 256     ? 1
                   : words.size() <= 65536 ? 2
                                           : 4) {}

  uint64_t words_bytes() const {
    uint64_t total = words.capacity() * sizeof(std::string);
    for (const std::string& word : words) total += word.capacity();
    return total;
  }
  uint32_t max_state_bytes() const { return form_bytes + (forms.largest_cells() - 1) * word_bytes; }
  uint32_t form_of(const uint8_t* state) const {
    return form_bytes == 1 ? state[0] : static_cast<uint32_t>(state[0] | state[1] << 8);
  }
  void put_form(uint32_t form, uint8_t* state) const {
    state[0] = static_cast<uint8_t>(form);
    if (form_bytes == 2) state[1] = static_cast<uint8_t>(form >> 8);
  }
};

std::string joined(std::span<const uint32_t> numbers, std::string_view separator) {
  std::string text;
  for (size_t i = 0; i < numbers.size(); ++i) {
    if (i > 0) text += separator;
    text += std::to_string(numbers[i]);
  }
  return text;
}

Error too_large(const Dims& dims) {
  return Error(Code::kTooLarge,
               fmt::format("a box of {} completed and its growth is beyond the limits ({} cells, "
                           "{} kinds of boxes); use a shorter text",
                           joined(dims, "x"), kMaxOrthoCells, kMaxOrthoForms));
}

// Word is the unsigned integer that holds one word id in the encoding.
template <class Word>
class OrthoExpander final : public Expander {
 public:
  explicit OrthoExpander(std::shared_ptr<const OrthoTables> tables)
      : tables_(std::move(tables)),
        allowed_(tables_->index.bitset_words()),
        child_(tables_->max_state_bytes()),
        full_(kMaxOrthoCells) {}

  Result<uint32_t> expand(const StateBlock& parents, size_t first, Successors& out) override;

 private:
  enum class Outcome { kDone, kRoomFull, kBadState, kTooLarge };

  Outcome expand_one(std::span<const uint8_t> state, Successors& out);
  Outcome add_words(const Stage& stage, const uint8_t* words, Successors& out);
  Outcome add_word(const Stage& stage, uint32_t word, Successors& out);
  Outcome grow(const Growth& growth, Successors& out);

  // The nodes of the stage's lines into nodes_; false when one is not a phrase.
  bool find_lines(const Stage& stage, const uint8_t* words);
  Outcome add_dense(const Stage& stage, const uint8_t* words, Successors& out);
  Outcome add_sparse(const Stage& stage, const uint8_t* words, Successors& out);

  static uint32_t load(const uint8_t* words, size_t i) {
    Word word;
    std::memcpy(&word, words + i * sizeof(Word), sizeof(Word));
    return word;
  }
  static void store(uint8_t* words, size_t i, uint32_t id) {
    const auto word = static_cast<Word>(id);
    std::memcpy(words + i * sizeof(Word), &word, sizeof(Word));
  }
  uint8_t* child_words() { return child_.data() + tables_->form_bytes; }

  std::shared_ptr<const OrthoTables> tables_;
  std::vector<uint64_t> allowed_;
  std::vector<uint8_t> child_;  // the encoding that is pushed next
  std::vector<uint32_t> full_;  // the words of a completing box, without the last
  uint32_t child_size_ = 0;
  const Form* form_ = nullptr;
  std::array<uint32_t, 16> nodes_{};  // one a line: at most log2(kMaxOrthoCells) axes
  uint32_t line_count_ = 0;
};
static_assert(std::bit_width(kMaxOrthoCells) - 1 <= 16);

template <class Word>
Result<uint32_t> OrthoExpander<Word>::expand(const StateBlock& parents, size_t first,
                                             Successors& out) {
  for (size_t i = first; i < parents.size(); ++i) {
    switch (expand_one(parents[i].bytes, out)) {
      case Outcome::kDone:
        out.end_parent();
        continue;
      case Outcome::kRoomFull:
        out.drop_parent();
        return static_cast<uint32_t>(i - first);
      case Outcome::kBadState:
        return fail_corrupt(
            fmt::format("an ortho of {} bytes is not an encoding of this "
                        "text's orthos",
                        parents[i].bytes.size()));
      case Outcome::kTooLarge:
        return fail(too_large(form_->shape.dims()));
    }
  }
  return static_cast<uint32_t>(parents.size() - first);
}

template <class Word>
typename OrthoExpander<Word>::Outcome OrthoExpander<Word>::expand_one(
    std::span<const uint8_t> state, Successors& out) {
  const uint32_t header = tables_->form_bytes;
  if (state.size() < header) [[unlikely]]
    return Outcome::kBadState;
  const uint32_t form = tables_->form_of(state.data());
  if (form >= tables_->forms.count()) [[unlikely]]
    return Outcome::kBadState;
  form_ = &tables_->forms.get(form);
  const size_t words = (state.size() - header) / sizeof(Word);
  const size_t at = words - form_->prefilled_count;
  if (at >= form_->stages.size()) [[unlikely]]
    return Outcome::kBadState;
  const Stage& stage = form_->stages[at];
  child_size_ = static_cast<uint32_t>(words);
  return add_words(stage, state.data() + header, out);
}

template <class Word>
typename OrthoExpander<Word>::Outcome OrthoExpander<Word>::add_words(const Stage& stage,
                                                                     const uint8_t* words,
                                                                     Successors& out) {
  if (!find_lines(stage, words)) return Outcome::kDone;
  if (stage.completes) {
    for (uint32_t i = 0; i < child_size_; ++i) full_[i] = load(words, i);
  } else {
    tables_->put_form(stage.next_form, child_.data());
    const size_t before = stage.cursor * sizeof(Word);
    std::memcpy(child_words(), words, before);
    std::memcpy(child_words() + before + sizeof(Word), words + before,
                child_size_ * sizeof(Word) - before);
  }
  return tables_->index.is_dense() ? add_dense(stage, words, out) : add_sparse(stage, words, out);
}

template <class Word>
bool OrthoExpander<Word>::find_lines(const Stage& stage, const uint8_t* words) {
  const PhraseIndex& index = tables_->index;
  line_count_ = 0;
  size_t at = 0;
  for (const uint16_t end : stage.line_ends) {
    uint32_t node = load(words, stage.lines[at++]);
    while (at < end) {
      node = index.child(node, load(words, stage.lines[at++]));
      if (node == PhraseIndex::kNone) return false;
    }
    nodes_[line_count_++] = node;
  }
  return true;
}

template <class Word>
typename OrthoExpander<Word>::Outcome OrthoExpander<Word>::add_dense(const Stage& stage,
                                                                     const uint8_t* words,
                                                                     Successors& out) {
  const PhraseIndex& index = tables_->index;
  const uint32_t size = index.bitset_words();
  uint64_t* allowed = allowed_.data();
  if (line_count_ == 0) {
    std::fill_n(allowed, size, ~uint64_t{0});
    if (index.word_count() % 64 != 0) allowed[size - 1] >>= 64 - index.word_count() % 64;
  } else {
    std::memcpy(allowed, index.bitset(nodes_[0]), size * sizeof(uint64_t));
  }
  for (uint32_t line = 1; line < line_count_; ++line) {
    const uint64_t* completions = index.bitset(nodes_[line]);
    for (uint32_t i = 0; i < size; ++i) allowed[i] &= completions[i];
  }
  for (const uint16_t position : stage.forbidden) {
    const uint32_t word = load(words, position);
    allowed[word / 64] &= ~(uint64_t{1} << (word % 64));
  }
  for (uint32_t i = 0; i < size; ++i) {
    for (uint64_t bits = allowed[i]; bits != 0; bits &= bits - 1) {
      const auto word = i * 64 + static_cast<uint32_t>(std::countr_zero(bits));
      const Outcome outcome = add_word(stage, word, out);
      if (outcome != Outcome::kDone) [[unlikely]]
        return outcome;
    }
  }
  return Outcome::kDone;
}

// Large vocabularies: the shortest list, filtered by the others.
template <class Word>
typename OrthoExpander<Word>::Outcome OrthoExpander<Word>::add_sparse(const Stage& stage,
                                                                      const uint8_t* words,
                                                                      Successors& out) {
  const PhraseIndex& index = tables_->index;
  if (line_count_ == 0) {
    for (uint32_t word = 0; word < index.word_count(); ++word) {
      const Outcome outcome = add_word(stage, word, out);
      if (outcome != Outcome::kDone) [[unlikely]]
        return outcome;
    }
    return Outcome::kDone;
  }
  const auto nodes = std::span(nodes_).first(line_count_);
  const uint32_t shortest = *std::min_element(nodes.begin(), nodes.end(), [&](auto a, auto b) {
    return index.completions(a).size() < index.completions(b).size();
  });
  for (const uint32_t word : index.completions(shortest)) {
    const bool fits = std::all_of(nodes.begin(), nodes.end(), [&](uint32_t node) {
      return node == shortest || index.child(node, word) != PhraseIndex::kNone;
    });
    const auto stands_at = [&](uint16_t position) { return load(words, position) == word; };
    if (!fits || std::any_of(stage.forbidden.begin(), stage.forbidden.end(), stands_at)) continue;
    const Outcome outcome = add_word(stage, word, out);
    if (outcome != Outcome::kDone) [[unlikely]]
      return outcome;
  }
  return Outcome::kDone;
}

template <class Word>
typename OrthoExpander<Word>::Outcome OrthoExpander<Word>::add_word(const Stage& stage,
                                                                    uint32_t word,
                                                                    Successors& out) {
  if (!stage.completes) {
    uint8_t* words = child_words();
    store(words, stage.cursor, word);
    const bool swaps = stage.sorts_axes && load(words, 1) > word;
    const uint32_t first = load(words, 1);
    if (swaps) {
      store(words, 1, word);
      store(words, 2, first);
    }
    const size_t size = tables_->form_bytes + (child_size_ + 1) * sizeof(Word);
    const bool fits = out.push(std::span<const uint8_t>(child_.data(), size));
    if (swaps) store(words, 1, first);
    return fits ? Outcome::kDone : Outcome::kRoomFull;
  }
  full_[child_size_] = word;  // the hole is the last cell
  for (const Growth& growth : stage.overs) {
    const Outcome outcome = grow(growth, out);
    if (outcome != Outcome::kDone) [[unlikely]]
      return outcome;
  }
  if (stage.ups.empty()) return Outcome::kDone;
  uint32_t axis = 0;  // insert_axis(): before the first word of the first shell that is greater
  while (axis + 1 < stage.ups.size() && word >= full_[axis + 1]) ++axis;
  return grow(stage.ups[axis], out);
}

template <class Word>
typename OrthoExpander<Word>::Outcome OrthoExpander<Word>::grow(const Growth& growth,
                                                                Successors& out) {
  if (growth.form == kNoForm) [[unlikely]]
    return Outcome::kTooLarge;
  tables_->put_form(growth.form, child_.data());
  uint8_t* words = child_words();
  const uint16_t* source = growth.source.data();
  const size_t count = growth.source.size();
  for (size_t j = 0; j < count; ++j) store(words, j, full_[source[j]]);
  const size_t size = tables_->form_bytes + count * sizeof(Word);
  return out.push(std::span<const uint8_t>(child_.data(), size)) ? Outcome::kDone
                                                                 : Outcome::kRoomFull;
}

class OrthoProblem final : public Problem {
 public:
  OrthoProblem(std::shared_ptr<const OrthoTables> tables, std::vector<std::string> files)
      : tables_(std::move(tables)), files_(std::move(files)) {}

  std::string name() const override { return "ortho"; }
  std::string arguments_json() const override;
  ProblemTraits traits() const override {
    return {.form = StateForm::kBytes,
            .max_state_bytes = tables_->max_state_bytes(),
            .keep_successors = true,
            .own_bytes = tables_->index.memory() + tables_->words_bytes()};
  }
  Result<std::vector<std::vector<uint8_t>>> initial() const override {
    return std::vector<std::vector<uint8_t>>{std::vector<uint8_t>(tables_->form_bytes, 0)};
  }
  Result<std::unique_ptr<Expander>> expander() const override;

  uint64_t id(const StateView& state) const override;
  size_t canonical(const StateView& state, std::span<uint8_t> out) const override;
  size_t canonical_size() const override {
    const size_t dims = static_cast<size_t>(std::bit_width(kMaxOrthoCells));
    return 8 * (1 + dims + 1 + 2 * size_t{tables_->forms.largest_cells()} + 2);
  }

  bool has_score() const override { return true; }
  // What ranks: the classic rules compare the volume only.
  Score score(const StateView& state) const override {
    return {form(state).volume, tables_->rules == OrthoRules::kClassic ? 0 : word_count(state)};
  }
  std::string best_json(const StateView& state, const Score& score) const override;
  std::string draw(const StateView& state) const override;

  std::vector<Column> columns() const override {
    return {{"dims", ColumnType::kUint32List},
            {"payload", ColumnType::kUint32List},
            {"up_axis", ColumnType::kUint32, true}};
  }
  void describe(const StateView& state, Row& row) const override;

 private:
  const Form& form(const StateView& state) const {
    return tables_->forms.get(tables_->form_of(state.bytes.data()));
  }
  uint32_t word_count(const StateView& state) const {
    return static_cast<uint32_t>((state.bytes.size() - tables_->form_bytes) / tables_->word_bytes);
  }
  // Calls emit(word id or kEmptyCell) for each cell, in order.
  template <class Emit>
  void for_each_cell(const StateView& state, const Emit& emit) const;
  template <class Word, class Emit>
  void for_each_cell_of(const StateView& state, const Emit& emit) const;
  // Calls emit(word) for each word of the id's message after the dims and the number of cells.
  template <class Emit>
  void for_each_id_word(const StateView& state, const Emit& emit) const;
  std::vector<uint32_t> payload(const StateView& state) const;

  std::shared_ptr<const OrthoTables> tables_;
  std::vector<std::string> files_;
};

std::string OrthoProblem::arguments_json() const {
  const OrderedJson json = {
      {"files", files_},
      {"rules", tables_->rules == OrthoRules::kCurrent ? "current" : "classic"},
      {"words", tables_->words.size()},
      {"phrases", tables_->index.fingerprint(tables_->words)}};
  return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

Result<std::unique_ptr<Expander>> OrthoProblem::expander() const {
  switch (tables_->word_bytes) {
    case 1:
      return std::make_unique<OrthoExpander<uint8_t>>(tables_);
    case 2:
      return std::make_unique<OrthoExpander<uint16_t>>(tables_);
    default:
      return std::make_unique<OrthoExpander<uint32_t>>(tables_);
  }
}

template <class Emit>
void OrthoProblem::for_each_cell(const StateView& state, const Emit& emit) const {
  switch (tables_->word_bytes) {
    case 1:
      return for_each_cell_of<uint8_t>(state, emit);
    case 2:
      return for_each_cell_of<uint16_t>(state, emit);
    default:
      return for_each_cell_of<uint32_t>(state, emit);
  }
}

template <class Word, class Emit>
void OrthoProblem::for_each_cell_of(const StateView& state, const Emit& emit) const {
  const Form& box = form(state);
  const uint8_t* data = state.bytes.data() + tables_->form_bytes;
  const auto next = [&data] {
    Word word;
    std::memcpy(&word, data, sizeof word);
    data += sizeof word;
    return word;
  };
  uint32_t cell = 0;
  const uint32_t at = box.stages[word_count(state) - box.prefilled_count].cursor;
  for (; cell < at; ++cell) emit(next());
  for (; cell < box.prefilled.size(); ++cell) emit(box.prefilled[cell] ? next() : kEmptyCell);
}

template <class Emit>
void OrthoProblem::for_each_id_word(const StateView& state, const Emit& emit) const {
  for_each_cell(state, [&](uint32_t word) {
    emit(word == kEmptyCell ? 0 : 1);
    if (word != kEmptyCell) emit(word);
  });
  if (tables_->rules == OrthoRules::kClassic) return;
  const std::optional<uint32_t> up_axis = form(state).up_axis;
  emit(up_axis ? 1 : 0);
  if (up_axis) emit(*up_axis);
}

uint64_t OrthoProblem::id(const StateView& state) const {
  SipHash13 hash = form(state).id_prefix;
  for_each_id_word(state, [&](uint64_t word) { hash.add(word); });
  return hash.finish() & 0x7FFF'FFFF'FFFF'FFFF;
}

size_t OrthoProblem::canonical(const StateView& state, std::span<uint8_t> out) const {
  size_t size = 0;
  const auto emit = [&](uint64_t word) {
    std::memcpy(out.data() + size, &word, sizeof word);
    size += sizeof word;
  };
  const Shape& shape = form(state).shape;
  emit(shape.dims().size());
  for (const uint32_t length : shape.dims()) emit(length);
  emit(shape.size());
  for_each_id_word(state, emit);
  return size;
}

std::vector<uint32_t> OrthoProblem::payload(const StateView& state) const {
  std::vector<uint32_t> cells;
  for_each_cell(state, [&](uint32_t word) { cells.push_back(word); });
  return cells;
}

std::string OrthoProblem::best_json(const StateView& state, const Score&) const {
  const Form& box = form(state);
  OrderedJson json = {{"score", Score{box.volume, word_count(state)}}, {"dims", box.shape.dims()}};
  json["up_axis"] = nullptr;
  if (box.up_axis) json["up_axis"] = *box.up_axis;
  auto& cells = json["cells"] = OrderedJson::array();
  for (const uint32_t word : payload(state)) {
    cells.push_back(word == kEmptyCell ? OrderedJson(nullptr) : OrderedJson(tables_->words[word]));
  }
  json["id"] = std::to_string(id(state));
  return json.dump();
}

void OrthoProblem::describe(const StateView& state, Row& row) const {
  const Form& box = form(state);
  row.list(box.shape.dims());
  row.list(payload(state));
  if (box.up_axis) {
    row.number(*box.up_axis);
  } else {
    row.null();
  }
}

std::string OrthoProblem::draw(const StateView& state) const {
  return ortho::draw({form(state).shape.dims(), payload(state), std::nullopt}, tables_->words);
}

struct OrthoArguments {
  std::vector<std::string> files;
  OrthoRules rules = OrthoRules::kCurrent;
};

Result<OrthoRules> parse_rules(std::string_view text) {
  if (text == "current") return OrthoRules::kCurrent;
  if (text == "classic") return OrthoRules::kClassic;
  return fail(Code::kUsage,
              fmt::format("ortho: --rules is 'current' or 'classic', not '{}'", text));
}

Result<OrthoArguments> parse_arguments(const ProblemArguments& arguments) {
  OrthoArguments parsed;
  bool only_files = false;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string_view word = arguments[i];
    if (!only_files && word == "--") {
      only_files = true;
    } else if (!only_files && word == "--rules") {
      if (i + 1 == arguments.size()) return fail(Code::kUsage, "ortho: --rules needs a value");
      parsed.rules = TRY(parse_rules(arguments[++i]));
    } else if (!only_files && word.starts_with("--rules=")) {
      parsed.rules = TRY(parse_rules(word.substr(8)));
    } else if (!only_files && word.starts_with("-") && word.size() > 1) {
      return fail(Code::kUsage, fmt::format("ortho: unknown option '{}'; it has --rules", word));
    } else {
      parsed.files.emplace_back(word);
    }
  }
  if (parsed.files.empty()) {
    return fail(Code::kUsage, "ortho: which text? usage: ortho FILE... [--rules current|classic]");
  }
  // The order of the texts does not matter, so it is not part of the search.
  std::sort(parsed.files.begin(), parsed.files.end());
  parsed.files.erase(std::unique(parsed.files.begin(), parsed.files.end()), parsed.files.end());
  return parsed;
}

}  // namespace

Result<std::unique_ptr<Problem>> make_ortho(const ProblemArguments& arguments,
                                            const ProblemContext& context) {
  OrthoArguments parsed = TRY(parse_arguments(arguments));
  PhraseBuilder builder(context.room());
  uint64_t total = 0;
  for (const std::string& file : parsed.files) {
    SentenceReader reader(parsed.rules, file, builder);
    TRY(read_input(file, context.stop, [&](std::span<const uint8_t> piece) -> Result<void> {
      total += piece.size();
      if (Bytes(total) <= kMaxOrthoText) return reader.feed(piece);
      return fail(Code::kTooLarge, fmt::format("{}: the texts are together larger than {}, the "
                                               "limit for ortho texts",
                                               file, to_string(kMaxOrthoText)));
    }));
    TRY(reader.finish());
  }
  const uint64_t dense_bytes = std::min<uint64_t>(8u << 20, context.room().count() / 4);
  auto [words, index] = TRY(std::move(builder).finish(dense_bytes));
  auto tables =
      std::make_shared<const OrthoTables>(parsed.rules, std::move(words), std::move(index));
  return std::make_unique<OrthoProblem>(std::move(tables), std::move(parsed.files));
}

}  // namespace spillway::expand

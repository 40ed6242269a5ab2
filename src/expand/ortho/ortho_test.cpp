#include "expand/ortho/ortho.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <unistd.h>

#include <deque>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <thread>
#include <unordered_set>

#include "expand/ortho/ortho_oracle.hpp"
#include "expand/ortho/ortho_sentences.hpp"

namespace spillway::expand {
namespace {

using namespace ortho;

using testing::ElementsAre;
using testing::HasSubstr;
using State = std::string;

class TextFile {
 public:
  explicit TextFile(const std::string& text)
      : path_(testing::TempDir() + "ortho-" + std::to_string(::getpid()) + "-" +
              std::to_string(++count_) + ".txt") {
    std::ofstream(path_) << text;
  }
  ~TextFile() { std::filesystem::remove(path_); }
  const std::string& path() const { return path_; }

 private:
  static inline int count_ = 0;
  std::string path_;
};

std::unique_ptr<Problem> problem_of(const std::vector<std::string>& texts,
                                    const std::string& rules = "current") {
  std::deque<TextFile> files;
  ProblemArguments arguments = {"--rules", rules};
  for (const std::string& text : texts) arguments.push_back(files.emplace_back(text).path());
  auto problem = make_ortho(arguments);
  EXPECT_TRUE(problem) << problem.error().message();
  return *std::move(problem);
}

std::string read_data(const std::string& name) {
  std::ifstream file(std::string(SPILLWAY_SOURCE_DIR) + "/tests/data/ortho/" + name);
  EXPECT_TRUE(file) << name;
  return {std::istreambuf_iterator<char>(file), {}};
}

// "x y. x y z." from sentences of letters.
std::string sentences_of(int letters, const std::function<bool(int, int)>& has_pair) {
  std::string text;
  for (int x = 0; x < letters; ++x) {
    for (int y = 0; y < letters; ++y) {
      if (!has_pair(x, y)) continue;
      if (!text.empty()) text += ' ';
      text += {static_cast<char>('a' + x), ' ', static_cast<char>('a' + y), '.'};
    }
  }
  return text;
}
std::string pairs(int letters) {
  return sentences_of(letters, [](int x, int y) { return x != y; });
}
std::string ascp(int letters) {
  return sentences_of(letters, [](int x, int y) { return x < y; });
}

StateView view(const State& state) {
  return {0, {reinterpret_cast<const uint8_t*>(state.data()), state.size()}};
}

// The successors of one state.
class OneExpander {
 public:
  explicit OneExpander(const Problem& problem)
      : expander_(*problem.expander()), bytes_(1 << 20), ends_(1 << 14), parents_(1) {}

  std::vector<State> operator()(const State& state) {
    Successors out(StateForm::kBytes, {}, bytes_, ends_, parents_);
    const uint32_t end = static_cast<uint32_t>(state.size());
    const StateBlock block{
        .packed = {}, .data = reinterpret_cast<const uint8_t*>(state.data()), .ends = {&end, 1}};
    const auto complete = expander_->expand(block, 0, out);
    EXPECT_TRUE(complete && *complete == 1);
    std::vector<State> children;
    for (size_t i = 0; i < out.count(); ++i) {
      children.emplace_back(reinterpret_cast<const char*>(out[i].bytes.data()),
                            out[i].bytes.size());
    }
    return children;
  }

 private:
  std::unique_ptr<Expander> expander_;
  std::vector<uint8_t> bytes_;
  std::vector<uint32_t> ends_;
  std::vector<uint32_t> parents_;
};

struct Found {
  uint64_t generated = 0;
  uint64_t xor_of_ids = 0;
  Score best_score{};
  State best;
  std::vector<uint64_t> layers;
  std::vector<State> states;  // in discovery order
};

Found search(const Problem& problem) {
  Found found;
  OneExpander expand(problem);
  std::unordered_set<State> seen;
  const auto discover = [&](const State& state) {
    if (!seen.insert(state).second) return;
    found.states.push_back(state);
    found.xor_of_ids ^= problem.id(view(state));
    const Score score = problem.score(view(state));
    if (found.states.size() == 1 || score > found.best_score) {
      found.best_score = score;
      found.best = state;
    }
    EXPECT_LE(state.size(), problem.traits().max_state_bytes);
  };
  const auto initial = *problem.initial();
  discover(State(initial[0].begin(), initial[0].end()));
  for (size_t begin = 0, end = 1; begin < end; begin = end, end = found.states.size()) {
    found.layers.push_back(end - begin);
    for (size_t i = begin; i < end; ++i) {
      for (const State& child : expand(State(found.states[i]))) {
        ++found.generated;
        discover(child);
      }
    }
  }
  return found;
}

// Takes a state apart through the columns.
class OrthoRow final : public Row {
 public:
  Ortho ortho;
  void number(uint64_t value) override { ortho.up_axis = static_cast<uint32_t>(value); }
  void text(std::string_view) override { ADD_FAILURE(); }
  void null() override { ortho.up_axis.reset(); }
  void list(std::span<const uint32_t> values) override {
    (lists_++ == 0 ? ortho.dims : ortho.payload).assign(values.begin(), values.end());
  }

 private:
  int lists_ = 0;
};

Ortho decode(const Problem& problem, const State& state) {
  OrthoRow row;
  problem.describe(view(state), row);
  return row.ortho;
}

// Every state's successors, id and score equal those of the plain rules, and equal orthos have
// equal encodings.
void expect_follows_the_rules(const std::vector<std::string>& texts, OrthoRules rules,
                              size_t limit = SIZE_MAX) {
  const auto problem = problem_of(texts, rules == OrthoRules::kCurrent ? "current" : "classic");
  std::vector<Sentence> sentences;
  for (const std::string& text : texts) {
    const auto split = split_sentences(text, rules, "");
    ASSERT_TRUE(split);
    sentences.insert(sentences.end(), split->begin(), split->end());
  }
  const auto made = phrases_of(sentences);
  ASSERT_TRUE(made);
  const PhraseIndex* const index = &made->index;
  OneExpander expand(*problem);
  std::map<Ortho, State> encoding;
  std::deque<State> queue;
  const auto initial = *problem->initial();
  queue.emplace_back(initial[0].begin(), initial[0].end());
  encoding[first_ortho()] = queue.front();
  for (size_t count = 0; !queue.empty() && count < limit; ++count) {
    const State state = queue.front();
    queue.pop_front();
    const Ortho ortho = decode(*problem, state);
    ASSERT_EQ(problem->id(view(state)), ortho_id(ortho, rules));
    std::vector<Ortho> expected;
    for (const uint32_t word : next_words(ortho, rules, *index)) {
      for (Ortho& child : add(ortho, word, rules)) expected.push_back(std::move(child));
    }
    std::vector<Ortho> actual;
    for (const State& child : expand(state)) {
      actual.push_back(decode(*problem, child));
      const auto [it, is_new] = encoding.emplace(actual.back(), child);
      ASSERT_EQ(it->second, child) << "one ortho, two encodings";
      if (is_new) queue.push_back(child);
    }
    ASSERT_EQ(actual, expected);
  }
}

TEST(Ortho, FindsTheGoldenOrthosOfT1) {
  const auto problem = problem_of({read_data("t1_abcd.txt")});
  const Found found = search(*problem);
  EXPECT_EQ(found.states.size(), 12u);
  EXPECT_EQ(found.generated, 12u);
  EXPECT_THAT(found.layers, ElementsAre(1, 4, 4, 1, 2));
  EXPECT_EQ(found.best_score, (Score{2, 4}));
  EXPECT_EQ(decode(*problem, found.best).dims, (Dims{2, 3}));
}

TEST(Ortho, FindsTheGoldenOrthosOfT2) {
  const auto problem = problem_of({read_data("t2_twocities.txt")});
  const Found found = search(*problem);
  EXPECT_EQ(found.states.size(), 312u);
  EXPECT_EQ(found.generated, 378u);
  EXPECT_THAT(found.layers, ElementsAre(1, 34, 40, 67, 44, 126));
  EXPECT_EQ(found.best_score, (Score{2, 4}));
  EXPECT_EQ(decode(*problem, found.best).dims, (Dims{2, 3}));
}

TEST(Ortho, FindsTheGoldenOrthosOfPairs5) {
  const Found found = search(*problem_of({pairs(5)}));
  EXPECT_EQ(found.states.size(), 6032u);
  EXPECT_EQ(found.generated, 7437u);
  EXPECT_EQ(found.xor_of_ids, 0x6023dea99f039b78u);
  EXPECT_EQ(found.best_score, (Score{2, 8}));
}

TEST(Ortho, FindsTheGoldenOrthosOfAscp10) {
  const Found found = search(*problem_of({ascp(10)}));
  EXPECT_EQ(found.states.size(), 76824u);
  EXPECT_EQ(found.generated, 76943u);
  EXPECT_EQ(found.xor_of_ids, 0x4614565ba98eb23au);
  EXPECT_EQ(found.best_score, (Score{2, 8}));
}

TEST(Ortho, ExpandsByTheRules) {
  for (const auto rules : {OrthoRules::kCurrent, OrthoRules::kClassic}) {
    SCOPED_TRACE(rules == OrthoRules::kCurrent ? "current" : "classic");
    expect_follows_the_rules({read_data("t1_abcd.txt")}, rules);
    expect_follows_the_rules({read_data("t2_twocities.txt")}, rules);
    expect_follows_the_rules({pairs(4)}, rules);
    expect_follows_the_rules({ascp(8)}, rules, 3000);
  }
}

// Long phrases: boxes longer than 2, several parents for one shape.
RC_GTEST_PROP(Ortho, ExpandsRandomTextsByTheRules, ()) {
  const int letters = *rc::gen::inRange(2, 5);
  const int length = *rc::gen::inRange(2, 60);
  std::string text;
  for (int i = 0; i < length; ++i) {
    text += static_cast<char>('a' + *rc::gen::inRange(0, letters));
    text += *rc::gen::inRange(0, 12) == 0 ? ". " : " ";
  }
  const auto rules = *rc::gen::element(OrthoRules::kCurrent, OrthoRules::kClassic);
  expect_follows_the_rules({text}, rules, 400);
  RC_ASSERT(!testing::Test::HasFailure());
}

TEST(Ortho, TheOrderOfTextsDoesNotMatter) {
  const auto one = problem_of({"a b. c d.", "a c. b d."});
  const auto other = problem_of({"a c. b d.", "a b. c d."});
  EXPECT_EQ(search(*one).xor_of_ids, search(*other).xor_of_ids);
  EXPECT_EQ(search(*one).xor_of_ids, search(*problem_of({read_data("t1_abcd.txt")})).xor_of_ids);
}

// 9,000 more words, each a sentence: two bytes a word, lists in the place of bitsets, and one more
// state a word.
TEST(Ortho, LargeVocabulariesFindTheSame) {
  const Found small = search(*problem_of({pairs(5)}));
  std::string text = pairs(5);
  for (int i = 0; i < 9000; ++i) {
    text += {' ',
             'w',
             static_cast<char>('a' + i % 26),
             static_cast<char>('a' + i / 26 % 26),
             static_cast<char>('a' + i / 676),
             '.'};
  }
  const Found large = search(*problem_of({text}));
  EXPECT_EQ(large.states.size(), small.states.size() + 9000);
  EXPECT_EQ(large.generated, small.generated + 9000);
  EXPECT_EQ(large.best_score, small.best_score);
  EXPECT_EQ(large.xor_of_ids ^ small.xor_of_ids, [] {
    uint64_t ids = 0;  // the new words sort behind the five letters
    for (uint32_t word = 5; word < 9005; ++word) {
      ids ^=
          ortho_id({{2, 2}, {word, kEmptyCell, kEmptyCell, kEmptyCell}, {}}, OrthoRules::kCurrent);
    }
    return ids;
  }());
}

// A grid of words whose rows and columns are sentences: boxes as large as the grid.
std::string grid(int rows, int columns) {
  const auto word = [](int row, int column) {
    return std::string{static_cast<char>('a' + row / 26), static_cast<char>('a' + row % 26),
                       static_cast<char>('a' + column / 26), static_cast<char>('a' + column % 26),
                       ' '};
  };
  std::string text;
  for (int row = 0; row < rows; ++row, text += ". ") {
    for (int column = 0; column < columns; ++column) text += word(row, column);
  }
  for (int column = 0; column < columns; ++column, text += ". ") {
    for (int row = 0; row < rows; ++row) text += word(row, column);
  }
  return text;
}

// The first child of the first child ... of the start, until there is none.
std::vector<State> first_children(const Problem& problem, size_t limit) {
  OneExpander expand(problem);
  const auto initial = *problem.initial();
  std::vector<State> walk = {State(initial[0].begin(), initial[0].end())};
  while (walk.size() < limit) {
    const auto children = expand(walk.back());
    if (children.empty()) break;
    walk.push_back(children.front());
  }
  return walk;
}

TEST(Ortho, FillsBoxesOfManyCells) {
  const auto problem = problem_of({grid(16, 16)});
  const auto walk = first_children(*problem, 1000);
  Ortho last = decode(*problem, walk.back());
  EXPECT_EQ(last.dims, (Dims{16, 17}));  // 16 x 16 is complete; its first child cannot go on
  EXPECT_EQ(problem->score(view(walk.back())), (Score{15 * 16, 256}));
  EXPECT_EQ(problem->id(view(walk.back())), ortho_id(last, OrthoRules::kCurrent));
}

TEST(Ortho, ABoxBeyondTheLimitIsAnError) {
  const auto problem = problem_of({grid(33, 33)});
  const auto expander = *problem->expander();
  std::vector<uint8_t> bytes(1 << 14);
  std::vector<uint32_t> ends(2000), parents(1);
  const auto initial = *problem->initial();
  std::vector<uint8_t> state = initial[0];
  for (int step = 0; step < 1100; ++step) {
    Successors out(StateForm::kBytes, {}, bytes, ends, parents);
    const auto end = static_cast<uint32_t>(state.size());
    const StateBlock block{.packed = {}, .data = state.data(), .ends = {&end, 1}};
    const auto complete = expander->expand(block, 0, out);
    if (!complete) {
      EXPECT_EQ(complete.error().code(), Code::kTooLarge);
      EXPECT_THAT(complete.error().message(), HasSubstr("32x32"));
      return;
    }
    ASSERT_GT(out.count(), 0u);
    ASSERT_LE(out[0].bytes.size(), problem->traits().max_state_bytes);
    state.assign(out[0].bytes.begin(), out[0].bytes.end());
  }
  FAIL() << "never too large";
}

TEST(Ortho, ThreadsShareOneProblem) {
  const auto problem = problem_of({ascp(7)});
  std::vector<uint64_t> ids(4);
  std::vector<std::thread> threads;
  for (uint64_t& result : ids) {
    threads.emplace_back([&problem, &result] { result = search(*problem).xor_of_ids; });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(ids, testing::Each(search(*problem_of({ascp(7)})).xor_of_ids));
}

TEST(Ortho, ComesBackWhenTheRoomIsFull) {
  const auto problem = problem_of({ascp(6)});
  const Found found = search(*problem);
  OneExpander expand(*problem);
  std::vector<State> expected;
  std::vector<uint8_t> data;
  std::vector<uint32_t> ends;
  for (const State& state : found.states) {
    for (State& child : expand(state)) expected.push_back(std::move(child));
    data.insert(data.end(), state.begin(), state.end());
    ends.push_back(static_cast<uint32_t>(data.size()));
  }
  const StateBlock block{.packed = {}, .data = data.data(), .ends = ends};
  std::vector<uint8_t> bytes(100);
  std::vector<uint32_t> out_ends(9);
  std::vector<uint32_t> parents(block.size());
  const auto expander = *problem->expander();
  std::vector<State> actual;
  for (size_t first = 0; first < block.size();) {
    Successors out(StateForm::kBytes, {}, bytes, out_ends, parents);
    const auto complete = expander->expand(block, first, out);
    ASSERT_TRUE(complete);
    ASSERT_GT(*complete, 0u);
    ASSERT_EQ(out.parent_count(), *complete);
    first += *complete;
    for (size_t i = 0; i < out.count(); ++i) {
      actual.emplace_back(reinterpret_cast<const char*>(out[i].bytes.data()), out[i].bytes.size());
    }
  }
  EXPECT_EQ(actual, expected);
}

TEST(Ortho, TheIdIsTakenOfTheCanonicalBytes) {
  const auto problem = problem_of({"a b c d"});
  const State start(1, '\0');
  std::vector<uint8_t> bytes(problem->canonical_size());
  // 2 dims, 2 2, 4 cells, 4 empty, no up_axis.
  EXPECT_EQ(problem->canonical(view(start), bytes), 9 * sizeof(uint64_t));
  EXPECT_EQ(problem->id(view(start)), ortho_id(first_ortho(), OrthoRules::kCurrent));
}

TEST(Ortho, DrawsABox) {
  const auto problem = problem_of({"a b. c d. a c. b d."});
  const Found found = search(*problem);
  bool has_drawn = false;
  for (const State& state : found.states) {
    const Ortho ortho = decode(*problem, state);
    if (ortho.dims == Dims{2, 2} && ortho.payload == std::vector<uint32_t>{0, 1, 2, kEmptyCell}) {
      EXPECT_EQ(problem->draw(view(state)), "   a    b\n   c    ·");
      has_drawn = true;
    }
    if (ortho.dims == Dims{2, 2, 2}) {
      EXPECT_EQ(problem->draw(view(state)),
                "[0, *, *]\n   a    b\n   c    d\n\n[1, *, *]\n   ·    ·\n   ·    ·");
    }
  }
  EXPECT_TRUE(has_drawn);
}

TEST(Ortho, TellsTheBestInWords) {
  const auto problem = problem_of({read_data("t1_abcd.txt")});
  const Found found = search(*problem);
  const auto json = nlohmann::json::parse(problem->best_json(view(found.best), found.best_score));
  const auto id = std::to_string(problem->id(view(found.best)));
  EXPECT_EQ(json, (nlohmann::json{{"score", {2, 4}},
                                  {"dims", {2, 3}},
                                  {"up_axis", nullptr},
                                  {"cells", {"a", "b", "c", nullptr, "d", nullptr}},
                                  {"id", id}}));
}

TEST(Ortho, AnEmptyTextHasOnlyTheStart) {
  EXPECT_EQ(search(*problem_of({""})).states.size(), 1u);
  EXPECT_EQ(search(*problem_of({""}, "classic")).states.size(), 1u);
}

TEST(Ortho, ForeignBytesAreAnError) {
  const auto problem = problem_of({"a b. c d. a c. b d."});
  const auto expander = *problem->expander();
  std::vector<uint8_t> bytes(1000);
  std::vector<uint32_t> ends(100), parents(1);
  for (const State& bad : {State("\xff"), State(40, '\0'), State("\1", 1), State()}) {
    Successors out(StateForm::kBytes, {}, bytes, ends, parents);
    const auto end = static_cast<uint32_t>(bad.size());
    const StateBlock block{
        .packed = {}, .data = reinterpret_cast<const uint8_t*>(bad.data()), .ends = {&end, 1}};
    const auto result = expander->expand(block, 0, out);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code(), Code::kCorrupt);
  }
}

TEST(Ortho, WrongArgumentsGetOneLine) {
  const TextFile good("a b."), bad("ab\xff");
  const auto expect = [](const ProblemArguments& arguments, Code code, std::string_view message) {
    const auto problem = make_ortho(arguments);
    ASSERT_FALSE(problem);
    EXPECT_EQ(problem.error().code(), code);
    EXPECT_THAT(problem.error().message(), HasSubstr(message));
    EXPECT_THAT(problem.error().message(), testing::Not(HasSubstr("\n")));
  };
  expect({}, Code::kUsage, "which text");
  expect({good.path(), "--rules"}, Code::kUsage, "--rules needs a value");
  expect({good.path(), "--rules", "new"}, Code::kUsage, "'new'");
  expect({good.path(), "--rule=classic"}, Code::kUsage, "--rule=classic");
  expect({bad.path()}, Code::kInvalid, bad.path() + ": not UTF-8 at byte 2");
  expect({"/nowhere/text.txt"}, Code::kNotFound, "/nowhere/text.txt");
  expect({testing::TempDir()}, Code::kInvalid, testing::TempDir() + ": is a folder");
}

}  // namespace
}  // namespace spillway::expand

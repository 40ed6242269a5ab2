#include "expand/foreign/plugin.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/memory/budget.hpp"
#include "expand/engine/search.hpp"
#include "expand/engine/search_oracle.hpp"
#include "expand/job/expand.hpp"

namespace spillway::expand {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

std::string example(const std::string& name) { return SPILLWAY_EXAMPLES "/" + name + ".so"; }
std::string faulty(const std::string& name = "faulty_plugin") {
  return SPILLWAY_TEST_PLUGINS "/" + name + ".so";
}

class Folder {
 public:
  Folder() {
    char name[] = "/tmp/spillway-plugin-XXXXXX";
    path_ = ::mkdtemp(name);
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// The error of making the problem or searching it plainly; "" for none.
std::string error_of(const ProblemArguments& words, OracleResult* result = nullptr) {
  const auto problem = make_plugin(words);
  if (!problem) {
    EXPECT_EQ(problem.error().code(), Code::kInvalid) << problem.error().message();
    EXPECT_THAT(problem.error().message(), AllOf(StartsWith("plugin "), Not(HasSubstr("\n"))));
    return problem.error().message();
  }
  auto found = search_plainly(**problem);
  if (!found) {
    EXPECT_THAT(found.error().message(), Not(HasSubstr("\n")));
    return found.error().message();
  }
  if (result != nullptr) *result = *std::move(found);
  return "";
}
std::string fault(const std::string& name) { return error_of({faulty(), "200", name}); }

struct Searched {
  std::string error;
  uint64_t ids_xor = 0, ids_sum = 0, frontier = 0;
  Score best_score{};
  std::vector<uint8_t> best;
  std::vector<std::vector<uint8_t>> order;
};

// By the engine, in rounds of which every new state is made a second time.
Searched search_in_rounds(const ProblemArguments& words, unsigned threads = 2,
                          Identity identity = Identity::kFp128) {
  const Folder folder;
  const auto problem = make_plugin(words);
  if (!problem) return {.error = problem.error().message()};
  const auto budget = Budget::create(40_MiB);
  const auto space = ScratchSpace::create({folder.path(), 4_GiB, true});
  SearchOptions options;
  options.threads = threads;
  options.identity = identity;
  options.tuning = {.small_layer = 0, .round_limit = 5000, .bucket_records = 64, .table_slots = 64};
  options.work_folder = folder.path();
  options.keep_layers = true;
  auto search = Search::create(**problem, options, *budget, *space);
  if (!search) return {.error = search.error().message()};
  const auto ran = (*search)->run({}, [](const std::string&) -> Result<void> { return {}; });
  if (!ran) return {.error = ran.error().message()};
  const SearchState& state = (*search)->state();
  Searched searched{.ids_xor = state.ids_xor,
                    .ids_sum = state.ids_sum,
                    .frontier = state.frontier,
                    .best_score = state.best_score,
                    .best = state.best};
  const auto walked = (*search)->each_state([&](uint32_t, const StateView& view) -> Result<void> {
    searched.order.emplace_back(view.bytes.begin(), view.bytes.end());
    return {};
  });
  EXPECT_TRUE(walked.has_value());
  return searched;
}

TEST(Plugin, FindsTheGoldenLayersOfPancake8) {
  OracleResult result;
  EXPECT_EQ(error_of({example("pancake_plugin"), "8"}, &result), "");
  EXPECT_EQ(result.fresh(),
            (std::vector<uint64_t>{1, 7, 42, 251, 1191, 4281, 10561, 15011, 8520, 455}));
}

TEST(Plugin, SaysInOneLineWhatIsNoPlugin) {
  EXPECT_THAT(error_of({"/nowhere/none.so"}),
              HasSubstr("plugin /nowhere/none.so: cannot be loaded"));
  EXPECT_THAT(error_of({"libm.so.6"}), HasSubstr("no spillway_problem()"));
  EXPECT_THAT(error_of({SPILLWAY_SOURCE_DIR "/LICENSE"}), HasSubstr("cannot be loaded"));
  EXPECT_THAT(error_of({"."}), HasSubstr("cannot be loaded"));
  EXPECT_EQ(make_plugin({}).error().code(), Code::kUsage);
  EXPECT_EQ(make_plugin({""}).error().code(), Code::kUsage);
}

TEST(Plugin, RefusesADescriptionThatIsNotRight) {
  EXPECT_THAT(error_of({faulty("bad_abi_plugin"), "9"}),
              HasSubstr("speaks version 7 of the interface, this program version 1"));
  EXPECT_THAT(error_of({faulty("bad_bytes_plugin"), "9"}),
              HasSubstr("its description has 8 bytes"));
  EXPECT_THAT(error_of({faulty("bad_no_expand_plugin"), "9"}),
              HasSubstr("lacks one of create, destroy, initial, expand"));
  EXPECT_THAT(error_of({faulty("bad_state_bytes_plugin"), "9"}),
              HasSubstr("max_state_bytes is 65537"));
  EXPECT_THAT(error_of({faulty("bad_name_plugin"), "9"}),
              HasSubstr("name '../counter' must be 1 to 40 letters"));
  EXPECT_THAT(error_of({faulty("bad_null_plugin"), "9"}), HasSubstr("describes no problem"));
}

TEST(Plugin, KeepsItsWordsForAsLongAsItLives) {
  // The faulty plugin reads argv in every call.
  EXPECT_THAT(fault("expand-fails"), HasSubstr("expand() failed with 78"));
  ProblemArguments words{faulty(), "200", "expand-fails"};
  const auto problem = make_plugin(words);
  ASSERT_TRUE(problem.has_value());
  for (std::string& word : words) word.assign(word.size(), '?');
  words.clear();
  words.shrink_to_fit();
  const auto found = search_plainly(**problem);
  ASSERT_FALSE(found.has_value());
  EXPECT_THAT(found.error().message(),
              HasSubstr("expand() failed with 78 (of the state 3200000000000000)"));
}

TEST(Plugin, IsNotHandedTheDashesBeforeItsWords) {
  const auto arguments = [](const ProblemArguments& words) {
    return (*make_plugin(words))->arguments_json();
  };
  const std::string plain = arguments({faulty(), "9", "--memory"});
  EXPECT_THAT(plain, HasSubstr("[\"9\",\"--memory\"]"));
  EXPECT_EQ(arguments({faulty(), "--", "9", "--memory"}), plain);
  EXPECT_EQ(arguments({faulty(), "9", "--", "--memory"}), plain);
  EXPECT_THAT(arguments({faulty(), "--", "9", "--"}), HasSubstr("[\"9\",\"--\"]"));
}

TEST(Plugin, TellsWhatCreateSaid) {
  EXPECT_THAT(error_of({example("pancake_plugin"), "99"}), HasSubstr("from 2 to 16"));
  EXPECT_THAT(error_of({faulty()}), HasSubstr("wants a number"));
  EXPECT_THAT(fault("create-silent"), HasSubstr("without saying why"));
  EXPECT_THAT(fault("create-fills"), HasSubstr("xxxx"));
  EXPECT_THAT(fault("create-throws"), HasSubstr("an exception left create(): no licence"));
}

TEST(Plugin, CatchesWhatItThrows) {
  EXPECT_THAT(fault("initial-throws"), HasSubstr("an exception left initial(): no disk"));
  EXPECT_THAT(fault("expand-throws"), HasSubstr("an exception left expand(): at 50"));
  EXPECT_THAT(fault("expand-throws-int"),
              HasSubstr("an exception left expand(): of a type of its own"));
  EXPECT_THAT(fault("key-throws"), HasSubstr("an exception left key(): no key"));
  EXPECT_THAT(fault("score-throws"), HasSubstr("an exception left score(): no score"));
  EXPECT_EQ(fault("destroy-throws"), "");
}

TEST(Plugin, RefusesWhatItsFunctionsMayNotDo) {
  EXPECT_THAT(fault("initial-fails"), HasSubstr("initial() failed with 77"));
  EXPECT_THAT(fault("initial-large"), HasSubstr("initial() gave a state of 0 bytes"));
  EXPECT_THAT(fault("initial-endless"), HasSubstr("more than 4 MiB in all"));
  EXPECT_THAT(fault("expand-full"), HasSubstr("SPILLWAY_FULL, which no push had said"));
  EXPECT_THAT(fault("expand-empty"), HasSubstr("gave a state of 0 bytes; its states have 1 to 8"));
  EXPECT_THAT(fault("expand-large"), HasSubstr("gave a state of 9 bytes; its states have 1 to 8"));
  EXPECT_THAT(fault("expand-null"), HasSubstr("gave a state of 0 bytes"));
  EXPECT_THAT(fault("key-large"), HasSubstr("key() gave 9 bytes; 1 to 8 are allowed"));
  EXPECT_THAT(fault("key-none"), HasSubstr("key() gave 0 bytes"));
  EXPECT_THAT(search_in_rounds({faulty(), "9", "initial-none"}).error,
              HasSubstr("no initial state"));
}

TEST(Plugin, CatchesAStateThatDiffersWhenExpandedAgainAtOnce) {
  EXPECT_THAT(fault("differs-at-once"),
              HasSubstr("expanding the state 0000000000000000 again gave other successors"));
}

TEST(Plugin, CatchesAStateThatDiffersWhenTheNextLayerIsMade) {
  EXPECT_EQ(search_in_rounds({faulty(), "20000", "wide"}).error, "");
  for (const char* name : {"wide-differs", "wide-swaps"}) {
    EXPECT_THAT(search_in_rounds({faulty(), "20000", name}).error,
                HasSubstr("the problem is not deterministic"))
        << name;
    EXPECT_THAT(search_in_rounds({faulty(), "20000", name}, 1, Identity::kFp64).error,
                HasSubstr("the problem is not deterministic"))
        << name;
  }
}

TEST(Plugin, IsProvenByItsBytesToo) {
  OracleResult oracle;
  ASSERT_EQ(error_of({faulty("old_plugin"), "20000", "wide"}, &oracle), "");
  const Searched searched =
      search_in_rounds({faulty("old_plugin"), "20000", "wide"}, 2, Identity::kExact);
  EXPECT_EQ(searched.error, "");
  EXPECT_EQ(searched.order, oracle.order);
  EXPECT_THAT(
      search_in_rounds({faulty("old_plugin"), "20000", "wide-swaps"}, 2, Identity::kExact).error,
      HasSubstr("the problem is not deterministic"));
}

TEST(Plugin, WithKeysCannotBeToldApartByBytes) {
  const Folder folder;
  const auto problem = make_plugin({example("knights_plugin"), "9", "fold"});
  ASSERT_TRUE(problem.has_value());
  ExpandOptions options;
  options.out = folder.path() + "/out";
  options.identity = Identity::kExact;
  const auto ran = run(**problem, options, {});
  ASSERT_FALSE(ran.has_value());
  EXPECT_EQ(ran.error().code(), Code::kUsage);
  EXPECT_THAT(ran.error().message(), HasSubstr("keys of its own"));
  EXPECT_FALSE(std::filesystem::exists(options.out));
}

TEST(Plugin, StopsAtAFullRoomEvenWhenThePluginDoesNot) {
  const auto problem = make_plugin({faulty(), "1000000", "ignores-full"});
  ASSERT_TRUE(problem.has_value());
  const auto expander = (*problem)->expander();
  ASSERT_TRUE(expander.has_value());
  std::vector<uint8_t> data(24);
  for (size_t i = 0; i < 3; ++i) data[i * 8] = static_cast<uint8_t>(i + 1);
  const std::vector<uint32_t> state_ends{8, 16, 24};
  StateBlock block;
  block.data = data.data();
  block.ends = state_ends;
  std::vector<uint8_t> bytes(1000);
  std::vector<uint32_t> ends(25), parent_ends(10);
  Successors out(StateForm::kBytes, {}, bytes, ends, parent_ends);
  out.clear();
  const auto count = (*expander)->expand(block, 0, out);
  ASSERT_TRUE(count.has_value()) << count.error().message();
  EXPECT_EQ(*count, 2u);
  EXPECT_EQ(out.count(), 20u);
}

TEST(Plugin, TellsStatesApartByTheirKeys) {
  OracleResult plain, folded;
  EXPECT_EQ(error_of({example("knights_plugin"), "20"}, &plain), "");
  EXPECT_EQ(error_of({example("knights_plugin"), "20", "fold"}, &folded), "");
  EXPECT_EQ(plain.states, 400u);
  EXPECT_EQ(folded.states, 210u);  // n (n + 1) / 2
  EXPECT_EQ(plain.layers.size(), folded.layers.size());
}

TEST(Plugin, FindsByKeysWhatAPlainSearchFinds) {
  OracleResult oracle;
  ASSERT_EQ(error_of({example("knights_plugin"), "120", "fold"}, &oracle), "");
  EXPECT_EQ(oracle.states, 7260u);
  for (const Identity identity : {Identity::kFp128, Identity::kFp64}) {
    const Searched searched =
        search_in_rounds({example("knights_plugin"), "120", "fold"}, 3, identity);
    ASSERT_EQ(searched.error, "");
    EXPECT_EQ(searched.order, oracle.order);
    EXPECT_EQ(searched.ids_xor, oracle.ids_xor);
    EXPECT_EQ(searched.ids_sum, oracle.ids_sum);
    EXPECT_EQ(searched.frontier, oracle.frontier);
    EXPECT_EQ(searched.best_score, oracle.best_score);
    EXPECT_EQ(searched.best, oracle.best);
  }
}

TEST(Plugin, FindsTheFirstOptimumByItsScores) {
  OracleResult result;
  EXPECT_EQ(error_of({faulty(), "200"}, &result), "");
  // The greatest last digit, then the greatest rest of 4: 19 is the first such number.
  EXPECT_EQ(result.best_score, (Score{9, 3}));
  EXPECT_EQ(result.best.at(0), 19);
}

TEST(Plugin, ShowsTheOptimumInItsWords) {
  const auto problem = make_plugin({faulty(), "200"});
  ASSERT_TRUE(problem.has_value());
  const std::vector<uint8_t> state{19, 0, 0, 0, 0, 0, 0, 0};
  const auto json = nlohmann::json::parse((*problem)->best_json({0, state}, {9, 3}));
  EXPECT_EQ(json["score"], (nlohmann::json{9, 3}));
  EXPECT_EQ(json["state"], "1300000000000000");
  EXPECT_EQ(json["text"], "number 19");
  EXPECT_EQ(json["id"], std::to_string((*problem)->id({0, state})));
  EXPECT_EQ((*problem)->draw({0, state}), "number 19");
}

TEST(Plugin, MakesOtherBytesInItsWordsUtf8) {
  const std::vector<uint8_t> state(8);
  EXPECT_EQ((*make_plugin({faulty(), "9", "describe-bytes"}))->draw({0, state}),
            "a\xEF\xBF\xBD\xC3\xA4\xEF\xBF\xBD");
  EXPECT_THAT((*make_plugin({faulty(), "9", "describe-large"}))->draw({0, state}),
              HasSubstr("describe() wrote 4097 bytes"));
  EXPECT_THAT((*make_plugin({faulty(), "9", "describe-throws"}))->draw({0, state}),
              HasSubstr("left describe(): no words"));
}

TEST(Plugin, NeedsNoneOfTheOptionalFunctions) {
  const auto problem = make_plugin({faulty("old_plugin"), "200"});
  ASSERT_TRUE(problem.has_value()) << problem.error().message();
  EXPECT_FALSE((*problem)->has_score());
  EXPECT_FALSE((*problem)->traits().own_identity);
  EXPECT_EQ((*problem)->columns().size(), 1u);
  const auto found = search_plainly(**problem);
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->states, 202u);
}

TEST(Plugin, TakesUpNoRunOfAnotherBuild) {
  const Folder folder;
  const std::string file = folder.path() + "/counter.so";
  const auto run_it = [&](Resume resume) -> std::string {
    const auto problem = make_plugin({file, "200"});
    if (!problem) return problem.error().message();
    ExpandOptions options;
    options.out = folder.path() + "/out";
    options.resume = resume;
    options.job.memory = 64_MiB;
    options.job.threads = 1;
    options.job.progress = ProgressMode::kNone;
    const auto ran = run(**problem, options, {});
    return !ran ? ran.error().message() : ran->was_finished ? "finished before" : "";
  };
  std::filesystem::copy_file(faulty(), file);
  EXPECT_EQ(run_it(Resume::kAuto), "");
  EXPECT_EQ(run_it(Resume::kAuto), "finished before");
  std::filesystem::remove(file);
  std::filesystem::copy_file(faulty("rebuilt_plugin"), file);
  EXPECT_THAT(run_it(Resume::kAuto), HasSubstr("holds a run with another build of the library"));
  EXPECT_EQ(run_it(Resume::kNever), "");
}

}  // namespace
}  // namespace spillway::expand

#include "expand/engine/search.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <xxhash.h>

#include <atomic>
#include <filesystem>

#include "expand/engine/search_fixture.hpp"

namespace spillway::expand {
namespace {

void check(const RandomGraph& graph, const Knobs& knobs) {
  const Folder folder;
  const auto oracle = search_plainly(graph);
  ASSERT_TRUE(oracle);
  auto budget = Budget::create(knobs.memory);
  auto space = ScratchSpace::create({folder.path(), 4_GiB, true});
  ASSERT_TRUE(space) << space.error().message();
  auto search = Search::create(graph, options_for(knobs, folder), *budget, *space);
  ASSERT_TRUE(search) << search.error().message();
  auto ran = (*search)->run({}, [](const std::string&) -> Result<void> { return {}; });
  ASSERT_TRUE(ran) << ran.error().message();
  EXPECT_TRUE((*search)->complete());
  expect_equal(**search, *oracle, graph.traits().form);
}

TEST(Search, SmallLayersFindWhatAPlainSearchFinds) {
  check(RandomGraph({.nodes = 30000, .scored = true}), {});
}

TEST(Search, RoundsFindWhatAPlainSearchFinds) {
  check(RandomGraph({.nodes = 60000, .degree = 6, .scored = true}),
        {.threads = 2, .tuning = kRoundsOnly});
}

TEST(Search, LoggedSuccessorsFindWhatAPlainSearchFinds) {
  check(RandomGraph({.form = StateForm::kBytes,
                     .nodes = 60000,
                     .degree = 5,
                     .keep = true,
                     .scored = true,
                     .padding = 90}),
        {.threads = 2, .tuning = kRoundsOnly});
}

TEST(Search, RemadeBytesFindWhatAPlainSearchFinds) {
  check(
      RandomGraph(
          {.form = StateForm::kBytes, .nodes = 60000, .degree = 5, .scored = true, .padding = 30}),
      {.threads = 3, .memory = 40_MiB, .tuning = kRoundsOnly});
}

TEST(Search, Fingerprints64FindWhatAPlainSearchFinds) {
  check(RandomGraph({.form = StateForm::kBytes, .nodes = 20000}),
        {.threads = 2, .tuning = kRoundsOnly, .identity = Identity::kFp64});
}

// Fingerprints of 5 bits: nearly every state looks like another one.
SearchTuning confusing(SearchTuning tuning) {
  tuning.fingerprint_bits = 5;
  return tuning;
}

TEST(Search, ExactIdentityTellsStatesApartByTheirBytes) {
  for (const SearchTuning& tuning : {SearchTuning{}, kRoundsOnly}) {
    for (const bool keep : {false, true}) {
      check(RandomGraph({.form = StateForm::kBytes,
                         .nodes = 3000,
                         .degree = 4,
                         .keep = keep,
                         .scored = true,
                         .padding = 20}),
            {.threads = 2, .tuning = confusing(tuning), .identity = Identity::kExact});
    }
  }
  check(RandomGraph({.form = StateForm::kBytes, .nodes = 60000, .degree = 5, .padding = 30}),
        {.threads = 3, .memory = 40_MiB, .tuning = kRoundsOnly, .identity = Identity::kExact});
}

// The control: with such fingerprints and nothing else, states are lost.
TEST(Search, ShortFingerprintsAloneLoseStates) {
  const RandomGraph graph({.form = StateForm::kBytes, .nodes = 3000, .degree = 4});
  const Folder folder;
  const auto oracle = search_plainly(graph);
  ASSERT_TRUE(oracle);
  auto budget = Budget::create(24_MiB);
  auto space = *ScratchSpace::create({folder.path(), 4_GiB, true});
  auto search =
      *Search::create(graph, options_for({.tuning = confusing({})}, folder), *budget, space);
  ASSERT_TRUE(search->run({}, [](const std::string&) -> Result<void> { return {}; }));
  EXPECT_LT(search->state().layers.total().fresh, oracle->states);
}

RC_GTEST_PROP(Search, AnyGraphAnyKnobs, ()) {
  RandomGraph::Options graph;
  graph.form = *rc::gen::element(StateForm::kPacked, StateForm::kBytes);
  graph.nodes = *rc::gen::inRange<uint64_t>(2, 6000);
  graph.degree = *rc::gen::inRange(1u, 9u);
  graph.seed = *rc::gen::arbitrary<uint64_t>();
  graph.keep = graph.form == StateForm::kBytes && *rc::gen::arbitrary<bool>();
  graph.scored = *rc::gen::arbitrary<bool>();
  graph.padding = *rc::gen::inRange(0u, 40u);
  Knobs knobs;
  knobs.threads = *rc::gen::inRange(1u, 4u);
  knobs.memory = 40_MiB;
  knobs.tuning.small_layer = *rc::gen::element(0.0, 50.0, 1000.0);
  knobs.tuning.round_limit = *rc::gen::inRange<uint64_t>(1, 3000);
  knobs.tuning.bucket_records = *rc::gen::inRange<uint64_t>(1, 200);
  knobs.tuning.table_slots = *rc::gen::inRange<uint64_t>(1, 300);
  if (graph.form == StateForm::kBytes && *rc::gen::arbitrary<bool>()) {
    knobs.identity = Identity::kExact;
    knobs.tuning.fingerprint_bits = *rc::gen::element(3u, 64u, 128u);
  }
  check(RandomGraph(graph), knobs);
  RC_ASSERT(!::testing::Test::HasFailure());
}

// Stops after every round, throws the search away and goes on from the checkpoint, as a kill would
// have it.
TEST(Search, ResumesFromEveryCheckpoint) {
  for (const auto& [keep, identity] :
       {std::pair{false, Identity::kFp128}, {true, Identity::kFp128}, {true, Identity::kExact}}) {
    const RandomGraph graph({.form = StateForm::kBytes,
                             .nodes = 20000,
                             .degree = 5,
                             .keep = keep,
                             .scored = true,
                             .padding = 20});
    const auto oracle = search_plainly(graph);
    ASSERT_TRUE(oracle);
    const Folder folder;
    std::string saved;
    unsigned resumed = 0;
    while (true) {
      auto budget = Budget::create(40_MiB);
      auto space = ScratchSpace::create({folder.path(), 4_GiB, true});
      const Knobs knobs{.threads = 1 + resumed % 3, .tuning = kRoundsOnly, .identity = identity};
      auto search = Search::create(graph, options_for(knobs, folder), *budget, *space);
      ASSERT_TRUE(search) << search.error().message();
      if (!saved.empty()) {
        auto restored = (*search)->restore(saved);
        ASSERT_TRUE(restored) << restored.error().message();
      }
      std::stop_source stop;
      stop.request_stop();
      auto ran = (*search)->run(stop.get_token(), [&](const std::string& text) -> Result<void> {
        saved = text;
        return {};
      });
      if (!ran && ran.error().code() == Code::kCancelled) {
        ++resumed;
        ASSERT_LT(resumed, 1000u);
        continue;
      }
      ASSERT_TRUE(ran) << ran.error().message();
      expect_equal(**search, *oracle, graph.traits().form);
      break;
    }
    EXPECT_GT(resumed, 10u);
  }
}

// A stop while states are expanded, without grace: the round is dropped, and where `saves` is false the
// checkpoint, too. Going on from the last one finds the same.
void stop_within_rounds(Identity identity, bool saves) {
  std::atomic<uint64_t> expanded{0}, stop_at{0};
  std::stop_source stop;
  const RandomGraph graph({.form = StateForm::kBytes,
                           .nodes = 20000,
                           .degree = 5,
                           .scored = true,
                           .padding = 20,
                           .on_expand = [&] {
                             if (++expanded == stop_at) stop.request_stop();
                           }});
  const auto oracle = search_plainly(graph);
  ASSERT_TRUE(oracle);
  const Folder folder;
  std::string saved;
  unsigned stops = 0, lost = 0;
  for (bool done = false; !done;) {
    auto budget = Budget::create(40_MiB);
    auto space = ScratchSpace::create({folder.path(), 4_GiB, true});
    SearchOptions options =
        options_for({.threads = 2, .tuning = kRoundsOnly, .identity = identity}, folder);
    options.round_grace = std::chrono::milliseconds(0);
    if (!saves) {
      options.checkpoint_grace = std::chrono::milliseconds(0);
      options.checkpoint = std::chrono::milliseconds(0);  // one a round
    }
    auto search = Search::create(graph, options, *budget, *space);
    ASSERT_TRUE(search);
    stop = std::stop_source();
    if (!saved.empty()) {
      ASSERT_TRUE((*search)->restore(saved));
    }
    expanded = 0;
    stop_at = 150 * (1 + stops % 60);
    auto ran = (*search)->run(stop.get_token(), [&](const std::string& text) -> Result<void> {
      saved = text;
      return {};
    });
    if (ran) {
      expect_equal(**search, *oracle, graph.traits().form);
      done = true;
      continue;
    }
    ASSERT_EQ(ran.error().code(), Code::kCancelled) << ran.error().message();
    lost += ran.error().message().find("done again") != std::string::npos;
    ASSERT_LT(++stops, 1000u);
  }
  EXPECT_GT(stops, 5u);
  EXPECT_EQ(lost > 0, !saves);
}

TEST(Search, AStopLosesNothingButTheRoundItMeets) {
  for (const Identity identity : {Identity::kFp128, Identity::kExact}) {
    stop_within_rounds(identity, true);
    stop_within_rounds(identity, false);
  }
}

// How many checkpoints a search makes when every round takes `round` of a day's time.
size_t checkpoints_made(std::chrono::seconds round, std::chrono::milliseconds every,
                        size_t* layers = nullptr, size_t* rounds = nullptr) {
  const RandomGraph graph({.nodes = 30000, .degree = 5});
  const Folder folder;
  FakeClock clock;
  auto budget = Budget::create(24_MiB);
  auto space = ScratchSpace::create({folder.path(), 4_GiB, true});
  SearchOptions options =
      options_for({.tuning = {.small_layer = 0, .round_limit = 500, .bucket_records = 64}}, folder);
  options.checkpoint = every;
  options.clock = &clock;
  size_t made = 0, done = 0;
  options.on_round = [&] {
    clock.advance(round);
    ++done;
  };
  auto search = Search::create(graph, options, *budget, *space);
  EXPECT_TRUE(search);
  auto ran = (*search)->run({}, [&](const std::string&) -> Result<void> {
    ++made;
    return {};
  });
  EXPECT_TRUE(ran) << ran.error().message();
  if (layers != nullptr) *layers = (*search)->state().layers.size();
  if (rounds != nullptr) *rounds = done;
  return made;
}

TEST(Search, MakesACheckpointWhenOneIsDue) {
  using std::chrono::seconds;
  size_t layers = 0, rounds = 0;
  EXPECT_EQ(checkpoints_made(seconds(0), seconds(60), &layers, &rounds), 0u) << "no time passes";
  ASSERT_GT(rounds, layers + 5) << "layers were meant to take several rounds";
  EXPECT_EQ(checkpoints_made(seconds(60), seconds(60)), rounds);
  size_t short_rounds = 0;  // each ends as soon as it may
  EXPECT_EQ(checkpoints_made(seconds(0), seconds(0), nullptr, &short_rounds), short_rounds);
  EXPECT_GT(short_rounds, rounds);
  // Every sixth round, and every layer's end that is 15 s away from the last one.
  const size_t some = checkpoints_made(seconds(10), seconds(60));
  EXPECT_LE(some, rounds / 2);
  EXPECT_GE(some, rounds / 6);
}

TEST(Search, StopsAtMaxDepth) {
  const RandomGraph graph({.nodes = 30000});
  const Folder folder;
  const auto oracle = search_plainly(graph, 6);
  ASSERT_TRUE(oracle);
  auto budget = Budget::create(24_MiB);
  auto space = ScratchSpace::create({folder.path(), 4_GiB, true});
  SearchOptions options = options_for({}, folder);
  options.max_depth = 6;
  auto search = Search::create(graph, options, *budget, *space);
  ASSERT_TRUE(search);
  ASSERT_TRUE((*search)->run({}, [](const std::string&) -> Result<void> { return {}; }));
  EXPECT_FALSE((*search)->complete());
  expect_equal(**search, *oracle, StateForm::kPacked);
}

TEST(Search, RefusesTooLittleMemoryAndSaysHowMuch) {
  const RandomGraph graph({});
  const Folder folder;
  auto budget = Budget::create(1_MiB);
  auto space = ScratchSpace::create({folder.path(), 4_GiB, true});
  auto search = Search::create(graph, options_for({}, folder), *budget, *space);
  ASSERT_FALSE(search);
  EXPECT_EQ(search.error().code(), Code::kMemoryLimit);
  EXPECT_NE(search.error().message().find("too little"), std::string::npos);
}

TEST(Search, LeavesNoScratchWhenItIsFull) {
  const RandomGraph graph({.nodes = 600000, .degree = 8});
  const Folder folder;
  auto budget = Budget::create(16_MiB);
  auto space = ScratchSpace::create({folder.path(), 1_MiB, true});
  const Knobs knobs{.threads = 2, .tuning = {.small_layer = 0}};
  {
    auto search = Search::create(graph, options_for(knobs, folder), *budget, *space);
    ASSERT_TRUE(search) << search.error().message();
    auto ran = (*search)->run({}, [](const std::string&) -> Result<void> { return {}; });
    ASSERT_FALSE(ran) << "the limit was meant to be reached";
    EXPECT_EQ(ran.error().code(), Code::kScratchFull) << ran.error().message();
  }
  EXPECT_EQ((*space)->used(), Bytes(0));
  EXPECT_EQ(budget->used(), Bytes(0));
}

}  // namespace
}  // namespace spillway::expand

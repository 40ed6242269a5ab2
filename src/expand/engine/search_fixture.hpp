// For tests of the engine: random graphs, knobs, and a comparison with a plain search.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>
#include <xxhash.h>

#include <bit>
#include <cstring>
#include <filesystem>
#include <functional>

#include "expand/engine/search.hpp"
#include "expand/engine/search_oracle.hpp"

namespace spillway::expand {

// A random directed graph: `nodes` states, each with 0..degree successors that a hash of (seed,
// state, i) names.
class RandomGraph final : public Problem {
 public:
  struct Options {
    StateForm form = StateForm::kPacked;
    uint64_t nodes = 1000;
    unsigned degree = 4;
    uint64_t seed = 1;
    bool keep = false;
    bool scored = false;
    unsigned padding = 0;             // kBytes: extra bytes, by state
    std::function<void()> on_expand;  // of each state; from any thread
  };
  explicit RandomGraph(Options options) : options_(options) {}

  std::string name() const override { return "random"; }
  std::string arguments_json() const override { return "{}"; }
  ProblemTraits traits() const override {
    ProblemTraits traits;
    traits.form = options_.form;
    traits.key_bits = static_cast<unsigned>(std::bit_width(options_.nodes));
    traits.max_state_bytes = 8 + options_.padding;
    traits.keep_successors = options_.keep;
    return traits;
  }
  Result<std::vector<std::vector<uint8_t>>> initial() const override {
    std::vector<std::vector<uint8_t>> list;
    for (uint64_t state : {uint64_t{0}, uint64_t{1}, uint64_t{0}})
      list.push_back(encode(state % options_.nodes));
    return list;
  }
  Result<std::unique_ptr<Expander>> expander() const override {
    return std::make_unique<Edges>(*this);
  }
  bool has_score() const override { return options_.scored; }
  Score score(const StateView& state) const override { return {hash(decode(state), 99) % 50, 0}; }
  std::vector<Column> columns() const override { return {}; }
  void describe(const StateView&, Row&) const override {}

 private:
  class Edges final : public Expander {
   public:
    explicit Edges(const RandomGraph& graph) : graph_(graph) {}
    Result<uint32_t> expand(const StateBlock& parents, size_t first, Successors& out) override {
      uint32_t done = 0;
      for (size_t i = first; i < parents.size(); ++i, ++done) {
        if (graph_.options_.on_expand) graph_.options_.on_expand();
        const uint64_t state = graph_.decode(parents[i]);
        const uint64_t degree = graph_.hash(state, 0) % (graph_.options_.degree + 1);
        for (uint64_t edge = 0; edge < degree; ++edge) {
          // Half the edges stay near, so that there are depth and many duplicates.
          const uint64_t roll = graph_.hash(state, edge + 1);
          const uint64_t next = (roll & 1) != 0 ? roll % graph_.options_.nodes
                                                : (state + roll % 7) % graph_.options_.nodes;
          const bool fits = graph_.options_.form == StateForm::kPacked
                                ? out.push(next)
                                : out.push(graph_.encode(next));
          if (!fits) {
            out.drop_parent();
            return done;
          }
        }
        out.end_parent();
      }
      return done;
    }

   private:
    const RandomGraph& graph_;
  };

  uint64_t hash(uint64_t state, uint64_t salt) const {
    const uint64_t words[2] = {state, salt};
    return XXH3_64bits_withSeed(words, sizeof words, options_.seed);
  }
  std::vector<uint8_t> encode(uint64_t state) const {
    std::vector<uint8_t> bytes(8);
    std::memcpy(bytes.data(), &state, 8);
    if (options_.form == StateForm::kBytes && options_.padding > 0)
      bytes.resize(8 + state % options_.padding, 7);
    return bytes;
  }
  uint64_t decode(const StateView& state) const {
    if (options_.form == StateForm::kPacked) return state.packed;
    uint64_t value = 0;
    std::memcpy(&value, state.bytes.data(), 8);
    return value;
  }
  Options options_;
};

class Folder {
 public:
  Folder() : Folder("/tmp") {}
  // In memory where that is possible: for tests that sync thousands of times.
  static Folder in_memory() {
    return Folder(::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }

 private:
  explicit Folder(const std::string& parent) : path_(parent + "/spillway-search-XXXXXX") {
    CHECK(::mkdtemp(path_.data()) != nullptr);
  }
  std::string path_;
};

struct Knobs {
  unsigned threads = 1;
  Bytes memory = 24_MiB;
  SearchTuning tuning;
  Identity identity = Identity::kFp128;
};

inline SearchOptions options_for(const Knobs& knobs, const Folder& folder) {
  SearchOptions options;
  options.threads = knobs.threads;
  options.tuning = knobs.tuning;
  options.identity = knobs.identity;
  options.work_folder = folder.path();
  options.keep_layers = true;
  options.checkpoint = std::chrono::hours(1);
  return options;
}

inline void expect_equal(Search& search, const OracleResult& oracle, StateForm form) {
  const SearchState& state = search.state();
  ASSERT_EQ(state.layers.size(), oracle.layers.size());
  ASSERT_TRUE(state.layers.each([&](uint64_t i, const LayerRow& row) -> Result<void> {
    EXPECT_EQ(row.fresh, oracle.layers[i].fresh) << "depth " << i;
    EXPECT_EQ(row.generated, oracle.layers[i].generated) << "depth " << i;
    EXPECT_EQ(row.duplicate, oracle.layers[i].duplicate) << "depth " << i;
    return {};
  }));
  EXPECT_EQ(state.frontier, oracle.frontier);
  EXPECT_EQ(state.ids_xor, oracle.ids_xor);
  EXPECT_EQ(state.ids_sum, oracle.ids_sum);
  EXPECT_EQ(state.has_best, oracle.has_best);
  if (oracle.has_best) {
    EXPECT_EQ(state.best_score, oracle.best_score);
    EXPECT_EQ(state.best, oracle.best);
  }
  size_t at = 0;
  bool same = true;
  auto walked = search.each_state([&](uint32_t, const StateView& view) -> Result<void> {
    same &= at < oracle.order.size() && oracle_bytes(form, view) == oracle.order[at];
    ++at;
    return {};
  });
  ASSERT_TRUE(walked);
  EXPECT_TRUE(same) << "the order of discovery differs";
  EXPECT_EQ(at, oracle.order.size());
}

// Small enough that every path is taken.
inline constexpr SearchTuning kRoundsOnly{
    .small_layer = 0, .round_limit = 5000, .bucket_records = 64, .table_slots = 64};

}  // namespace spillway::expand

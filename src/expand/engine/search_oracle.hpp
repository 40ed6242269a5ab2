// Test only: the plain FIFO search in memory that the engine must agree with, over any Problem.
//
// It knows nothing of layers on disk, fingerprints or blocks: one queue, one set of whole states,
// one parent expanded at a time.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <unordered_set>

#include "expand/problem/problem.hpp"

namespace spillway::expand {

struct OracleLayer {
  uint64_t fresh = 0, generated = 0, duplicate = 0;
};

struct OracleResult {
  std::vector<OracleLayer> layers;  // by depth
  uint64_t states = 0, generated = 0, frontier = 0;
  uint64_t ids_xor = 0, ids_sum = 0;
  std::vector<std::vector<uint8_t>> order;  // encodings in discovery order; 8 bytes when packed
  bool has_best = false;
  Score best_score{};
  std::vector<uint8_t> best;  // its encoding

  std::vector<uint64_t> fresh() const {
    std::vector<uint64_t> counts;
    for (const OracleLayer& layer : layers) counts.push_back(layer.fresh);
    return counts;
  }
};

// A state's encoding as initial() gives it.
inline std::vector<uint8_t> oracle_bytes(StateForm form, const StateView& view) {
  if (form == StateForm::kBytes) return {view.bytes.begin(), view.bytes.end()};
  std::vector<uint8_t> bytes(sizeof view.packed);
  std::memcpy(bytes.data(), &view.packed, sizeof view.packed);
  return bytes;
}

class SearchOracle {
 public:
  explicit SearchOracle(const Problem& problem) : problem_(problem), form_(problem.traits().form) {}

  Result<OracleResult> search(uint32_t max_depth = UINT32_MAX) {
    for (const std::vector<uint8_t>& state : TRY(problem_.initial())) {
      add(state);
    }
    const std::unique_ptr<Expander> expander = TRY(problem_.expander());
    size_t begin = 0;
    for (uint32_t depth = 0; begin < result_.order.size(); ++depth) {
      const size_t end = result_.order.size();
      result_.layers.push_back({.fresh = end - begin});
      if (depth == max_depth) break;
      for (; begin < end; ++begin) {
        const std::vector<uint8_t> parent = result_.order[begin];
        TRY(expand_one(*expander, parent));
      }
    }
    TRY(expander->settle());
    result_.states = result_.order.size();
    return std::move(result_);
  }

 private:
  bool add(const std::vector<uint8_t>& state) {
    const StateView view = view_of(state);
    std::string identity(state.begin(), state.end());
    if (problem_.traits().own_identity) {
      const Fingerprint print = problem_.fingerprint(view);
      identity = std::to_string(print.hi) + " " + std::to_string(print.lo);
    }
    if (!seen_.insert(std::move(identity)).second) return false;
    result_.order.push_back(state);
    const uint64_t id = problem_.id(view);
    result_.ids_xor ^= id;
    result_.ids_sum += id;
    if (problem_.has_score()) consider(state, problem_.score(view));
    return true;
  }

  void consider(const std::vector<uint8_t>& state, const Score& score) {
    if (result_.has_best && score <= result_.best_score) return;
    result_.has_best = true;
    result_.best_score = score;
    result_.best = state;
  }

  Result<void> expand_one(Expander& expander, const std::vector<uint8_t>& state) {
    const StateView view = view_of(state);
    const uint32_t parent_end = static_cast<uint32_t>(state.size());
    StateBlock block;
    if (form_ == StateForm::kPacked) {
      block.packed = {&view.packed, 1};
    } else {
      block.data = view.bytes.data();
      block.ends = {&parent_end, 1};
    }
    Successors out(form_, packed_, bytes_, ends_, parent_ends_);
    out.clear();
    if (TRY(expander.expand(block, 0, out)) != 1) {
      return fail(Code::kInternal, "the oracle's room is too small for one state's successors");
    }
    result_.generated += out.count();
    OracleLayer& layer = result_.layers.back();
    layer.generated += out.count();
    bool found_new = false;
    for (uint32_t i = 0; i < out.count(); ++i) {
      const bool is_new = add(oracle_bytes(form_, out[i]));
      layer.duplicate += !is_new;
      found_new |= is_new;
    }
    if (!found_new) ++result_.frontier;
    return {};
  }

  StateView view_of(const std::vector<uint8_t>& state) const {
    StateView view;
    if (form_ == StateForm::kPacked) {
      std::memcpy(&view.packed, state.data(), sizeof view.packed);
    } else {
      view.bytes = state;
    }
    return view;
  }

  const Problem& problem_;
  StateForm form_;
  std::unordered_set<std::string> seen_;
  OracleResult result_;
  std::vector<uint64_t> packed_ = std::vector<uint64_t>(1 << 12);
  std::vector<uint8_t> bytes_ = std::vector<uint8_t>(1 << 20);
  std::vector<uint32_t> ends_ = std::vector<uint32_t>(1 << 12);
  std::vector<uint32_t> parent_ends_ = std::vector<uint32_t>(1);
};

inline Result<OracleResult> search_plainly(const Problem& problem,
                                           uint32_t max_depth = UINT32_MAX) {
  return SearchOracle(problem).search(max_depth);
}

// The whole search of `name arguments...`; a failure fails the test.
inline OracleResult oracle_search(std::string_view name, const ProblemArguments& arguments,
                                  uint32_t max_depth = UINT32_MAX) {
  auto problem = make_problem(name, arguments);
  if (!problem) {
    ADD_FAILURE() << problem.error().message();
    return {};
  }
  auto result = SearchOracle(**problem).search(max_depth);
  if (!result) {
    ADD_FAILURE() << result.error().message();
    return {};
  }
  return *std::move(result);
}

}  // namespace spillway::expand

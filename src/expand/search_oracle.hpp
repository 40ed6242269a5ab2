// Test only: the plain FIFO search in memory that the engine must agree with, over any Problem.
//
// It knows nothing of layers on disk, fingerprints or blocks: one queue, one set of whole states,
// one parent expanded at a time.
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <unordered_set>

#include "expand/problem.hpp"

namespace spillway::expand {

struct OracleResult {
  std::vector<uint64_t> layers;  // new states by depth
  uint64_t states = 0, generated = 0, frontier = 0;
  uint64_t ids_xor = 0, ids_sum = 0;
  std::vector<uint64_t> ids;  // in discovery order
  std::optional<uint64_t> best_id;
  Score best_score{};
};

class SearchOracle {
 public:
  explicit SearchOracle(const Problem& problem) : problem_(problem), form_(problem.traits().form) {}

  Result<OracleResult> search(uint32_t max_depth = UINT32_MAX) {
    for (const std::vector<uint8_t>& state : TRY(problem_.initial())) {
      add(std::string(state.begin(), state.end()));
    }
    const std::unique_ptr<Expander> expander = TRY(problem_.expander());
    size_t begin = 0;
    for (uint32_t depth = 0; begin < order_.size(); ++depth) {
      const size_t end = order_.size();
      result_.layers.push_back(end - begin);
      if (depth == max_depth) break;
      for (; begin < end; ++begin) TRY(expand_one(*expander, *order_[begin]));
    }
    result_.states = order_.size();
    return std::move(result_);
  }

 private:
  bool add(std::string state) {
    const auto [at, is_new] = seen_.insert(std::move(state));
    if (!is_new) return false;
    order_.push_back(&*at);
    const StateView view = view_of(*at);
    const uint64_t id = problem_.id(view);
    result_.ids.push_back(id);
    result_.ids_xor ^= id;
    result_.ids_sum += id;
    if (problem_.has_score()) consider(view, id);
    return true;
  }

  void consider(const StateView& view, uint64_t id) {
    const Score score = problem_.score(view);
    if (result_.best_id && score <= result_.best_score) return;
    result_.best_id = id;
    result_.best_score = score;
  }

  Result<void> expand_one(Expander& expander, const std::string& state) {
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
    bool found_new = false;
    for (uint32_t i = 0; i < out.count(); ++i) found_new |= add(encoded(out[i]));
    if (!found_new) ++result_.frontier;
    return {};
  }

  StateView view_of(const std::string& state) const {
    StateView view;
    if (form_ == StateForm::kPacked) {
      std::memcpy(&view.packed, state.data(), sizeof view.packed);
    } else {
      view.bytes = {reinterpret_cast<const uint8_t*>(state.data()), state.size()};
    }
    return view;
  }
  std::string encoded(const StateView& view) const {
    if (form_ == StateForm::kBytes) return std::string(view.bytes.begin(), view.bytes.end());
    return std::string(reinterpret_cast<const char*>(&view.packed), sizeof view.packed);
  }

  const Problem& problem_;
  StateForm form_;
  std::unordered_set<std::string> seen_;
  std::vector<const std::string*> order_;
  OracleResult result_;
  std::vector<uint64_t> packed_ = std::vector<uint64_t>(1 << 12);
  std::vector<uint8_t> bytes_ = std::vector<uint8_t>(1 << 20);
  std::vector<uint32_t> ends_ = std::vector<uint32_t>(1 << 12);
  std::vector<uint32_t> parent_ends_ = std::vector<uint32_t>(1);
};

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

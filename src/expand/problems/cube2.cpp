#include "expand/problems/cube2.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "expand/problem/packed_expander.hpp"

namespace spillway::expand {
namespace {

constexpr unsigned kCorners = 7;
constexpr uint32_t kPermutations = 5040;
constexpr uint32_t kTwists = 729;
constexpr unsigned kTwistBits = 10;
constexpr unsigned kKeyBits = 23;
constexpr unsigned kMostTurns = 9;

using Corners = std::array<uint8_t, kCorners>;

// After a turn, the corner at i is the one that was at from[i], twisted by twist[i].
struct Turn {
  Corners from, twist;
};

// Corners: 0 up-right-front, 1 up-front-left, 2 up-left-back, 3 up-back-right, 4 down-front-right,
// 5 down-left-front, 6 down-right-back.
constexpr std::array<Turn, 3> kQuarterTurns = {{
    {{3, 0, 1, 2, 4, 5, 6}, {0, 0, 0, 0, 0, 0, 0}},  // U
    {{4, 1, 2, 0, 6, 5, 3}, {2, 0, 0, 1, 1, 0, 2}},  // R
    {{1, 5, 2, 3, 0, 4, 6}, {1, 2, 0, 0, 2, 1, 0}},  // F
}};

Turn then(const Turn& first, const Turn& second) {
  Turn both;
  for (unsigned i = 0; i < kCorners; ++i) {
    both.from[i] = first.from[second.from[i]];
    both.twist[i] = static_cast<uint8_t>((first.twist[second.from[i]] + second.twist[i]) % 3);
  }
  return both;
}

uint32_t permutation_rank(const Corners& corners) {
  uint32_t rank = 0;
  for (unsigned i = 0; i < kCorners; ++i) {
    uint32_t smaller = 0;
    for (unsigned j = i + 1; j < kCorners; ++j) smaller += corners[j] < corners[i];
    rank = rank * (kCorners - i) + smaller;
  }
  return rank;
}

Corners permutation_at(uint32_t rank) {
  Corners digits;
  for (unsigned i = kCorners; i-- > 0; rank /= kCorners - i) {
    digits[i] = static_cast<uint8_t>(rank % (kCorners - i));
  }
  std::vector<uint8_t> left = {0, 1, 2, 3, 4, 5, 6};
  Corners corners;
  for (unsigned i = 0; i < kCorners; ++i) {
    corners[i] = left[digits[i]];
    left.erase(left.begin() + digits[i]);
  }
  return corners;
}

uint32_t twist_rank(const Corners& twists) {
  uint32_t rank = 0;
  for (unsigned i = 0; i + 1 < kCorners; ++i) rank = rank * 3 + twists[i];
  return rank;
}

Corners twists_at(uint32_t rank) {
  Corners twists;
  unsigned sum = 0;
  for (unsigned i = kCorners - 1; i-- > 0; rank /= 3)
    sum += twists[i] = static_cast<uint8_t>(rank % 3);
  twists[kCorners - 1] = static_cast<uint8_t>((3 - sum % 3) % 3);
  return twists;
}

struct Tables {
  explicit Tables(const std::vector<Turn>& turns) {
    for (uint32_t rank = 0; rank < kPermutations; ++rank) {
      const Corners corners = permutation_at(rank);
      for (size_t t = 0; t < turns.size(); ++t) {
        Corners moved;
        for (unsigned i = 0; i < kCorners; ++i) moved[i] = corners[turns[t].from[i]];
        permutation[rank][t] = static_cast<uint16_t>(permutation_rank(moved));
      }
    }
    for (uint32_t rank = 0; rank < kTwists; ++rank) {
      for (size_t t = 0; t < turns.size(); ++t) {
        const Turn turned = then({{}, twists_at(rank)}, turns[t]);
        twist[rank][t] = static_cast<uint16_t>(twist_rank(turned.twist));
      }
    }
  }

  std::array<std::array<uint16_t, kMostTurns>, kPermutations> permutation;
  std::array<std::array<uint16_t, kMostTurns>, kTwists> twist;
};

struct CubeRules {
  template <class Emit>
  void successors(uint64_t state, Emit&& emit) const {
    const auto& permutation = tables->permutation[state >> kTwistBits];
    const auto& twist = tables->twist[state & ((1u << kTwistBits) - 1)];
    for (uint32_t t = 0; t < max_successors; ++t) {
      emit(uint64_t{permutation[t]} << kTwistBits | twist[t]);
    }
  }

  std::shared_ptr<const Tables> tables;
  uint32_t max_successors;
};

class Cube2 final : public Problem {
 public:
  Cube2(CubeRules rules, std::string metric)
      : rules_(std::move(rules)), metric_(std::move(metric)) {}

  std::string name() const override { return "cube2"; }
  std::string arguments_json() const override {
    return fmt::format("{{\"metric\":\"{}\"}}", metric_);
  }
  ProblemTraits traits() const override { return {.key_bits = kKeyBits}; }
  Result<std::vector<std::vector<uint8_t>>> initial() const override { return one_packed(0); }
  Result<std::unique_ptr<Expander>> expander() const override {
    return std::make_unique<PackedExpander<CubeRules>>(rules_);
  }

  // Which corner stands at each of the 7 places, then how each is twisted.
  size_t canonical(const StateView& state, std::span<uint8_t> out) const override {
    const Corners corners = permutation_at(static_cast<uint32_t>(state.packed >> kTwistBits));
    const Corners twists =
        twists_at(static_cast<uint32_t>(state.packed & ((1u << kTwistBits) - 1)));
    std::copy(corners.begin(), corners.end(), out.begin());
    std::copy(twists.begin(), twists.end(), out.begin() + kCorners);
    return 2 * kCorners;
  }
  size_t canonical_size() const override { return 2 * kCorners; }

  std::vector<Column> columns() const override {
    return {{"arrangement", ColumnType::kUint32List}};
  }
  void describe(const StateView& state, Row& row) const override {
    std::array<uint8_t, 2 * kCorners> bytes;
    canonical(state, bytes);
    const std::array<uint32_t, 2 * kCorners> values = [&bytes] {
      std::array<uint32_t, 2 * kCorners> wide;
      std::copy(bytes.begin(), bytes.end(), wide.begin());
      return wide;
    }();
    row.list(values);
  }

 private:
  CubeRules rules_;
  std::string metric_;
};

}  // namespace

Result<std::unique_ptr<Problem>> make_cube2(const ProblemArguments& arguments) {
  if (arguments.size() != 1) return fail(Code::kUsage, "cube2 takes one word: cube2 htm|qtm");
  const std::string& metric = arguments[0];
  if (metric != "htm" && metric != "qtm") {
    return fail(Code::kUsage, fmt::format("cube2: \"{}\" is not a metric; htm or qtm", metric));
  }
  std::vector<Turn> turns;
  for (const Turn& quarter : kQuarterTurns) {
    const Turn half = then(quarter, quarter);
    turns.push_back(quarter);
    if (metric == "htm") turns.push_back(half);
    turns.push_back(then(half, quarter));
  }
  const auto count = static_cast<uint32_t>(turns.size());
  return std::make_unique<Cube2>(CubeRules{std::make_shared<const Tables>(turns), count}, metric);
}

}  // namespace spillway::expand

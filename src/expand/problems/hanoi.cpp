#include "expand/problems/hanoi.hpp"

#include <fmt/format.h>

#include <bit>
#include <optional>

#include "expand/problem/argument.hpp"
#include "expand/problem/packed_expander.hpp"

namespace spillway::expand {
namespace {

constexpr uint32_t kMostDiscs = 32;  // 3 or 4 pegs: 2 bits a disc

struct HanoiRules {
  HanoiRules(uint32_t peg_count, uint32_t disc_count)
      : pegs(peg_count),
        discs(disc_count),
        bits(static_cast<uint32_t>(std::bit_width(peg_count - 1))),
        max_successors(peg_count * (peg_count - 1) / 2) {}

  uint32_t peg_of(uint64_t state, uint32_t disc) const {
    return static_cast<uint32_t>(state >> (bits * disc) & ((1u << bits) - 1));
  }

  template <class Emit>
  void successors(uint64_t state, Emit&& emit) const {
    std::array<uint32_t, kMostHanoiPegs> top;  // the smallest disc of each peg; `discs` for none
    top.fill(discs);
    for (uint32_t disc = discs; disc-- > 0;) top[peg_of(state, disc)] = disc;
    for (uint32_t from = 0; from < pegs; ++from) {
      for (uint32_t to = 0; to < pegs; ++to) {
        if (top[from] < top[to]) emit(state + ((uint64_t{to} - from) << (bits * top[from])));
      }
    }
  }

  uint32_t pegs, discs, bits;
  uint32_t max_successors;  // of two pegs, at most one can give to the other
};

class Hanoi final : public Problem {
 public:
  explicit Hanoi(const HanoiRules& rules) : rules_(rules) {}

  std::string name() const override { return "hanoi"; }
  std::string arguments_json() const override {
    return fmt::format("{{\"pegs\":{},\"discs\":{}}}", rules_.pegs, rules_.discs);
  }
  ProblemTraits traits() const override { return {.key_bits = rules_.bits * rules_.discs}; }
  Result<std::vector<std::vector<uint8_t>>> initial() const override { return one_packed(0); }
  Result<std::unique_ptr<Expander>> expander() const override {
    return std::make_unique<PackedExpander<HanoiRules>>(rules_);
  }

  // One byte a disc, the smallest first: its peg.
  size_t canonical(const StateView& state, std::span<uint8_t> out) const override {
    for (uint32_t i = 0; i < rules_.discs; ++i) {
      out[i] = static_cast<uint8_t>(rules_.peg_of(state.packed, i));
    }
    return rules_.discs;
  }
  size_t canonical_size() const override { return kMostDiscs; }

  std::vector<Column> columns() const override { return {{"pegs", ColumnType::kUint32List}}; }
  void describe(const StateView& state, Row& row) const override {
    std::array<uint32_t, kMostDiscs> pegs;
    for (uint32_t i = 0; i < rules_.discs; ++i) pegs[i] = rules_.peg_of(state.packed, i);
    row.list(std::span(pegs).first(rules_.discs));
  }

 private:
  HanoiRules rules_;
};

struct Words {
  std::optional<std::string> pegs, discs;
};
Result<Words> parse_words(const ProblemArguments& arguments) {
  Words words;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& word = arguments[i];
    if (word == "--pegs" && i + 1 < arguments.size()) {
      words.pegs = arguments[++i];
    } else if (word == "--discs" && i + 1 < arguments.size()) {
      words.discs = arguments[++i];
    } else if (word.starts_with("--pegs=")) {
      words.pegs = word.substr(7);
    } else if (word.starts_with("--discs=")) {
      words.discs = word.substr(8);
    } else {
      return fail(Code::kUsage,
                  fmt::format("hanoi: what is \"{}\"? It takes --pegs P --discs N", word));
    }
  }
  if (!words.pegs || !words.discs) {
    return fail(Code::kUsage, "hanoi needs both numbers: hanoi --pegs P --discs N");
  }
  return words;
}

}  // namespace

Result<std::unique_ptr<Problem>> make_hanoi(const ProblemArguments& arguments) {
  const Words words = TRY(parse_words(arguments));
  const uint64_t pegs = TRY(parse_argument(*words.pegs, {"hanoi --pegs", 3, kMostHanoiPegs}));
  const uint64_t most = 64 / static_cast<uint64_t>(std::bit_width(pegs - 1));
  const uint64_t discs = TRY(parse_argument(*words.discs, {"hanoi --discs", 1, most}));
  return std::make_unique<Hanoi>(
      HanoiRules(static_cast<uint32_t>(pegs), static_cast<uint32_t>(discs)));
}

}  // namespace spillway::expand

#include "expand/problems/pancake.hpp"

#include <fmt/format.h>

#include "expand/problem/argument.hpp"
#include "expand/problem/packed_expander.hpp"

namespace spillway::expand {
namespace {

constexpr unsigned kMostPancakes = 16;

class Pancake final : public Problem {
 public:
  explicit Pancake(unsigned pancakes) : pancakes_(pancakes) {}

  std::string name() const override { return "pancake"; }
  std::string arguments_json() const override { return fmt::format("{{\"n\":{}}}", pancakes_); }
  ProblemTraits traits() const override { return {.key_bits = 4 * pancakes_}; }

  Result<std::vector<std::vector<uint8_t>>> initial() const override {
    uint64_t sorted = 0;
    for (uint64_t i = 0; i < pancakes_; ++i) sorted |= i << (4 * i);
    return one_packed(sorted);
  }
  Result<std::unique_ptr<Expander>> expander() const override {
    return std::make_unique<PackedExpander<PancakeRules>>(PancakeRules(pancakes_));
  }

  // One byte a pancake, from the top.
  size_t canonical(const StateView& state, std::span<uint8_t> out) const override {
    for (unsigned i = 0; i < pancakes_; ++i) out[i] = state.packed >> (4 * i) & 15;
    return pancakes_;
  }
  size_t canonical_size() const override { return kMostPancakes; }

  std::vector<Column> columns() const override {
    return {{"arrangement", ColumnType::kUint32List}};
  }
  void describe(const StateView& state, Row& row) const override {
    std::array<uint32_t, kMostPancakes> stack;
    for (unsigned i = 0; i < pancakes_; ++i) stack[i] = state.packed >> (4 * i) & 15;
    row.list(std::span(stack).first(pancakes_));
  }

 private:
  unsigned pancakes_;
};

}  // namespace

Result<std::unique_ptr<Problem>> make_pancake(const ProblemArguments& arguments) {
  if (arguments.size() != 1) {
    return fail(Code::kUsage, "pancake takes one number: pancake N (2 to 16)");
  }
  const uint64_t pancakes = TRY(parse_argument(arguments[0], {"pancake N", 2, kMostPancakes}));
  return std::make_unique<Pancake>(static_cast<unsigned>(pancakes));
}

}  // namespace spillway::expand

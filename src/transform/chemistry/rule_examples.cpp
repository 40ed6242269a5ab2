#include "transform/chemistry/rule_examples.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <set>

#include "transform/chemistry/transformer.hpp"

namespace spillway::transform {
namespace {

class Gather final : public ProductSink {
 public:
  Result<void> product(const Product& product) override {
    products.emplace(product.smiles);
    return {};
  }
  Result<void> failure(const Failure& failure) override {
    refused = std::string(failure.message);
    return {};
  }
  std::set<std::string> products;
  std::string refused;
};

Result<void> check_example(const RuleSet& rules, const Rule& rule) {
  const auto wrong = [&](const std::string& what) {
    return fail(Code::kInvalid, fmt::format("{}:{}: rule {}: example: {}", rules.source(),
                                            rule.line, rule.name, what));
  };
  const auto transformer = TRY(Transformer::create(TRY(rules.select({rule.name})), {}));
  Gather made;
  TRY(transformer->apply(rule.example.in, made));
  std::set<std::string> said;
  for (const std::string& out : rule.example.out) {
    const auto canonical = transformer->canonical(out);
    if (!canonical) return wrong(fmt::format("'{}' is not a SMILES", out));
    said.insert(*canonical);
  }
  if (said == made.products) return {};
  return wrong(fmt::format("the rule makes {} of {}, not {}",
                           made.products.empty()
                               ? "nothing" + (made.refused.empty() ? "" : " (" + made.refused + ")")
                               : fmt::format("{}", fmt::join(made.products, ", ")),
                           rule.example.in, fmt::join(said, ", ")));
}

}  // namespace

Result<size_t> check_examples(const RuleSet& rules) {
  size_t checked = 0;
  for (const Rule& rule : rules.rules()) {
    if (rule.example.in.empty()) continue;
    TRY(check_example(rules, rule));
    ++checked;
  }
  return checked;
}

}  // namespace spillway::transform

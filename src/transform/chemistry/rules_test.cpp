#include "transform/chemistry/rules.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "transform/chemistry/transformer.hpp"

namespace spillway::transform {
namespace {

using ::testing::HasSubstr;

std::shared_ptr<const RuleSet> standard() {
  auto path = standard_rules_path();
  EXPECT_TRUE(path) << path.error().message();
  auto set = RuleSet::load(*path);
  EXPECT_TRUE(set) << set.error().message();
  return *set;
}

std::string error_of(const std::string& yaml) {
  auto set = RuleSet::parse(yaml, "my.yaml");
  return set ? "no error" : set.error().message();
}

std::string rule_with(const std::string& smirks, const std::string& more = "") {
  return "rules:\n  - name: A\n    label: a\n    family: f\n    smirks: \"" + smirks + "\"\n" +
         more;
}

struct Gather final : ProductSink {
  std::set<std::string> smiles;
  int failures = 0;
  Result<void> product(const Product& product) override {
    smiles.emplace(product.smiles);
    return {};
  }
  Result<void> failure(const Failure&) override {
    ++failures;
    return {};
  }
};

TEST(StandardRules, AreThirtyFiveInFiveFamiliesInTheOrderOfTheFile) {
  const auto set = standard();
  ASSERT_EQ(set->rules().size(), 35u);
  EXPECT_EQ(set->rules()[0].name, "FG_PHENOL_OH__OH__TO__OMe");
  EXPECT_EQ(set->rules()[19].name, "R1_F");
  EXPECT_EQ(set->rules()[34].name, "R5_I");
  EXPECT_EQ((*set->select({"phenol"}))->rules().size(), 4u);
  EXPECT_EQ((*set->select({"amine_aromatic"}))->rules().size(), 9u);
  EXPECT_EQ((*set->select({"amine_aliphatic"}))->rules().size(), 3u);
  EXPECT_EQ((*set->select({"carboxyl"}))->rules().size(), 3u);
  EXPECT_EQ((*set->select({"halogenation"}))->rules().size(), 16u);
  for (const Rule& rule : set->rules()) {
    EXPECT_FALSE(rule.description.empty()) << rule.name;
    EXPECT_FALSE(rule.example.in.empty()) << rule.name;
  }
}

TEST(StandardRules, EveryExampleGivesExactlyItsProducts) {
  const auto set = standard();
  for (const Rule& rule : set->rules()) {
    auto transformer = Transformer::create(*set->select({rule.name}), {});
    ASSERT_TRUE(transformer) << transformer.error().message();
    Gather gather;
    ASSERT_TRUE((*transformer)->apply(rule.example.in, gather));
    std::set<std::string> expected;
    for (const std::string& out : rule.example.out)
      expected.insert((*transformer)->canonical(out).value_or("unreadable " + out));
    EXPECT_EQ(gather.smiles, expected) << rule.name;
    EXPECT_EQ(gather.failures, 0) << rule.name;
  }
}

TEST(RuleSet, SelectionKeepsTheOrderAndThePositionsOfTheFile) {
  const auto set = standard();
  const auto chosen = *set->select({"R1_Cl,phenol", "R1_Cl"});
  ASSERT_EQ(chosen->rules().size(), 5u);
  EXPECT_EQ(chosen->rules()[0].position, 0);
  EXPECT_EQ(chosen->rules()[4].name, "R1_Cl");
  EXPECT_EQ(chosen->rules()[4].position, 20);
  EXPECT_EQ((*set->select({"all"}))->sha256(), set->sha256());
  EXPECT_NE(chosen->sha256(), set->sha256());
}

TEST(RuleSet, UnknownNamesAreRefused) {
  const auto set = standard();
  const auto chosen = set->select({"R1_Q"});
  ASSERT_FALSE(chosen);
  EXPECT_EQ(chosen.error().code(), Code::kUsage);
  EXPECT_THAT(chosen.error().message(), HasSubstr("'R1_Q'"));
  EXPECT_FALSE(set->select({}));
}

TEST(RuleSet, TheHashIsThatOfTheCanonicalText) {
  const auto set = RuleSet::parse(rule_with("[c:1]O>>[c:1]N"), "x");
  ASSERT_TRUE(set);
  EXPECT_EQ((*set)->canonical_json(),
            R"({"defaults":{"max_sites_per_mol":-1},"rules":[{"description":"","example":)"
            R"({"in":"","out":[]},"family":"f","label":"a","name":"A","query_smarts":"[c:1]O",)"
            R"("scope_classes":[],"smirks":"[c:1]O>>[c:1]N"}]})");
  // Taken once with sha256sum(1).
  EXPECT_EQ((*set)->sha256(), "6aa92b30b1b93aa5b070f15a6532bd130241d0b7a7d4954851adfcc52d920e49");
}

TEST(RuleSet, SpellingOfTheFileDoesNotMoveTheHash) {
  const auto a = RuleSet::parse(rule_with("[c:1]O>>[c:1]N"), "x");
  const auto b = RuleSet::parse(
      "# other\nrules: [{smirks: '[c:1]O>>[c:1]N', family: f, name: A, label: a}]\n"
      "defaults: {max_sites_per_mol: -1}\n",
      "y");
  ASSERT_TRUE(a && b);
  EXPECT_EQ((*a)->sha256(), (*b)->sha256());
}

TEST(RuleSet, MistakesNameFileLineAndRule) {
  const std::string good = "[c:1]O>>[c:1]N";
  EXPECT_THAT(error_of(rule_with(good, "    colour: red\n")),
              HasSubstr("my.yaml:6: rule A: unknown key 'colour'"));
  EXPECT_THAT(error_of("extra: 1\n" + rule_with(good)),
              HasSubstr("my.yaml:1: unknown key 'extra'"));
  EXPECT_THAT(error_of("defaults: {max: 1}\n" + rule_with(good)), HasSubstr("unknown key 'max'"));
  EXPECT_THAT(error_of("defaults: {max_sites_per_mol: 0}\n" + rule_with(good)),
              HasSubstr("my.yaml:1: 'max_sites_per_mol'"));
  EXPECT_THAT(error_of(rule_with(good, "    exclude_sugar_like: true\n")),
              HasSubstr("my.yaml:6: rule A: 'exclude_sugar_like: true' is not supported"));
  EXPECT_THAT(error_of("rules:\n  - name: A\n    label: a\n    family: f\n"),
              HasSubstr("my.yaml:2: rule A: the key 'smirks' is missing"));
  EXPECT_THAT(error_of(rule_with(good, "    label: b\n")), HasSubstr("stands twice"));
  EXPECT_THAT(error_of("rules: [\n"), HasSubstr("my.yaml:"));
  EXPECT_THAT(error_of("rules: []\n"), HasSubstr("at least one rule"));
  EXPECT_THAT(error_of(rule_with(good) + rule_with(good).substr(7)),
              HasSubstr("my.yaml:6: rule A: there is a rule of this name"));
  EXPECT_EQ(error_of(rule_with(good, "    exclude_sugar_like: false\n    scope_classes: [x, y]\n")),
            "no error");
}

TEST(RuleSet, MistakesInASmirksNameThePosition) {
  EXPECT_THAT(error_of(rule_with("[c:1]O>[c:1]N")),
              HasSubstr("my.yaml:5: rule A: smirks: position 14: there is no '>>'"));
  EXPECT_THAT(error_of(rule_with("[c:1]Q>>[c:1]N")), HasSubstr("position 6: cannot read 'Q'"));
  EXPECT_THAT(error_of(rule_with("[c:1]O>>[c:1](N")),
              HasSubstr("position 16: the pattern is not finished"));
  EXPECT_THAT(error_of(rule_with("[c:1]O>>[c:1]N)C")), HasSubstr("position 15: cannot read ')C'"));
  EXPECT_THAT(error_of(rule_with("[c:1]O>>[c;%:1]N")),
              HasSubstr("position 12: cannot read '%:1]N'"));
  EXPECT_THAT(error_of(rule_with("[c:1]O>>[c:2]N")),
              HasSubstr("position 11: map number 2 is not on the left side"));
  EXPECT_THAT(error_of(rule_with("[c:1][O:1]>>[c:1]N")), HasSubstr("map number 1 stands twice"));
  EXPECT_THAT(error_of(rule_with("[c:1].O>>[c:1]N")), HasSubstr("more than one molecule"));
  EXPECT_THAT(error_of(rule_with("[c:1]O>>")), HasSubstr("position 9: nothing stands"));
  EXPECT_THAT(error_of(rule_with("CO>>CN")), HasSubstr("no mapped atom"));
}

TEST(RuleSet, AQueryMustMatchWhatTheLeftSideMatches) {
  const std::string smirks = "[c:1][OX2H:2]>>[c:1]N";
  const std::string example = "    example: {in: Oc1ccccc1, out: [Nc1ccccc1]}\n";
  EXPECT_EQ(error_of(rule_with(smirks, "    query_smarts: \"[c:1][O:2]\"\n" + example)),
            "no error");
  EXPECT_THAT(error_of(rule_with(smirks, "    query_smarts: \"[c:1][N:2]\"\n" + example)),
              HasSubstr("my.yaml:6: rule A: query_smarts: position 1: it does not match"));
  EXPECT_THAT(error_of(rule_with(smirks, "    query_smarts: \"c\"\n")),
              HasSubstr("it has 1 atoms"));
  EXPECT_THAT(error_of(rule_with(smirks, "    query_smarts: \"c(\"\n")), HasSubstr("position 3"));
}

TEST(RuleSet, AMissingFileIsNotFound) {
  const auto set = RuleSet::load("/no/such/rules.yaml");
  ASSERT_FALSE(set);
  EXPECT_EQ(set.error().code(), Code::kNotFound);
}

}  // namespace
}  // namespace spillway::transform

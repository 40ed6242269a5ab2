#include "transform/chemistry/transformer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "transform/chemistry/depict.hpp"
#include "transform/chemistry/molecule_size.hpp"

namespace spillway::transform {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::shared_ptr<const RuleSet> rules(const std::vector<std::string>& words) {
  static const auto kAll = [] {
    auto path = standard_rules_path();
    CHECK(path);
    auto set = RuleSet::load(*path);
    CHECK(set);
    return *set;
  }();
  auto chosen = kAll->select(words);
  CHECK(chosen);
  return *chosen;
}

struct Kept {
  std::string smiles, rule;
  int32_t site;
  std::vector<int32_t> atoms;
  bool operator==(const Kept&) const = default;
  bool operator<(const Kept& other) const {
    return std::tie(rule, site, smiles) < std::tie(other.rule, other.site, other.smiles);
  }
};

struct Gather final : ProductSink {
  explicit Gather(const RuleSet& set) : selection(set) {}
  const RuleSet& selection;
  std::vector<Kept> products;
  std::vector<Product> figures;  // the views in them are dead
  std::vector<std::string> failures;
  size_t stop_after = SIZE_MAX;

  Result<void> product(const Product& made) override {
    products.push_back({std::string(made.smiles),
                        selection.rules()[made.rule].name,
                        made.site_index,
                        {made.site_atoms.begin(), made.site_atoms.end()}});
    figures.push_back(made);
    if (products.size() >= stop_after) return fail(Code::kCancelled, "enough");
    return {};
  }
  Result<void> failure(const Failure& failed) override {
    const std::string rule =
        failed.rule == Failure::kNoRule ? "-" : selection.rules()[failed.rule].name;
    failures.push_back(rule + " " + std::to_string(failed.site_index) + " " +
                       std::string(name(failed.reason)));
    return {};
  }
  std::set<std::string> smiles() const {
    std::set<std::string> all;
    for (const Kept& kept : products) all.insert(kept.smiles);
    return all;
  }
};

struct Ran {
  Row row;
  std::vector<RuleCounts> counts;
  Gather out;
  std::shared_ptr<const RuleSet> selection;  // `out` refers to it
  RuleCounts total() const {
    RuleCounts sum;
    for (const RuleCounts& one : counts) {
      sum.sites += one.sites;
      sum.products += one.products;
      sum.skipped += one.skipped;
      for (size_t i = 0; i < kReasonCount; ++i) sum.failed[i] += one.failed[i];
    }
    return sum;
  }
};

Ran run_with(const std::shared_ptr<const RuleSet>& selection, std::string_view smiles,
             TransformOptions options) {
  auto transformer = Transformer::create(selection, options);
  CHECK(transformer);
  Ran ran{Row::kNoSite, {}, Gather(*selection), selection};
  auto applied = (*transformer)->apply(smiles, ran.out);
  CHECK(applied);
  ran.row = applied->row;
  ran.counts.assign(applied->by_rule.begin(), applied->by_rule.end());
  return ran;
}

Ran run(const std::string& rule, std::string_view smiles, TransformOptions options = {}) {
  return run_with(rules({rule}), smiles, options);
}

TEST(Transformer, ARingAmineOpens) {
  EXPECT_THAT(run("R4_Cl", "C1CCNCC1").out.smiles(), ElementsAre("CCCCCCl"));
}

TEST(Transformer, IsotopesStay) {
  EXPECT_THAT(run("FG_PHENOL_OH__OH__TO__OMe", "[13cH]1cccc([18OH])c1").out.smiles(),
              ElementsAre("C[18O]c1ccc[13cH]c1"));
  // Two positions that differ by the isotope alone are two products.
  EXPECT_EQ(run("R1_F", "Clc1c[13cH]c(Cl)cc1").out.smiles().size(), 4u);
}

TEST(Transformer, AtomMapsOfTheInputAreCleared) {
  EXPECT_THAT(run("FG_PHENOL_OH__OH__TO__NH2", "[OH:7][c:1]1[cH:2]cccc1").out.smiles(),
              ElementsAre("Nc1ccccc1"));
}

TEST(Transformer, OtherFragmentsAreKeptOrLeftOut) {
  const std::string salt = "[Na+].[O-]C(=O)c1ccc(O)cc1";
  for (const bool direct : {true, false}) {
    EXPECT_THAT(run("FG_PHENOL_OH__OH__TO__OMe", salt, {.direct = direct}).out.smiles(),
                ElementsAre("COc1ccc(C(=O)[O-])cc1.[Na+]"));
    EXPECT_THAT(
        run("FG_PHENOL_OH__OH__TO__OMe", salt, {.fragments = Fragments::kMatched, .direct = direct})
            .out.smiles(),
        ElementsAre("COc1ccc(C(=O)[O-])cc1"));
    // What the edit cuts off is no fragment of the input.
    EXPECT_THAT(run("R4_Cl", "Cl.CCNCc1ccccc1", {.direct = direct}).out.smiles(),
                ElementsAre("CCCl.Cl", "Cl.ClCc1ccccc1"));
  }
}

TEST(Transformer, SitesThatMirrorEachOtherAreTwoProductsWhenChiralityTellsThemApart) {
  // meso-2,3-butanediol, cis-1,2-cyclohexanediol: the two hydroxyls give enantiomers.
  EXPECT_EQ(run("R3_F", "C[C@H](O)[C@@H](C)O").out.smiles().size(), 2u);
  EXPECT_EQ(run("R3_F", "O[C@H]1CCCC[C@H]1O").out.smiles().size(), 2u);
  // Without marks they are the same.
  const Ran flat = run("R3_F", "CC(O)C(C)O");
  EXPECT_EQ(flat.out.products.size(), 1u);
  EXPECT_EQ(flat.counts[0].products, 2u);
  EXPECT_EQ(flat.counts[0].skipped, 1u);
}

TEST(Transformer, EAndZEndsOfADieneAreTwoProducts) {
  EXPECT_EQ(run("R3_Cl", "OC/C=C/C=C\\CO").out.smiles().size(), 2u);
  EXPECT_EQ(run("R3_Cl", "OC/C=C/C=C/CO").out.smiles().size(), 1u);
}

TEST(Transformer, SitesAreNumberedBeforeAnyIsSkipped) {
  const Ran toluene = run("R1_Cl", "Cc1ccccc1");
  ASSERT_EQ(toluene.out.products.size(), 3u);
  EXPECT_EQ(toluene.counts[0].sites, 5u);
  EXPECT_EQ(toluene.counts[0].products, 5u);
  EXPECT_EQ(toluene.counts[0].skipped, 2u);
  EXPECT_EQ(toluene.out.products[0].site, 0);
  EXPECT_THAT(toluene.out.products[0].atoms, ElementsAre(2));
  EXPECT_EQ(toluene.out.products[2].site, 2);
}

TEST(Transformer, SiteAtomsFollowTheMapNumbers) {
  const auto set = RuleSet::parse(
      "rules: [{name: A, label: a, family: f, smirks: '[O:3]=[C:1][OX2H:2]>>[O:3]=[C:1][O:2]C'}]",
      "x");
  ASSERT_TRUE(set);
  const Ran ran = run_with(*set, "CC(=O)O", {});
  ASSERT_EQ(ran.out.products.size(), 1u);
  EXPECT_THAT(ran.out.products[0].atoms, ElementsAre(1, 3, 2));
}

TEST(Transformer, RowsThatNoRuleSees) {
  for (const char* nothing : {"", "  "}) {
    const Ran ran = run("R1_F", nothing);
    EXPECT_EQ(ran.row, Row::kFailed);
    EXPECT_THAT(ran.out.failures, ElementsAre("- -1 null"));
  }
  for (const char* wrong : {"c1cc", "hello", "C(C)(C)(C)(C)C", "c1cccc1"}) {
    const Ran ran = run("R1_F", wrong);
    EXPECT_EQ(ran.row, Row::kFailed) << wrong;
    EXPECT_THAT(ran.out.failures, ElementsAre("- -1 parse")) << wrong;
  }
  EXPECT_EQ(run("R1_F", "CCO").row, Row::kNoSite);
}

TEST(Transformer, ProductsThatDoNotSanitizeAreFailuresWithTheSameReasonOnBothPaths) {
  const std::string ring = "O=C(CC1[NH2+]CCC2=c3ccccc3=[NH+]C2C1=O)Nc1ccc(Cl)cc1";
  for (const bool direct : {true, false}) {
    const Ran benzene = run("R1_F", "[2H]c1ccccc1", {.direct = direct});
    EXPECT_EQ(benzene.total().sites_failed(), 1u);
    EXPECT_EQ(benzene.total().failed[static_cast<size_t>(Reason::kKekulize)], 1u);
    const Ran phenol = run("FG_PHENOL_OH__OH__TO__OMe", "[2H]Oc1ccccc1", {.direct = direct});
    EXPECT_EQ(phenol.row, Row::kFailed);
    EXPECT_THAT(phenol.out.failures, ElementsAre("FG_PHENOL_OH__OH__TO__OMe 0 valence"));
    const Ran amine = run("R4_F", ring, {.direct = direct});
    EXPECT_GE(amine.total().failed[static_cast<size_t>(Reason::kKekulize)], 1u);
    EXPECT_EQ(amine.total().sites, amine.total().products + amine.total().sites_failed());
  }
}

TEST(Transformer, SitesAboveTheLimitAreCounted) {
  const auto set = RuleSet::parse(
      "defaults: {max_sites_per_mol: 2}\n"
      "rules: [{name: A, label: a, family: f, smirks: '[cH:1]>>[c:1]F'}]",
      "x");
  ASSERT_TRUE(set);
  const Ran ran = run_with(*set, "Cc1ccccc1", {});
  EXPECT_EQ(ran.counts[0].sites, 5u);
  EXPECT_EQ(ran.counts[0].products, 2u);
  EXPECT_THAT(ran.out.failures, ElementsAre("A 2 over-limit", "A 3 over-limit", "A 4 over-limit"));
}

TEST(Transformer, AThousandSitesAreNotTheMost) {
  // Above RDKit's bound of 1,000.
  std::string smiles = "Cc1ccc(O)cc1";
  for (int i = 1; i < 255; ++i) smiles += ".Cc1ccc(O)cc1";
  const Ran ran = run("R1_F", smiles);
  EXPECT_EQ(ran.counts[0].sites, 1020u);
  EXPECT_EQ(ran.counts[0].sites, ran.counts[0].products);
}

TEST(Transformer, ASinkThatFailsStopsTheMolecule) {
  const auto set = rules({"all"});
  auto transformer = Transformer::create(set, {});
  ASSERT_TRUE(transformer);
  Gather gather(*set);
  gather.stop_after = 2;
  const auto applied = (*transformer)->apply("Cc1ccc(O)cc1", gather);
  ASSERT_FALSE(applied);
  EXPECT_EQ(applied.error().code(), Code::kCancelled);
  EXPECT_EQ(gather.products.size(), 2u);
}

TEST(Transformer, CanonicalIsWhatAProductOfTheSameMoleculeReads) {
  auto transformer = Transformer::create(rules({"R1_F"}), {});
  ASSERT_TRUE(transformer);
  EXPECT_EQ((*transformer)->canonical("C1=CC=CC=C1O"), "Oc1ccccc1");
  EXPECT_EQ((*transformer)->canonical("[H]OC([H])([H])[H]"), "CO");
  EXPECT_EQ((*transformer)->canonical("[CH3:1][OH:2]"), "CO");
  EXPECT_FALSE((*transformer)->canonical("c1cc"));
  EXPECT_FALSE((*transformer)->canonical(""));
}

TEST(Transformer, DescribesProducts) {
  const Ran ran = run("FG_PHENOL_OH__OH__TO__OMe", "Oc1c(F)c(Cl)c(Br)c(I)c1",
                      {.descriptors = Descriptors::kAll});
  ASSERT_EQ(ran.out.figures.size(), 1u);
  const Product& made = ran.out.figures[0];
  EXPECT_EQ(made.n_f + made.n_cl + made.n_br + made.n_i, 4);
  EXPECT_EQ(made.hbd, 0);
  EXPECT_EQ(made.hba, 1);
  EXPECT_EQ(made.rotb, 1);
  EXPECT_NEAR(made.mw, 365.36, 0.02);     // C7H4BrClFIO
  EXPECT_NEAR(made.tpsa, 9.23, 0.001);    // one ether oxygen
  EXPECT_NEAR(made.clogp, 3.8549, 0.01);  // rdkit.Chem.Crippen
}

TEST(Transformer, InchikeyIsRefusedWhereRdkitHasNoInchi) {
  const auto transformer = Transformer::create(rules({"R1_F"}), {.inchikey = true});
  if (has_inchi()) {
    EXPECT_TRUE(transformer);
  } else {
    ASSERT_FALSE(transformer);
    EXPECT_EQ(transformer.error().code(), Code::kUsage);
  }
}

TEST(Transformer, TellsHeadersFromMolecules) {
  EXPECT_TRUE(is_smiles("CCO"));
  EXPECT_FALSE(is_smiles("smiles"));
  EXPECT_FALSE(is_smiles("SMILES"));
  EXPECT_FALSE(is_smiles(""));
}

TEST(Transformer, ReadsAnSdfRecord) {
  const auto smiles = smiles_of_sdf_record(
      "methanol\n  test\n\n  2  1  0  0  0  0  0  0  0  0999 V2000\n"
      "    0.0000    0.0000    0.0000 C   0  0\n    1.0000    0.0000    0.0000 O   0  0\n"
      "  1  2  1  0\nM  END\n> <ID>\n1\n\n");
  ASSERT_TRUE(smiles) << smiles.error().message();
  EXPECT_EQ(*smiles, "CO");
  EXPECT_FALSE(smiles_of_sdf_record("nothing\n"));
}

TEST(Transformer, RefusesTextThatRdkitReadsInPart) {
  EXPECT_FALSE(
      is_smiles("C\xe2\x80\x93"
                "CO"));
  EXPECT_FALSE(is_smiles(std::string_view("CCO\0CCN", 7)));
  EXPECT_FALSE(is_smiles("CCO\x7f"));
}

TEST(Transformer, RefusesMoleculesThatAreTooLarge) {
  const std::string most(kMostAtoms, 'C');
  EXPECT_TRUE(is_smiles(most));
  EXPECT_FALSE(is_smiles(most + "C"));
  EXPECT_FALSE(is_smiles(std::string(16000, 'C')));
  std::string record =
      "chain\n\n\n  0  0  0     0  0            999 V3000\nM  V30 BEGIN CTAB\n"
      "M  V30 COUNTS 20000 19999 0 0 0\nM  V30 BEGIN ATOM\n";
  for (int i = 1; i <= 20000; ++i) record += "M  V30 " + std::to_string(i) + " C 0 0 0 0\n";
  record += "M  V30 END ATOM\nM  V30 BEGIN BOND\n";
  for (int i = 1; i < 20000; ++i) {
    record += "M  V30 " + std::to_string(i) + " 1 " + std::to_string(i) + " " +
              std::to_string(i + 1) + "\n";
  }
  record += "M  V30 END BOND\nM  V30 END CTAB\nM  END\n";
  const auto refused = smiles_of_sdf_record(record);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message().find("COUNTS says 20,000; a molecule may have 2,048 atoms"),
            std::string::npos)
      << refused.error().message();
}

TEST(Transformer, RefusesRecordsThatAnnounceMoreThanTheyHold) {
  const std::string begin = "m\n\n\n  0  0  0     0  0            999 V3000\nM  V30 BEGIN CTAB\n";
  const std::string end = "M  V30 END CTAB\nM  END\n";
  const std::string atoms =
      "M  V30 COUNTS 2 1 0 0 0\nM  V30 BEGIN ATOM\nM  V30 1 C 0 0 0 0\nM  V30 2 O 0 0 0 0\n"
      "M  V30 END ATOM\nM  V30 BEGIN BOND\nM  V30 1 1 1 2\nM  V30 END BOND\n";
  const std::string collection = "M  V30 BEGIN COLLECTION\nM  V30 MDLV30/STEABS ATOMS=(";
  EXPECT_EQ(*smiles_of_sdf_record(begin + atoms + end), "CO");
  const std::string v2000 =
      "m\n\n\n  2  1  0  0  0  0  0  0  0  0999 V2000\n    0.0000    0.0000    0.0000 C   0  0\n"
      "    1.0000    0.0000    0.0000 O   0  0\n  1  2  1  0\nM  MRV SMA   1 [";
  std::string list;
  for (int i = 0; i < 100'000; ++i) list += "C,";
  for (const std::string& bad :
       {begin + "M  V30 COUNTS 300000000 0 0 0 0\n" + end,
        begin + "M  V30 COUNTS 2 4000000000 0 0 0\n" + end,
        begin + atoms + collection + "99999999 1)\nM  V30 END COLLECTION\n" + end,
        v2000 + list + "C]\nM  END\n"}) {
    const auto refused = smiles_of_sdf_record(bad);
    ASSERT_FALSE(refused) << bad.substr(0, 300);
  }
}

TEST(Depict, DrawsBothMoleculesInOneSvg) {
  const std::vector<int32_t> site = {0, 1};
  const auto svg = draw_pair({"Oc1ccccc1", site, "COc1ccccc1"});
  ASSERT_TRUE(svg) << svg.error().message();
  EXPECT_EQ(svg->substr(0, 4), "<svg");
  EXPECT_THAT(*svg, HasSubstr("</svg>"));
  EXPECT_FALSE(draw_pair({"c1cc", {}, "C"}));
  const std::vector<int32_t> beyond = {7};
  EXPECT_FALSE(draw_pair({"CO", beyond, "C"}));
}

// --- The direct edit against RunReactants -----------------------------------------------------

std::vector<std::string> sample_smiles() {
  std::vector<std::string> all;
  const auto first_of = [&](const char* path, char separator) {
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) {
      while (!line.empty() && line.back() == '\r') line.pop_back();
      all.push_back(line.substr(0, line.find(separator)));
    }
  };
  first_of("/usr/share/RDKit/Data/NCI/first_5K.smi", ' ');
  first_of("/usr/share/RDKit/Data/Pains/test_data/wehi_mols.csv", ',');
  std::ifstream nibr(
      "/usr/share/RDKit/Contrib/NIBRSubstructureFilters/"
      "SubstructureFilter_HitTriaging_wPubChemExamples.csv");
  for (std::string line; std::getline(nibr, line);) {
    // The five examples are among the fields; what is no SMILES of two atoms or more is not used.
    std::istringstream fields(line);
    for (std::string field; std::getline(fields, field, ',');) {
      if (field.size() > 8 && field.find(' ') == std::string::npos && is_smiles(field))
        all.push_back(field);
    }
  }
  for (std::string& smiles : all) {
    const size_t tab = smiles.find('\t');
    if (tab != std::string::npos) smiles.resize(tab);
  }
  return all;
}

void expect_same(Transformer& direct, Transformer& reference, const RuleSet& set,
                 const std::string& smiles) {
  Gather a(set), b(set);
  const auto ours = direct.apply(smiles, a);
  const auto theirs = reference.apply(smiles, b);
  ASSERT_TRUE(ours && theirs);
  EXPECT_EQ(ours->row, theirs->row) << smiles;
  EXPECT_EQ(a.failures, b.failures) << smiles;
  ASSERT_EQ(a.products.size(), b.products.size()) << smiles;
  for (size_t i = 0; i < a.products.size(); ++i) {
    EXPECT_EQ(a.products[i].smiles, b.products[i].smiles)
        << smiles << " " << a.products[i].rule << " " << a.products[i].site;
    EXPECT_EQ(a.products[i], b.products[i]) << smiles;
  }
}

struct Pair {
  std::shared_ptr<const RuleSet> set = rules({"all"});
  std::unique_ptr<Transformer> direct, reference;
  explicit Pair(TransformOptions options = {}) {
    direct = std::move(*Transformer::create(set, options));
    options.direct = false;
    reference = std::move(*Transformer::create(set, options));
  }
};

// All of them with SPILLWAY_FULL_SWEEP=1, some minutes; else every 40th.
TEST(DirectEdit, MakesWhatRunReactantsMakesOfTheSampleSets) {
  const auto all = sample_smiles();
  if (all.size() < 15000) GTEST_SKIP() << "rdkit-data is not installed";
  const size_t step = std::getenv("SPILLWAY_FULL_SWEEP") ? 1 : 40;
  Pair pair({.flat = false});
  for (size_t i = 0; i < all.size(); i += step)
    expect_same(*pair.direct, *pair.reference, *pair.set, all[i]);
  const auto paths = pair.direct->paths();
  EXPECT_GT(paths.direct, paths.reference * 3) << "the edit is hardly used";
  EXPECT_EQ(pair.reference->paths().direct, 0u);
}

TEST(FlatPath, MakesWhatRunReactantsMakesOfTheSampleSets) {
  const auto all = sample_smiles();
  if (all.size() < 15000) GTEST_SKIP() << "rdkit-data is not installed";
  Pair pair;
  for (size_t i = 7; i < all.size(); i += 40)
    expect_same(*pair.direct, *pair.reference, *pair.set, all[i]);
  const auto paths = pair.direct->paths();
  EXPECT_GT(paths.flat, (paths.direct + paths.reference) * 5) << "hardly used";
  EXPECT_EQ(pair.reference->paths().flat, 0u);
}

// Each was once made otherwise on the flat path, or by the direct edit.
TEST(FlatPath, MakesWhatRunReactantsMakesOfWhatWasFoundWrong) {
  Pair pair;
  Pair edited({.flat = false});
  for (const char* smiles :
       {// a ring that is opened leaves a double bond at another, which is aromatic then
        "COC1=CC=CC=C1N=NC1=C2NC3=CC=CC=C3N=C1N(C1=CC=C(Cl)C=C1)C(=S)N2C1=CC=CC=C1C",
        // equal fragments
        "CC(C)C1CCC(O)CC1.CC(C)C2CCC(O)CC2",
        // a ring number of a centre after its branch
        "C1CN[C@@H](O)1", "C[C@@](O)1NCC1", "[C@@](F)1(C)CCO1",
        // marks that contradict each other
        "Cc1ccc(S(=O)(=O)/N=c2sc(=N\\C(C)(C)C)/c\\2=N/C(C)(C)C)cc1",
        // rings that RDKit tells apart by more than refinement
        "OC12C3C4C1C5C2C3C45", "Oc1c2ccccc2c(O)c2ccccc12", "C1CC2CCC1CC2O",
        // centres that depend on each other
        "OC1C(O)C(O)C(O)C(O)C1O", "O[C@H]1CC[C@@H](N)CC1", "C[C@H](O)[C@H](C)O",
        // charges in rings
        "Oc1ccc(-c2[o+]c3cc(O)cc(O)c3cc2O)cc1", "Oc1ccc[nH+]c1", "C[n+]1cccc(O)c1",
        // secondary amines, in chains and rings
        "CNCCO", "C1CCNCC1", "C1Cc2ccccc2N1", "O=C1NC(=O)c2ccccc21", "CC(C)NCC(O)COc1ccccc1O"}) {
    for (int time = 0; time < 2; ++time) {  // the second time what was learned is used
      expect_same(*pair.direct, *pair.reference, *pair.set, smiles);
      EXPECT_EQ(pair.direct->canonical(smiles), pair.reference->canonical(smiles)) << smiles;
    }
    expect_same(*edited.direct, *edited.reference, *edited.set, smiles);
  }
}

// A left side of more atoms than a flat pattern, or a flat site, has.
TEST(FlatPath, LeavesLongLeftSidesToRdkit) {
  for (const size_t places : {59u, 61u, 119u, 121u, 129u, 200u}) {
    const std::string left = "[CH3:1]" + std::string(places - 2, 'C') + "[CH3]";
    const auto set = RuleSet::parse(
        "rules:\n  - {name: LONG, label: long, family: f, smirks: \"" + left + ">>[CH3:1]F\"}\n",
        "x");
    ASSERT_TRUE(set) << set.error().message();
    const auto chosen = (*set)->select({"all"});
    ASSERT_TRUE(chosen);
    const auto flat = std::move(*Transformer::create(*chosen, {}));
    const auto reference =
        std::move(*Transformer::create(*chosen, {.direct = false, .flat = false}));
    for (const size_t length : {places, places + 1, places + 40})
      expect_same(*flat, *reference, **chosen, std::string(length, 'C'));
  }
}

TEST(FlatPath, IsQuietlyLeftWhereDescriptorsAreWanted) {
  EXPECT_TRUE(is_flat({}));
  EXPECT_FALSE(is_flat({.descriptors = Descriptors::kBasic}));
  EXPECT_FALSE(is_flat({.flat = false}));
  EXPECT_EQ(why_not_flat(), std::nullopt);
}

TEST(DirectEdit, MakesWhatRunReactantsMakesWithDescriptors) {
  Pair pair({.fragments = Fragments::kMatched, .descriptors = Descriptors::kAll});
  for (const char* smiles : {"Oc1ccc(O)c(C(=O)O)c1", "[Na+].OC(=O)c1ccc(N)cc1", "C[C@H](N)C(=O)O",
                             "Oc1ccc2[nH]ccc2c1", "Nc1ccc2ccccc2c1", "OC1CC2CCC1C2"})
    expect_same(*pair.direct, *pair.reference, *pair.set, smiles);
}

// Molecules put together at random from pieces that meet at single bonds.
RC_GTEST_PROP(DirectEdit, MakesWhatRunReactantsMakesOfRandomMolecules, ()) {
  static Pair pair;
  static const std::vector<std::string> kPieces = {
      "C(O)",      "C(N)",        "c1ccc(O)cc1",  "C(=O)",      "[C@H](O)",   "[C@@H](N)",
      "C=C",       "/C=C/",       "[13CH2]",      "N",          "O",          "c1c[nH]cc1",
      "C(C(=O)O)", "c1ccncc1",    "C1CCNCC1",     "C([2H])",    "[N+](C)(C)", "c1cc(N)ccc1O",
      "S(=O)(=O)", "c1ccc2c(c1)", "OC1CC(O)CCC1", "[Si](C)(C)", "C#C",        "n1cccc1"};
  std::string smiles;
  const auto count = *rc::gen::inRange(1, 7);
  for (int i = 0; i < count; ++i) smiles += *rc::gen::elementOf(kPieces);
  smiles += *rc::gen::elementOf(
      std::vector<std::string>{"", "O", "N", ".Cl", ".[Na+].[O-]c1ccccc1", "C(=O)O"});
  expect_same(*pair.direct, *pair.reference, *pair.set, smiles);
  RC_ASSERT(!::testing::Test::HasFailure());
}

}  // namespace
}  // namespace spillway::transform

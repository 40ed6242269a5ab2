// The flat path beside RDKit: each molecule of the files as it stands, in texts of random order and of Kekule form, and
// after them again when their parts are known. Compares canonical forms, every product with its rule, site and atoms,
// every refusal and every count.
//
//   flat_compare [--rules FILE] [--rule WORDS] [--texts N] [--limit N] [--offset N] [--reference] [--plant] FILE.smi...
//
// --texts      how many random texts besides (3)
// --reference  against RunReactants; else against RDKit's molecules edited directly, which is quicker
// --plant      the flat text of one product is changed: the comparison must fail
//
// Prints one line a difference and a summary; exit 1 for any difference.
#include <RDGeneral/RDConfig.h>
// First.
#include <GraphMol/MolOps.h>
#include <GraphMol/RWMol.h>
#include <GraphMol/SmilesParse/SmilesParse.h>
#include <GraphMol/SmilesParse/SmilesWrite.h>
#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "transform/chemistry/source.hpp"
#include "transform/chemistry/transformer.hpp"

namespace {

using namespace spillway;
using namespace spillway::transform;

struct Lines final : ProductSink {
  std::vector<std::string> lines;
  Result<void> product(const Product& p) override {
    std::string line = fmt::format("{} {} {} F{} Cl{} Br{} I{}", p.rule, p.site_index, p.smiles,
                                   p.n_f, p.n_cl, p.n_br, p.n_i);
    for (const int32_t atom : p.site_atoms) line += fmt::format(" {}", atom);
    lines.push_back(std::move(line));
    return {};
  }
  Result<void> failure(const Failure& f) override {
    lines.push_back(fmt::format("{} {} {} {}", f.rule, f.site_index, name(f.reason), f.message));
    return {};
  }
};

struct Options {
  std::string rules, rule = "all";
  size_t texts = 3, limit = SIZE_MAX, offset = 0;
  bool reference = false, plant = false;
  std::vector<std::string> files;
};

struct Comparison {
  std::unique_ptr<Transformer> flat, rdkit;
  bool plant = false;
  uint64_t texts = 0, products = 0, differences = 0;

  void report(const char* what, std::string_view text, std::string_view flat_one,
              std::string_view rdkit_one) {
    if (++differences > 20) return;
    std::printf("%s of %.*s\n  flat  %.*s\n  RDKit %.*s\n", what, static_cast<int>(text.size()),
                text.data(), static_cast<int>(flat_one.size()), flat_one.data(),
                static_cast<int>(rdkit_one.size()), rdkit_one.data());
  }
  void run(const std::string& text) {
    ++texts;
    Lines ours, theirs;
    const auto a = flat->apply(text, ours);
    const auto b = rdkit->apply(text, theirs);
    if (!a) return report("an error", text, a.error().message(), "");
    if (!b) return report("an error", text, "", b.error().message());
    if (plant && !ours.lines.empty()) {
      ours.lines.front().back() ^= 1;
      plant = false;
    }
    products += theirs.lines.size();
    const size_t both = std::min(ours.lines.size(), theirs.lines.size());
    for (size_t i = 0; i < both; ++i) {
      if (ours.lines[i] != theirs.lines[i]) report("a site", text, ours.lines[i], theirs.lines[i]);
    }
    if (ours.lines.size() != theirs.lines.size())
      report("the number of sites", text, std::to_string(ours.lines.size()),
             std::to_string(theirs.lines.size()));
    for (size_t rule = 0; rule < a->by_rule.size(); ++rule) {
      const RuleCounts &x = a->by_rule[rule], &y = b->by_rule[rule];
      if (x.sites != y.sites || x.products != y.products || x.skipped != y.skipped)
        report("counts", text, fmt::format("{} {} {}", x.sites, x.products, x.skipped),
               fmt::format("{} {} {}", y.sites, y.products, y.skipped));
    }
    const auto x = flat->canonical(text), y = rdkit->canonical(text);
    if (x != y) report("the canonical form", text, x.value_or("none"), y.value_or("none"));
  }
};

std::vector<std::string> texts_of(const std::string& smiles, size_t count) {
  std::vector<std::string> texts{smiles};
  try {
    const auto mol = parse_molecule(smiles);
    if (!mol || count == 0) return texts;
    for (size_t i = 0; i < count; ++i) {
      RDKit::SmilesWriteParams parameters;
      parameters.doRandom = true;
      texts.push_back(RDKit::MolToSmiles(*mol, parameters));
    }
    RDKit::RWMol kekule(*mol);
    RDKit::MolOps::Kekulize(kekule);
    RDKit::SmilesWriteParams parameters;
    parameters.doKekule = true;
    texts.push_back(RDKit::MolToSmiles(kekule, parameters));
  } catch (const std::exception&) {
  }
  texts.push_back(smiles);
  return texts;
}

Result<int> run(const Options& options) {
  const auto path = options.rules.empty() ? TRY(standard_rules_path()) : options.rules;
  const auto rules = TRY(TRY(RuleSet::load(path))->select({options.rule}));
  Comparison comparison;
  comparison.plant = options.plant;
  comparison.flat = TRY(Transformer::create(rules, {}));
  comparison.rdkit = TRY(Transformer::create(rules, {.direct = !options.reference, .flat = false}));
  size_t row = 0;
  for (const std::string& file : options.files) {
    std::ifstream input(file);
    if (!input) return fail(Code::kNotFound, file);
    for (std::string line; std::getline(input, line); ++row) {
      if (row < options.offset || row - options.offset >= options.limit) continue;
      for (const std::string& text :
           texts_of(line.substr(0, line.find_first_of(" \t\r")), options.texts))
        comparison.run(text);
    }
  }
  const auto paths = comparison.flat->paths();
  std::printf(
      "%llu texts (%llu flat), %llu sites compared (%llu made flat, %llu by RDKit), %llu checked "
      "in the run: %llu differences\n",
      static_cast<unsigned long long>(comparison.texts),
      static_cast<unsigned long long>(paths.flat_rows),
      static_cast<unsigned long long>(comparison.products),
      static_cast<unsigned long long>(paths.flat),
      static_cast<unsigned long long>(paths.direct + paths.reference),
      static_cast<unsigned long long>(paths.checked),
      static_cast<unsigned long long>(comparison.differences));
  return comparison.differences == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const auto next = [&] { return std::string(i + 1 < argc ? argv[++i] : ""); };
    if (word == "--rules") {
      options.rules = next();
    } else if (word == "--rule") {
      options.rule = next();
    } else if (word == "--texts") {
      options.texts = std::stoul(next());
    } else if (word == "--limit") {
      options.limit = std::stoul(next());
    } else if (word == "--offset") {
      options.offset = std::stoul(next());
    } else if (word == "--reference") {
      options.reference = true;
    } else if (word == "--plant") {
      options.plant = true;
    } else {
      options.files.push_back(word);
    }
  }
  std::srand(7);
  const auto code = run(options);
  if (!code) {
    std::fprintf(stderr, "flat_compare: %s\n", code.error().message().c_str());
    return 2;
  }
  return *code;
}

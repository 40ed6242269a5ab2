#include "transform/chemistry/smirks.hpp"

#include <GraphMol/ChemReactions/Reaction.h>
#include <GraphMol/ChemReactions/ReactionParser.h>
#include <GraphMol/SmilesParse/SmilesParse.h>
#include <GraphMol/Substruct/SubstructMatch.h>
#include <fmt/format.h>

#include <algorithm>
#include <climits>
#include <memory>
#include <set>
#include <vector>

#include "transform/chemistry/molecule_size.hpp"
#include "transform/chemistry/rdkit_quiet.hpp"

namespace spillway::transform {
namespace {

using Mol = std::unique_ptr<RDKit::ROMol>;

Mol parse_smarts(const std::string& smarts) {
  try {
    return Mol(RDKit::SmartsToMol(smarts));
  } catch (const std::exception&) {
    return nullptr;
  }
}

Mol parse_example(const std::string& smiles) {
  try {
    refuse_large_smiles(smiles);
    return Mol(RDKit::SmilesToMol(smiles));
  } catch (const std::exception&) {
    return nullptr;
  }
}

// Whether some ending makes a pattern of `prefix`: an open bracket and open parentheses are closed.
bool can_go_on(const std::string& prefix) {
  if (prefix.empty()) return true;
  const auto depth =
      std::count(prefix.begin(), prefix.end(), '(') - std::count(prefix.begin(), prefix.end(), ')');
  const std::string close(static_cast<size_t>(std::max<long>(depth, 0)), ')');
  for (const char* middle : {"", "C", "]", "C]", "1]", "(C)]", "C)]", ")]"}) {
    for (const std::string& tail : {close, depth > 0 ? close.substr(1) : close}) {
      if (parse_smarts(prefix + middle + tail)) return true;
    }
  }
  return false;
}

// The first character (from 1) with which nothing valid can begin as `text` does.
size_t position_of_error(const std::string& text) {
  size_t good = text.size();
  while (good > 0 && !can_go_on(text.substr(0, good))) --good;
  return good + 1;
}

std::string describe(const std::string& text, size_t position) {
  if (position > text.size()) return "the pattern is not finished";
  return fmt::format("cannot read '{}'", text.substr(position - 1, 12));
}

tl::unexpected<Error> wrong(size_t position, std::string_view what) {
  return fail(Code::kInvalid, fmt::format("position {}: {}", position, what));
}

std::vector<int> map_numbers(const RDKit::ROMol& mol) {
  std::vector<int> numbers;
  for (const auto* atom : mol.atoms()) {
    if (atom->getAtomMapNum() > 0) numbers.push_back(atom->getAtomMapNum());
  }
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

// Where ":number]" stands in `smirks` at or after `from`, from 1.
size_t position_of_number(const std::string& smirks, int number, size_t from) {
  const size_t found = smirks.find(fmt::format(":{}]", number), from);
  return found == std::string::npos ? from + 1 : found + 1;
}

Result<void> check_side(const std::string& smirks, size_t from, size_t size) {
  const std::string side = smirks.substr(from, size);
  if (side.empty()) return wrong(from + 1, "nothing stands on this side of '>>'");
  if (parse_smarts(side)) return {};
  const size_t position = position_of_error(side);
  return wrong(from + position, describe(side, position));
}

// RDKit's parser and its queries recurse; of 100,000 alternatives in a bracket they overflow the stack.
Result<void> check_size(const std::string& pattern) {
  constexpr size_t kMost = 4096;
  constexpr int kMostNested = 16;
  if (pattern.size() > kMost)
    return wrong(kMost + 1, fmt::format("the pattern has more than {} characters", kMost));
  int nested = 0;
  for (size_t i = 0; i < pattern.size(); ++i) {
    nested += pattern[i] == '(' ? 1 : pattern[i] == ')' ? -1 : 0;
    if (nested > kMostNested)
      return wrong(i + 1, fmt::format("parentheses are nested deeper than {}", kMostNested));
  }
  return {};
}

// Molecules are read without hydrogen atoms: a plain one on the left side is never found.
Result<void> check_hydrogens(const std::string& smirks, const RDKit::ROMol& reactant) {
  for (const auto* atom : reactant.atoms()) {
    if (atom->getAtomicNum() != 1 || atom->getIsotope() != 0 || atom->getFormalCharge() != 0)
      continue;
    const size_t at = std::min(smirks.find("[H"), smirks.find("[#1"));
    return wrong(
        at == std::string::npos ? 1 : at + 1,
        "a hydrogen atom on the left side matches nothing: molecules have none here; count "
        "them at their neighbour ([OX2H], [NH2])");
  }
  return {};
}

Result<void> check_maps(const std::string& smirks, const RDKit::ChemicalReaction& reaction) {
  const size_t right = smirks.find(">>") + 2;
  const auto left_numbers = map_numbers(*reaction.getReactants()[0]);
  const auto right_numbers = map_numbers(*reaction.getProducts()[0]);
  for (const auto& [numbers, from] : {std::pair(left_numbers, size_t{0}), {right_numbers, right}}) {
    const auto twice = std::adjacent_find(numbers.begin(), numbers.end());
    if (twice != numbers.end())
      return wrong(position_of_number(smirks, *twice, from),
                   fmt::format("map number {} stands twice on one side", *twice));
  }
  for (const int number : right_numbers) {
    if (!std::binary_search(left_numbers.begin(), left_numbers.end(), number))
      return wrong(position_of_number(smirks, number, right),
                   fmt::format("map number {} is not on the left side", number));
  }
  if (right_numbers.empty()) return wrong(right + 1, "no mapped atom survives the transform");
  return {};
}

}  // namespace

Result<void> check_smarts(const std::string& smarts) {
  const QuietRdkit quiet;
  TRY(check_size(smarts));
  if (smarts.empty()) return wrong(1, "the pattern is empty");
  if (parse_smarts(smarts)) return {};
  const size_t position = position_of_error(smarts);
  return wrong(position, describe(smarts, position));
}

Result<void> check_smirks(const std::string& smirks) {
  const QuietRdkit quiet;
  TRY(check_size(smirks));
  const size_t arrow = smirks.find(">>");
  if (arrow == std::string::npos) return wrong(smirks.size() + 1, "there is no '>>'");
  TRY(check_side(smirks, 0, arrow));
  TRY(check_side(smirks, arrow + 2, std::string::npos));
  try {
    const std::unique_ptr<RDKit::ChemicalReaction> reaction(
        RDKit::RxnSmartsToChemicalReaction(smirks));
    if (!reaction) return wrong(arrow + 1, "RDKit reads no reaction");
    if (reaction->getNumReactantTemplates() != 1)
      return wrong(1, "more than one molecule stands on the left side");
    if (reaction->getNumProductTemplates() != 1)
      return wrong(arrow + 3, "more than one molecule stands on the right side");
    TRY(check_maps(smirks, *reaction));
    TRY(check_hydrogens(smirks, *reaction->getReactants()[0]));
    reaction->initReactantMatchers(true);
    unsigned warnings = 0, errors = 0;
    if (!reaction->validate(warnings, errors, true))
      return wrong(arrow + 1, "RDKit does not accept the reaction");
  } catch (const std::exception& error) {
    return wrong(arrow + 1, error.what());
  }
  return {};
}

std::string reactant_of(std::string_view smirks) {
  return std::string(smirks.substr(0, smirks.find(">>")));
}

Result<void> check_query(const std::string& query, const std::string& smirks,
                         const std::string& example) {
  const QuietRdkit quiet;
  const Mol asked = parse_smarts(query), reactant = parse_smarts(reactant_of(smirks));
  if (!asked || !reactant) return fail(Code::kInternal, "check_query() before check_smirks()");
  if (asked->getNumAtoms() != reactant->getNumAtoms())
    return wrong(1, fmt::format("it has {} atoms and the left side of the SMIRKS has {}",
                                asked->getNumAtoms(), reactant->getNumAtoms()));
  if (example.empty()) return {};
  const Mol mol = parse_example(example);
  if (!mol) return {};
  RDKit::SubstructMatchParameters parameters;
  parameters.uniquify = false;
  parameters.maxMatches = UINT_MAX;
  using Matches = std::set<std::vector<std::pair<int, int>>>;
  const auto a = RDKit::SubstructMatch(*mol, *asked, parameters);
  const auto b = RDKit::SubstructMatch(*mol, *reactant, parameters);
  if (Matches(a.begin(), a.end()) != Matches(b.begin(), b.end()))
    return wrong(1, fmt::format("it does not match the atoms of {} that the left side of the "
                                "SMIRKS matches",
                                example));
  return {};
}

}  // namespace spillway::transform

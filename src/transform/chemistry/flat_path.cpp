#include "transform/chemistry/flat_path.hpp"

#include <GraphMol/MolOps.h>
#include <GraphMol/SmilesParse/SmilesWrite.h>
#include <RDGeneral/versions.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <string>

#include "transform/chemistry/flat_samples.hpp"
#include "transform/chemistry/rdkit_quiet.hpp"
#include "transform/chemistry/source.hpp"
#include "transform/chemistry/transformer.hpp"
#include "transform/flat/from_rdkit.hpp"

namespace spillway::transform {
namespace {

// Before main(): RDKit sets it itself when it first perceives stereo.
const bool kIsStereoSet = std::getenv("RDK_USE_LEGACY_STEREO_PERCEPTION") != nullptr;

constexpr std::array<std::string_view, 1> kComparedVersions = {"2022.09.3"};

FlatPath::Halogens halogens_of(const flat::Molecule& molecule) {
  FlatPath::Halogens count;
  for (int i = 0; i < molecule.atoms; ++i) {
    const int element = molecule.at(i).element;
    count.f += element == 9 ? 1 : 0;
    count.cl += element == 17 ? 1 : 0;
    count.br += element == 35 ? 1 : 0;
    count.i += element == 53 ? 1 : 0;
  }
  return count;
}

std::unique_ptr<RDKit::RWMol> sanitized(std::unique_ptr<RDKit::RWMol> mol) {
  RDKit::MolOps::sanitizeMol(*mol);
  RDKit::MolOps::removeHs(*mol);
  return mol;
}

// Twice: the second time what RDKit taught is used.
std::optional<std::string> find_difference() {
  FlatPath flat(1_MiB);
  for (int time = 0; time < 2; ++time) {
    for (const std::string_view sample : kFlatSamples) {
      if (!flat.read(sample)) continue;
      const std::string rdkit = RDKit::MolToSmiles(*parse_molecule(sample));
      if (flat.canonical() != rdkit)
        return fmt::format("the canonical form of {} is {} on the flat path and {} by RDKit",
                           sample, flat.canonical(), rdkit);
    }
  }
  return std::nullopt;
}

std::optional<std::string> find_why_not() {
  const std::string_view version = RDKit::rdkitVersion;
  if (std::find(kComparedVersions.begin(), kComparedVersions.end(), version) ==
      kComparedVersions.end())
    return fmt::format("flat molecules were not compared with RDKit {}", version);
  if (kIsStereoSet)
    return "RDK_USE_LEGACY_STEREO_PERCEPTION is set, with which flat molecules were not compared";
  const QuietRdkit quiet;
  try {
    return find_difference();
  } catch (const std::exception& error) {
    return fmt::format("RDKit does not read the built-in molecules: {}", error.what());
  }
}

}  // namespace

std::optional<std::string> why_not_flat() {
  static const std::optional<std::string> kWhy = find_why_not();
  return kWhy;
}

std::string rdkit_version() { return RDKit::rdkitVersion; }

bool is_flat(const TransformOptions& options) {
  return options.flat && options.direct && options.descriptors == Descriptors::kNone &&
         !why_not_flat();
}

void FlatPath::add_rule(const Reaction& reaction, const std::optional<EditPlan>& plan) {
  Rule rule{.reaction = &reaction,
            .plan = plan ? &*plan : nullptr,
            .shape = {},
            .pattern = flat::Pattern::compile(reaction.reactant())};
  if (plan) rule.shape = plan->shape();
  rules_.push_back(std::move(rule));
}

int FlatPath::atoms() const {
  const Fragment& last = fragment_[fragments_ - 1];
  return last.first_atom + last.molecule.atoms;
}

size_t FlatPath::fragment_at(int atom) const {
  size_t i = fragments_ - 1;
  while (fragment_[i].first_atom > atom) --i;
  return i;
}

unsigned FlatPath::symmetry_class(int atom) const {
  const Fragment& fragment = fragment_[fragment_at(atom)];
  return static_cast<unsigned>(fragment.first_atom +
                               fragment.symmetry[static_cast<size_t>(atom - fragment.first_atom)]);
}

// RDKit reads the fragment; what it makes of it is remembered.
bool FlatPath::learn_fragment(Fragment& fragment, bool can_be_learned) {
  try {
    if (!fragment.mol) fragment.mol = RDKit::ROMOL_SPTR(parse_molecule(fragment.text).release());
    if (!fragment.mol) return false;
    const MoleculeFacts facts(*fragment.mol, 1);
    if (!facts.editable || !facts.rings_are_certain ||
        !flat::from_rdkit(*fragment.mol, fragment.molecule))
      return false;
  } catch (const std::exception&) {
    return false;  // RDKit will say why when it reads the whole
  }
  if (can_be_learned) parser_.learn(fragment.molecule, true);
  return true;
}

bool FlatPath::read_fragment(Fragment& fragment) {
  fragment.mol.reset();
  const flat::Parser::Known known = parser_.parse(fragment.text, fragment.molecule);
  const bool is_made = known == flat::Parser::Known::kAll && stereo_.assign(fragment.molecule);
  if (!is_made && !learn_fragment(fragment, known == flat::Parser::Known::kNotYet)) return false;
  if (!flat::SiteEditor::is_clean(fragment.molecule) || !ranking_.refine(fragment.molecule))
    return false;
  for (int i = 0; i < fragment.molecule.atoms; ++i)
    fragment.symmetry[static_cast<size_t>(i)] = static_cast<uint16_t>(ranking_.index(i));
  ranking_.break_ties(fragment.molecule);
  const auto text = text_.write(fragment.molecule, ranking_);
  if (!text) return false;
  fragment.canonical = *text;
  fragment.halogens = halogens_of(fragment.molecule);
  return true;
}

bool FlatPath::read(std::string_view smiles) {
  // Of a text with blanks RDKit reads the first token; a fragment of it is not one.
  const auto is_other = [](char c) { return c <= ' ' || c > '~'; };
  if (std::any_of(smiles.begin(), smiles.end(), is_other)) return false;
  fragments_ = 0;
  int atoms = 0;
  while (true) {
    const size_t dot = smiles.find('.');
    if (fragments_ == kMostFragments) return false;
    Fragment& fragment = fragment_[fragments_++];
    fragment.text = smiles.substr(0, dot);
    fragment.first_atom = atoms;
    if (!read_fragment(fragment)) return false;
    atoms += fragment.molecule.atoms;
    if (dot == std::string_view::npos) break;
    smiles.remove_prefix(dot + 1);
  }
  canonical_ = joined(fragment_[0], fragment_[0].canonical);
  return true;
}

bool FlatPath::find_matches(size_t rule, size_t most, std::vector<int>& matches) {
  const flat::Pattern& pattern = *rules_[rule].pattern;
  if (fragments_ == 1) return pattern.find(fragment_[0].molecule, most, matches);
  matches.clear();
  for (size_t i = 0; i < fragments_; ++i) {
    const Fragment& fragment = fragment_[i];
    if (!pattern.find(fragment.molecule, most, found_)) return false;
    for (const int atom : found_) matches.push_back(atom + fragment.first_atom);
  }
  return matches.size() <= most * static_cast<size_t>(pattern.size());
}

// The fragments' texts, sorted as RDKit writes them.
std::string_view FlatPath::joined(const Fragment& changed, std::string_view text) {
  if (fragments_ == 1) return text;
  parts_.assign(1, text);
  for (size_t i = 0; i < fragments_; ++i) {
    if (&fragment_[i] != &changed) parts_.push_back(fragment_[i].canonical);
  }
  std::sort(parts_.begin(), parts_.end());
  joined_.clear();
  for (const std::string_view part : parts_) {
    if (!joined_.empty()) joined_.push_back('.');
    joined_.append(part);
  }
  return joined_;
}

// What RDKit's reaction makes of the site must be what editing the molecule in its order of atoms makes.
bool FlatPath::teach_site(const Rule& rule, Fragment& fragment, std::span<const int> match) {
  if (!fragment.mol) fragment.mol = RDKit::ROMOL_SPTR(parse_molecule(fragment.text).release());
  RDKit::MatchVectType pairs;
  for (size_t place = 0; place < match.size(); ++place)
    pairs.emplace_back(static_cast<int>(place), match[place]);
  const auto product = sanitized(rule.plan->edit(*fragment.mol, pairs));
  const auto reference = sanitized(rule.reaction->run(fragment.mol, pairs));
  if (RDKit::MolToSmiles(*product) != RDKit::MolToSmiles(*reference) ||
      !flat::from_rdkit(*product, product_))
    return false;
  return true;
}

void FlatPath::learn_site(const Rule& rule, Fragment& fragment, std::span<const int> match) {
  bool is_taught = false;
  try {
    is_taught = teach_site(rule, fragment, match);
  } catch (const std::exception&) {
    // RDKit refuses the product, and says so again when it makes it.
  }
  editor_.learn(*rule.shape, fragment.molecule, match, is_taught ? &product_ : nullptr);
}

std::optional<FlatPath::Made> FlatPath::make(size_t number, std::span<const int> match,
                                             bool keep_fragments) {
  const Rule& rule = rules_[number];
  if (!rule.shape) return std::nullopt;
  Fragment& fragment = fragment_[fragment_at(match.front())];
  match_.assign(match.begin(), match.end());
  for (int& atom : match_) atom -= fragment.first_atom;
  auto made = editor_.make(number, *rule.shape, fragment.molecule, match_, product_);
  if (made == flat::SiteEditor::Made::kNotYet) {
    learn_site(rule, fragment, match_);
    made = editor_.make(number, *rule.shape, fragment.molecule, match_, product_);
  }
  if (made != flat::SiteEditor::Made::kYes || !stereo_.assign(product_) ||
      !ranking_.refine(product_))
    return std::nullopt;
  ranking_.break_ties(product_);
  const auto text = text_.write(product_, ranking_);
  if (!text) return std::nullopt;
  Halogens halogens = halogens_of(product_);
  if (!keep_fragments) return Made{*text, halogens};
  for (size_t i = 0; i < fragments_; ++i) {
    if (&fragment_[i] == &fragment) continue;
    halogens.f += fragment_[i].halogens.f;
    halogens.cl += fragment_[i].halogens.cl;
    halogens.br += fragment_[i].halogens.br;
    halogens.i += fragment_[i].halogens.i;
  }
  return Made{joined(fragment, *text), halogens};
}

}  // namespace spillway::transform

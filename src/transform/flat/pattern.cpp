#include "transform/flat/pattern.hpp"

#include <GraphMol/QueryOps.h>

#include <algorithm>
#include <span>
#include <string>
#include <string_view>
#include <typeinfo>
#include <utility>

namespace spillway::transform::flat {
namespace {

size_t at(int index) { return static_cast<size_t>(index); }

constexpr uint8_t kAllBonds = 0xff, kRingBonds = 0xf0;

constexpr uint8_t bonds_of_order(uint8_t order) {
  return static_cast<uint8_t>(1u << order | 1u << (order + 4));
}
uint8_t bond_bit(const Bond& bond) {
  return static_cast<uint8_t>(1u << (bond.order + (bond.rings != 0 ? 4 : 0)));
}

// What RDKit's SINGLE, DOUBLE, TRIPLE and AROMATIC are here.
std::optional<uint8_t> bonds_of_rdkit(int type) {
  switch (type) {
    case RDKit::Bond::SINGLE:
      return bonds_of_order(kSingle);
    case RDKit::Bond::DOUBLE:
      return bonds_of_order(kDouble);
    case RDKit::Bond::TRIPLE:
      return bonds_of_order(kTriple);
    case RDKit::Bond::AROMATIC:
      return bonds_of_order(kAromatic);
    default:
      return std::nullopt;
  }
}

// Ranges, as in H{1-2}, are of types derived from it.
bool is_equality(const RDKit::Atom::QUERYATOM_QUERY& query) {
  return typeid(query) == typeid(RDKit::ATOM_EQUALS_QUERY);
}

}  // namespace

struct Pattern::Search {
  const Molecule& molecule;
  size_t most;
  std::vector<int>* matches;  // null: the first is enough
  size_t found = 0;
  std::array<int, kMost> place{};  // of a query atom in the molecule
  std::array<uint64_t, (kMostAtoms + 63) / 64> used{};

  bool is_used(int atom) const { return (used[at(atom) >> 6] >> (atom & 63) & 1) != 0; }
  void flip(int atom) { used[at(atom) >> 6] ^= uint64_t{1} << (atom & 63); }
};

bool Pattern::passes(const Molecule& molecule, int index, const Test& test) {
  const Atom& atom = molecule.at(index);
  const auto part_passes = [&](const Test& part) { return passes(molecule, index, part); };
  bool result = true;
  switch (test.kind) {
    case Test::kAny:
      break;
    case Test::kAll:
      result = std::all_of(test.parts.begin(), test.parts.end(), part_passes);
      break;
    case Test::kEither:
      result = std::any_of(test.parts.begin(), test.parts.end(), part_passes);
      break;
    case Test::kType:
      result = atom.element + 1000 * atom.aromatic == test.value;
      break;
    case Test::kElement:
      result = atom.element == test.value;
      break;
    case Test::kHydrogens:
      result = atom.hydrogens == test.value;
      break;
    case Test::kTotalDegree:
      result = atom.degree + atom.hydrogens == test.value;
      break;
    case Test::kDegree:
      result = atom.degree == test.value;
      break;
    case Test::kCharge:
      result = atom.charge == test.value;
      break;
    case Test::kIsAromatic:
      result = atom.aromatic != 0;
      break;
    case Test::kIsAliphatic:
      result = atom.aromatic == 0;
      break;
    case Test::kRing:
      result = atom.rings != 0;
      break;
    case Test::kMatches:
      result = test.sub->starts_at(molecule, index);
      break;
  }
  return result != test.is_negated;
}

bool Pattern::starts_at(const Molecule& molecule, int index) const {
  if (degrees_[0] > molecule.at(index).degree || !passes(molecule, index, tests_[0])) return false;
  Search search{molecule, 1, nullptr};
  search.place[0] = index;
  search.flip(index);
  return !extend(search, 0);
}

bool Pattern::fits(const Search& search, const Step& step, int candidate) const {
  const Atom& atom = search.molecule.at(candidate);
  if (search.is_used(candidate) || degrees_[at(step.atom)] > atom.degree ||
      !passes(search.molecule, candidate, tests_[at(step.atom)]))
    return false;
  for (const Edge& edge : step.placed) {
    const int slot = atom.slot_of(search.place[at(edge.other)]);
    if (slot < 0 || (edge.bonds & bond_bit(atom.bond[at(slot)])) == 0) return false;
  }
  return true;
}

// False: enough is found.
bool Pattern::extend(Search& search, size_t number) const {
  if (number == steps_.size()) {
    if (search.matches == nullptr) return false;
    search.matches->insert(search.matches->end(), search.place.begin(),
                           search.place.begin() + size_);
    return ++search.found <= search.most;
  }
  const Step& step = steps_[number];
  const Atom& from = search.molecule.at(search.place[at(step.anchor)]);
  for (int slot = 0; slot < from.degree; ++slot) {
    const int candidate = from.bond[at(slot)].to;
    if (!fits(search, step, candidate)) continue;
    search.place[at(step.atom)] = candidate;
    search.flip(candidate);
    if (!extend(search, number + 1)) return false;
    search.flip(candidate);
  }
  return true;
}

bool Pattern::find(const Molecule& molecule, size_t most, std::vector<int>& matches) const {
  matches.clear();
  if (size_ > molecule.atoms) return true;
  Search search{molecule, most, &matches};
  for (int i = 0; i < molecule.atoms; ++i) {
    if (degrees_[0] > molecule.at(i).degree || !passes(molecule, i, tests_[0])) continue;
    search.place[0] = i;
    search.flip(i);
    if (!extend(search, 0)) return false;
    search.flip(i);
  }
  return true;
}

auto Pattern::compile_atom(const RDKit::Atom::QUERYATOM_QUERY& query) -> std::optional<Test> {
  Test test;
  test.is_negated = query.getNegation();
  const std::string& name = query.getDescription();
  static constexpr std::array<std::pair<std::string_view, Test::Kind>, 6> kNumbers = {
      {{"AtomType", Test::kType},
       {"AtomAtomicNum", Test::kElement},
       {"AtomHCount", Test::kHydrogens},
       {"AtomTotalDegree", Test::kTotalDegree},
       {"AtomExplicitDegree", Test::kDegree},
       {"AtomFormalCharge", Test::kCharge}}};
  for (const auto& [number, kind] : kNumbers) {
    if (name != number) continue;
    if (!is_equality(query)) return std::nullopt;
    test.kind = kind;
    test.value = static_cast<const RDKit::ATOM_EQUALS_QUERY&>(query).getVal();
    return test;
  }
  static constexpr std::array<std::pair<std::string_view, Test::Kind>, 4> kPlain = {
      {{"AtomNull", Test::kAny},
       {"AtomIsAromatic", Test::kIsAromatic},
       {"AtomIsAliphatic", Test::kIsAliphatic},
       {"AtomInRing", Test::kRing}}};
  for (const auto& [plain, kind] : kPlain) {
    if (name != plain) continue;
    if (kind != Test::kAny && !is_equality(query)) return std::nullopt;
    test.kind = kind;
    return test;
  }
  if (name == "RecursiveStructure") {
    auto sub = compile(*static_cast<const RDKit::RecursiveStructureQuery&>(query).getQueryMol());
    if (!sub) return std::nullopt;
    test.kind = Test::kMatches;
    test.sub = std::make_shared<const Pattern>(std::move(*sub));
    return test;
  }
  if (name != "AtomAnd" && name != "AtomOr") return std::nullopt;
  test.kind = name == "AtomAnd" ? Test::kAll : Test::kEither;
  for (auto part = query.beginChildren(); part != query.endChildren(); ++part) {
    auto compiled = compile_atom(**part);
    if (!compiled) return std::nullopt;
    test.parts.push_back(std::move(*compiled));
  }
  return test;
}

auto Pattern::compile_bond(const RDKit::Bond::QUERYBOND_QUERY& query) -> std::optional<BondSet> {
  const std::string& name = query.getDescription();
  std::optional<BondSet> bonds;
  if (name == "SingleOrAromaticBond") {
    bonds = static_cast<BondSet>(bonds_of_order(kSingle) | bonds_of_order(kAromatic));
  } else if (name == "BondNull") {
    bonds = kAllBonds;
  } else if (name == "BondInRing") {
    bonds = kRingBonds;
  } else if (name == "BondOrder") {
    if (typeid(query) == typeid(RDKit::BOND_EQUALS_QUERY))
      bonds = bonds_of_rdkit(static_cast<const RDKit::BOND_EQUALS_QUERY&>(query).getVal());
  } else if (name == "BondAnd" || name == "BondOr") {
    const bool is_and = name == "BondAnd";
    bonds = is_and ? kAllBonds : BondSet{0};
    for (auto part = query.beginChildren(); part != query.endChildren(); ++part) {
      const auto one = compile_bond(**part);
      if (!one) return std::nullopt;
      bonds = static_cast<BondSet>(is_and ? *bonds & *one : *bonds | *one);
    }
  }
  if (bonds && query.getNegation()) bonds = static_cast<BondSet>(~*bonds);
  return bonds;
}

auto Pattern::compile_bond(const RDKit::Bond& bond) -> std::optional<BondSet> {
  if (bond.hasQuery()) return compile_bond(*bond.getQuery());
  return bonds_of_rdkit(bond.getBondType());
}

// False: not connected.
bool Pattern::order_steps(const std::vector<std::vector<Edge>>& edges) {
  std::vector<bool> is_placed(at(size_)), is_beside(at(size_));
  const auto place = [&](int atom) {
    is_placed[at(atom)] = true;
    for (const Edge& edge : edges[at(atom)]) is_beside[at(edge.other)] = true;
  };
  place(0);
  for (int k = 1; k < size_; ++k) {
    int atom = 0;
    while (atom < size_ && (is_placed[at(atom)] || !is_beside[at(atom)])) ++atom;
    if (atom == size_) return false;
    Step step{.atom = atom, .anchor = -1, .placed = {}};
    for (const Edge& edge : edges[at(atom)]) {
      if (!is_placed[at(edge.other)]) continue;
      if (step.anchor < 0) step.anchor = edge.other;
      step.placed.push_back(edge);
    }
    steps_.push_back(std::move(step));
    place(atom);
  }
  return true;
}

std::optional<Pattern> Pattern::compile(const RDKit::ROMol& query) {
  if (query.getNumAtoms() == 0 || query.getNumAtoms() > kMost) return std::nullopt;
  Pattern pattern;
  pattern.size_ = static_cast<int>(query.getNumAtoms());
  std::vector<std::vector<Edge>> edges;
  for (const auto* atom : query.atoms()) {
    if (!atom->hasQuery()) return std::nullopt;
    auto test = compile_atom(*atom->getQuery());
    if (!test) return std::nullopt;
    pattern.tests_.push_back(std::move(*test));
    pattern.degrees_.push_back(static_cast<int>(atom->getDegree()));
    edges.emplace_back();
    for (const auto* bond : query.atomBonds(atom)) {
      const auto bonds = compile_bond(*bond);
      if (!bonds) return std::nullopt;
      edges.back().push_back({static_cast<int>(bond->getOtherAtomIdx(atom->getIdx())), *bonds});
    }
  }
  if (!pattern.order_steps(edges)) return std::nullopt;
  return pattern;
}

}  // namespace spillway::transform::flat

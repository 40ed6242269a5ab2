#include "transform/flat/parser.hpp"

#include <utility>

namespace spillway::transform::flat {
namespace {

size_t at(int index) { return static_cast<size_t>(index); }

constexpr int kCarbon = 6, kNitrogen = 7;
constexpr uint8_t kWrittenDouble = 2, kWrittenTriple = 3, kWrittenAromatic = 4;
constexpr Bytes kEnvironmentCost{80}, kSystemCost{128};  // nodes and buckets of the maps

uint8_t chain_order(uint8_t written) {
  return written == kWrittenDouble ? kDouble : written == kWrittenTriple ? kTriple : kSingle;
}

}  // namespace

// Atoms whose form RDKit's cleanUp may change by what their neighbours are.
bool Parser::may_be_cleaned(int index) const {
  const Scanner::Atom& atom = scanner_.atom(index);
  if (atom.charge != 0) return false;
  int valence = atom.hydrogens;
  for (int k = 0; k < scanner_.degree(index); ++k) {
    const uint8_t order = scanner_.bond(scanner_.bonds_of(index)[k]).order;
    valence += order == kWrittenDouble || order == kWrittenTriple ? order : 1;
  }
  if (atom.element == kNitrogen && atom.is_lower != 0) return false;
  return flat::may_be_cleaned(atom.element, valence, scanner_.degree(index));
}

// Bonds of chains are single, double or triple, and lower-case atoms in rings.
bool Parser::is_plain() const {
  for (int i = 0; i < scanner_.bonds(); ++i) {
    const Scanner::Bond& bond = scanner_.bond(i);
    if (!bond.is_chain) continue;
    if (bond.order == kWrittenAromatic) return false;
    if (bond.order == 0 && scanner_.atom(bond.begin).is_lower != 0 &&
        scanner_.atom(bond.end).is_lower != 0)
      return false;
  }
  for (int i = 0; i < scanner_.atoms(); ++i) {
    const Scanner::Atom& atom = scanner_.atom(i);
    if ((atom.system == Scanner::kNoSystem && atom.is_lower != 0) || may_be_cleaned(i))
      return false;
  }
  return true;
}

// Fills system_ and key_. False: too large to remember.
bool Parser::key_system(int system) {
  key_.clear();
  system_.atoms = system_.bonds = 0;
  for (int i = 0; i < scanner_.atoms(); ++i) {
    if (scanner_.atom(i).system != system) continue;
    if (at(system_.atoms) == system_.atom.size()) return false;
    place_[at(i)] = u16(system_.atoms);
    system_.atom[at(system_.atoms++)] = u16(i);
  }
  const auto add = [this](int byte) { key_.push_back(static_cast<char>(byte)); };
  for (int q = 0; q < system_.atoms; ++q) {
    const int index = system_.atom[at(q)];
    const Scanner::Atom& atom = scanner_.atom(index);
    add(atom.element);
    add(atom.charge);
    add(atom.is_lower | atom.is_bracket << 1 | atom.hydrogens << 2);
    std::array<int, kMostDegree> leaving{};
    int multiple = 0, singles = 0;
    for (int k = 0; k < scanner_.degree(index); ++k) {
      const uint16_t number = scanner_.bonds_of(index)[k];
      const Scanner::Bond& bond = scanner_.bond(number);
      const int other = scanner_.other_end(number, index);
      if (bond.is_chain) {
        const uint8_t order = chain_order(bond.order);
        if (order == kSingle) {
          ++singles;
        } else {
          leaving[at(multiple++)] =
              order << 9 | (scanner_.atom(other).system != Scanner::kNoSystem ? 1 << 8 : 0) |
              scanner_.atom(other).element;
        }
      } else if (other > index) {
        if (at(system_.bonds) == system_.bond.size()) return false;
        system_.bond[at(system_.bonds++)] = number;
        add(0x80 | bond.order);
        add(place_[at(other)]);
      }
    }
    // Of a carbon without brackets, bonds and hydrogens sum up to the same.
    if (atom.element != kCarbon || atom.is_bracket != 0) add(0x20 | singles);
    // A ring atom has two bonds to leave by at most.
    if (multiple == 2 && leaving[0] > leaving[1]) std::swap(leaving[0], leaving[1]);
    for (int k = 0; k < multiple; ++k) {
      add(0x40 | leaving[at(k)] >> 8);
      add(leaving[at(k)] & 0xff);
    }
  }
  return true;
}

int Parser::written_order(int number) const {
  const Scanner::Bond& bond = scanner_.bond(number);
  if (bond.order != 0) return bond.order - 1;
  const bool both_lower =
      scanner_.atom(bond.begin).is_lower != 0 && scanner_.atom(bond.end).is_lower != 0;
  return both_lower && !bond.is_chain ? kAromatic : kSingle;
}

// An atom and how many bonds of each order it has, as written and as they became.
uint64_t Parser::environment_key(int index, const Molecule& molecule) const {
  const Scanner::Atom& atom = scanner_.atom(index);
  const Atom& made = molecule.at(index);
  uint64_t key = uint64_t{atom.chirality != kNotChiral} << 56 | uint64_t{atom.element} << 48 |
                 uint64_t{static_cast<uint8_t>(atom.charge)} << 40 |
                 uint64_t{atom.is_bracket} << 39 | uint64_t{atom.is_lower} << 38 |
                 uint64_t{made.aromatic} << 37 | uint64_t{atom.hydrogens} << 32;
  for (int k = 0; k < scanner_.degree(index); ++k)
    key += uint64_t{1} << (3 * written_order(scanner_.bonds_of(index)[k]));
  for (int slot = 0; slot < made.degree; ++slot)
    key += uint64_t{1} << (12 + 3 * made.bond[at(slot)].order);
  return key;
}

bool Parser::take_systems(Molecule& molecule) {
  for (int i = 0; i < scanner_.systems(); ++i) {
    if (!key_system(i)) return false;
    const auto found = systems_.find(std::string_view(key_));
    if (found == systems_.end()) return false;
    const uint8_t* byte = found->second.data();
    for (int q = 0; q < system_.atoms; ++q) {
      Atom& atom = molecule.at(system_.atom[at(q)]);
      atom.aromatic = *byte++;
      atom.rings = *byte++;
    }
    for (int q = 0; q < system_.bonds; ++q) {
      order_[system_.bond[at(q)]] = *byte++;
      rings_[system_.bond[at(q)]] = *byte++;
    }
  }
  return true;
}

void Parser::take_bonds(Molecule& molecule) const {
  for (int i = 0; i < scanner_.bonds(); ++i) {
    const Scanner::Bond& bond = scanner_.bond(i);
    const uint8_t order = bond.is_chain ? chain_order(bond.order) : order_[at(i)];
    const uint8_t rings = bond.is_chain ? uint8_t{0} : rings_[at(i)];
    Atom& begin = molecule.at(bond.begin);
    Atom& end = molecule.at(bond.end);
    const char symbol = symbol_of(order, begin.aromatic != 0 && end.aromatic != 0);
    begin.bond[begin.degree++] = {bond.end, u16(i), order, rings, kNoGeometry, symbol};
    end.bond[end.degree++] = {bond.begin, u16(i), order, rings, kNoGeometry, symbol};
    molecule.ends_of(i) = {bond.begin, bond.end, bond.direction};
  }
}

bool Parser::take_environments(Molecule& molecule) const {
  for (int i = 0; i < scanner_.atoms(); ++i) {
    const auto found = environments_.find(environment_key(i, molecule));
    if (found == environments_.end()) return false;
    Atom& atom = molecule.at(i);
    atom.hydrogens = found->second.hydrogens;
    atom.given_hydrogens = found->second.given_hydrogens;
    atom.token = found->second.token;
  }
  return true;
}

// False: the marks contradict each other.
bool Parser::mark_end(const Molecule& molecule, int other, DoubleBond::End& end,
                      bool& is_marked) const {
  const Atom& atom = molecule.at(end.atom);
  for (int slot = 0; slot < atom.degree; ++slot) {
    const Bond& bond = atom.bond[at(slot)];
    if (bond.to == other) continue;
    const BondEnds& ends = molecule.ends_of(bond.number);
    uint8_t direction = ends.direction;
    if (direction != kNoDirection) {
      is_marked = true;
      if (ends.begin != end.atom) direction = opposite(direction);
    }
    end.other[end.others] = bond.to;
    end.direction[end.others++] = direction;
  }
  if (!is_marked || end.others < 2) return true;
  if (end.direction[0] == kNoDirection) end.direction[0] = opposite(end.direction[1]);
  if (end.direction[1] == kNoDirection) end.direction[1] = opposite(end.direction[0]);
  return end.direction[0] != end.direction[1];
}

// The double bonds with marks at both ends.
bool Parser::mark_double_bonds(Molecule& molecule) const {
  for (int i = 0; i < scanner_.bonds(); ++i) {
    const Scanner::Bond& written = scanner_.bond(i);
    if (written.order != kWrittenDouble) continue;
    const Atom& begin = molecule.at(written.begin);
    const Atom& end = molecule.at(written.end);
    if (begin.bond[at(begin.slot_of(written.end))].order != kDouble) continue;
    if (begin.degree < 2 || begin.degree > 3 || end.degree < 2 || end.degree > 3) continue;
    DoubleBond bond;
    bond.number = u16(i);
    bond.end[0].atom = written.begin;
    bond.end[1].atom = written.end;
    bool is_begin_marked = false, is_end_marked = false;
    if (!mark_end(molecule, written.end, bond.end[0], is_begin_marked) ||
        !mark_end(molecule, written.begin, bond.end[1], is_end_marked))
      return false;
    if (!is_begin_marked || !is_end_marked) continue;
    if (!written.is_chain || molecule.double_bonds == kMostDoubleBonds) return false;
    molecule.double_bond[at(molecule.double_bonds++)] = bond;
  }
  return true;
}

Parser::Known Parser::parse(std::string_view text, Molecule& molecule) {
  if (!scanner_.scan(text) || !is_plain()) return Known::kNotPlain;
  molecule.clear();
  molecule.atoms = scanner_.atoms();
  molecule.bonds = scanner_.bonds();
  for (int i = 0; i < molecule.atoms; ++i) {
    const Scanner::Atom& atom = scanner_.atom(i);
    Atom& made = molecule.at(i);
    made.element = atom.element;
    made.charge = atom.charge;
    made.chirality = atom.chirality;
    made.degree = made.aromatic = made.rings = 0;
    molecule.centres += atom.chirality != kNotChiral ? 1 : 0;
  }
  if (!take_systems(molecule)) return Known::kNotYet;
  take_bonds(molecule);
  if (!take_environments(molecule)) return Known::kNotYet;
  if (scanner_.has_directions() && !mark_double_bonds(molecule)) return Known::kNotPlain;
  return Known::kAll;
}

bool Parser::is_as_scanned(const Molecule& molecule) const {
  if (molecule.atoms != scanner_.atoms() || molecule.bonds != scanner_.bonds()) return false;
  for (int i = 0; i < molecule.atoms; ++i) {
    const Scanner::Atom& atom = scanner_.atom(i);
    const Atom& made = molecule.at(i);
    if (made.element != atom.element || made.charge != atom.charge ||
        made.chirality != atom.chirality)
      return false;
  }
  for (int i = 0; i < molecule.bonds; ++i) {
    const Scanner::Bond& bond = scanner_.bond(i);
    if (molecule.ends_of(i).begin != bond.begin || molecule.ends_of(i).end != bond.end)
      return false;
    const Bond& made = molecule.bond(bond.begin, molecule.at(bond.begin).slot_of(bond.end));
    if (bond.is_chain != (made.rings == 0) ||
        (bond.is_chain && made.order != chain_order(bond.order)))
      return false;
  }
  return true;
}

// Whether all that the system at hand writes as aromatic is so. Where it is not (phthalocyanines), RDKit's Kekule
// structure stays in the molecule, and which one that is depends on more than the system.
bool Parser::stays_aromatic(const Molecule& molecule) const {
  for (int q = 0; q < system_.bonds; ++q) {
    const uint16_t number = system_.bond[at(q)];
    const Scanner::Bond& bond = scanner_.bond(number);
    if (written_order(number) != kAromatic) continue;
    if (molecule.bond(bond.begin, molecule.at(bond.begin).slot_of(bond.end)).order != kAromatic)
      return false;
  }
  return true;
}

// What is remembered changes speed only: when it is full, all is forgotten.
void Parser::make_room() {
  if (held_ < memory_) return;
  environments_.clear();
  systems_.clear();
  held_ = Bytes();
}

void Parser::learn(const Molecule& molecule, bool rings_are_certain) {
  if (!rings_are_certain || !is_as_scanned(molecule)) return;
  make_room();
  for (int i = 0; i < molecule.atoms; ++i) {
    const Atom& atom = molecule.at(i);
    const Environment environment{atom.hydrogens, atom.given_hydrogens, atom.token};
    if (environments_.try_emplace(environment_key(i, molecule), environment).second)
      held_ = held_ + kEnvironmentCost;
  }
  for (int i = 0; i < scanner_.systems(); ++i) {
    if (!key_system(i) || !stays_aromatic(molecule)) continue;
    std::vector<uint8_t> made;
    made.reserve(2 * at(system_.atoms + system_.bonds));
    for (int q = 0; q < system_.atoms; ++q) {
      const Atom& atom = molecule.at(system_.atom[at(q)]);
      made.insert(made.end(), {atom.aromatic, atom.rings});
    }
    for (int q = 0; q < system_.bonds; ++q) {
      const Scanner::Bond& bond = scanner_.bond(system_.bond[at(q)]);
      const Bond& one = molecule.bond(bond.begin, molecule.at(bond.begin).slot_of(bond.end));
      made.insert(made.end(), {one.order, one.rings});
    }
    const Bytes cost = kSystemCost + Bytes(key_.size() + made.size());
    if (systems_.try_emplace(key_, std::move(made)).second) held_ = held_ + cost;
  }
}

}  // namespace spillway::transform::flat

#include "transform/flat/from_rdkit.hpp"

#include <GraphMol/PeriodicTable.h>
#include <GraphMol/RDKitBase.h>
#include <GraphMol/RingInfo.h>

#include <optional>

#include "transform/flat/text.hpp"

namespace spillway::transform::flat {
namespace {

size_t at(int index) { return static_cast<size_t>(index); }

bool is_organic(int element) {
  switch (element) {
    case 5:
    case 6:
    case 7:
    case 8:
    case 9:
    case 15:
    case 16:
    case 17:
    case 35:
    case 53:
      return true;
    default:
      return false;
  }
}

// Whether RDKit's writer puts an atom that is no centre into brackets.
bool is_bracketed(const RDKit::Atom& atom) {
  const int element = atom.getAtomicNum();
  if (!is_organic(element) || atom.getFormalCharge() != 0) return true;
  if (atom.getIsAromatic() && (element == 7 || element == 15) && atom.getNumExplicitHs() != 0)
    return true;
  const int usual =
      RDKit::PeriodicTable::getTable()->getValenceList(static_cast<unsigned>(element)).front();
  return static_cast<int>(atom.getTotalValence()) != usual && atom.getTotalNumHs() != 0;
}

std::optional<uint8_t> chirality_of(const RDKit::Atom& atom) {
  switch (atom.getChiralTag()) {
    case RDKit::Atom::CHI_UNSPECIFIED:
      return kNotChiral;
    case RDKit::Atom::CHI_TETRAHEDRAL_CW:
    case RDKit::Atom::CHI_TETRAHEDRAL_CCW:
      // Of a ring whose centres depend on each other; an exchange is counted otherwise below three bonds.
      if (atom.hasProp(RDKit::common_properties::_ringStereoAtoms) || atom.getDegree() < 3 ||
          atom.getIsAromatic())
        return std::nullopt;
      return atom.getChiralTag() == RDKit::Atom::CHI_TETRAHEDRAL_CW ? kClockwise : kCounter;
    default:
      return std::nullopt;
  }
}

bool read_atom(const RDKit::Atom& from, unsigned rings, Atom& to) {
  const auto chirality = chirality_of(from);
  if (!chirality || from.getIsotope() != 0 || from.hasQuery() || from.getAtomicNum() <= 1 ||
      from.getNumRadicalElectrons() != 0 || from.getAtomMapNum() != 0 ||
      from.getDegree() > kMostDegree || rings > 255 || from.getTotalNumHs() > 9)
    return false;
  to.chirality = *chirality;
  to.element = u8(from.getAtomicNum());
  to.hydrogens = u8(static_cast<int>(from.getTotalNumHs()));
  to.charge = static_cast<int8_t>(from.getFormalCharge());
  to.aromatic = from.getIsAromatic() ? 1 : 0;
  to.degree = 0;
  to.rings = u8(static_cast<int>(rings));
  to.given_hydrogens =
      u8((from.getNoImplicit() ? 1 : 0) | static_cast<int>(from.getNumExplicitHs()) << 1);
  const auto token = token_of(to, RDKit::PeriodicTable::getTable()->getElementSymbol(to.element),
                              to.chirality != kNotChiral || is_bracketed(from));
  if (!token) return false;
  to.token = *token;
  return true;
}

std::optional<uint8_t> order_of(const RDKit::Bond& bond) {
  const bool is_aromatic = bond.getBondType() == RDKit::Bond::AROMATIC;
  if (bond.hasQuery() || is_aromatic != bond.getIsAromatic()) return std::nullopt;
  switch (bond.getBondType()) {
    case RDKit::Bond::SINGLE:
      return kSingle;
    case RDKit::Bond::DOUBLE:
      return kDouble;
    case RDKit::Bond::TRIPLE:
      return kTriple;
    case RDKit::Bond::AROMATIC:
      return kAromatic;
    default:
      return std::nullopt;
  }
}

std::optional<uint8_t> direction_of(const RDKit::Bond& bond) {
  switch (bond.getBondDir()) {
    case RDKit::Bond::NONE:
      return kNoDirection;
    case RDKit::Bond::ENDUPRIGHT:
      return kUp;
    case RDKit::Bond::ENDDOWNRIGHT:
      return kDown;
    default:
      return std::nullopt;
  }
}

// 0 for none, nothing for one that is not plain.
std::optional<uint8_t> geometry_of(const RDKit::Bond& bond) {
  if (bond.getStereo() == RDKit::Bond::STEREONONE) return kNoGeometry;
  if (bond.getBondType() != RDKit::Bond::DOUBLE || bond.getStereoAtoms().size() != 2 ||
      bond.getBeginAtom()->getDegree() > 3 || bond.getEndAtom()->getDegree() > 3)
    return std::nullopt;
  if (bond.getStereo() == RDKit::Bond::STEREOZ) return kZ;
  if (bond.getStereo() == RDKit::Bond::STEREOE) return kE;
  return std::nullopt;
}

// The geometry as directions that the ends' bonds could be marked with.
void set_directions(const Molecule& flat, const RDKit::Bond& bond, DoubleBond& to) {
  to.number = u16(static_cast<int>(bond.getIdx()));
  to.end[0].atom = u16(static_cast<int>(bond.getBeginAtomIdx()));
  to.end[1].atom = u16(static_cast<int>(bond.getEndAtomIdx()));
  for (size_t i = 0; i < 2; ++i) {
    DoubleBond::End& end = to.end[i];
    const uint8_t direction = i == 0 || to.geometry == kZ ? kUp : kDown;
    end.control = u16(bond.getStereoAtoms()[i]);
    end.others = 1;
    end.other[0] = end.control;
    end.direction[0] = direction;
    const Atom& atom = flat.at(end.atom);
    for (int slot = 0; slot < atom.degree; ++slot) {
      const uint16_t next = atom.bond[at(slot)].to;
      if (next == to.end[1 - i].atom || next == end.control) continue;
      end.other[1] = next;
      end.direction[1] = opposite(direction);
      end.others = 2;
    }
  }
}

// A double bond without stereo between marked bonds could get it when the molecule is changed.
bool has_unused_marks(const Molecule& flat) {
  const auto is_marked = [&](int index) {
    const Atom& atom = flat.at(index);
    for (int slot = 0; slot < atom.degree; ++slot) {
      if (flat.ends_of(atom.bond[at(slot)].number).direction != kNoDirection) return true;
    }
    return false;
  };
  for (int i = 0; i < flat.atoms; ++i) {
    const Atom& atom = flat.at(i);
    for (int slot = 0; slot < atom.degree; ++slot) {
      const Bond& bond = atom.bond[at(slot)];
      if (bond.to > i && bond.order == kDouble && bond.geometry == kNoGeometry && is_marked(i) &&
          is_marked(bond.to))
        return true;
    }
  }
  return false;
}

}  // namespace

bool from_rdkit(const RDKit::ROMol& mol, Molecule& flat) {
  if (mol.getNumAtoms() > kMostAtoms || mol.getNumAtoms() == 0 ||
      mol.getNumBonds() > kMostBonds - 4)
    return false;
  flat.clear();
  const RDKit::RingInfo& rings = *mol.getRingInfo();
  for (const auto* atom : mol.atoms()) {
    Atom& to = flat.at(flat.atoms++);
    if (!read_atom(*atom, rings.numAtomRings(atom->getIdx()), to)) return false;
    flat.centres += to.chirality != kNotChiral ? 1 : 0;
  }
  bool any_direction = false;
  for (const auto* bond : mol.bonds()) {
    const auto order = order_of(*bond);
    const auto direction = direction_of(*bond);
    const auto geometry = geometry_of(*bond);
    const unsigned in_rings = rings.numBondRings(bond->getIdx());
    if (!order || !direction || !geometry || in_rings > 255) return false;
    if (*geometry != kNoGeometry) {
      if (flat.double_bonds == kMostDoubleBonds) return false;
      flat.double_bond[at(flat.double_bonds++)].geometry = *geometry;
    }
    any_direction |= *direction != kNoDirection;
    const auto begin = static_cast<int>(bond->getBeginAtomIdx()),
               end = static_cast<int>(bond->getEndAtomIdx());
    const int number = flat.bonds++;
    flat.ends_of(number) = {u16(begin), u16(end), *direction};
    const bool both_aromatic = flat.at(begin).aromatic != 0 && flat.at(end).aromatic != 0;
    if (*order == kAromatic && !both_aromatic) return false;
    const char symbol = symbol_of(*order, both_aromatic);
    const auto hang = [&](Atom& atom, int to) {
      atom.bond[atom.degree++] = {u16(to),   u16(number), *order, u8(static_cast<int>(in_rings)),
                                  *geometry, symbol};
    };
    hang(flat.at(begin), end);
    hang(flat.at(end), begin);
  }
  int next = 0;
  for (const auto* bond : mol.bonds()) {
    if (bond->getStereo() != RDKit::Bond::STEREONONE)
      set_directions(flat, *bond, flat.double_bond[at(next++)]);
  }
  return !any_direction || !has_unused_marks(flat);
}

}  // namespace spillway::transform::flat

// A molecule as flat arrays: what ranking, writing, matching and editing of plain molecules need, and
// nothing else. One a worker and a product, filled again and again; nothing in it is allocated.
//
// Plain    One fragment of at most kMostAtoms atoms of degree 4 or less; bonds single, double, triple
//          or aromatic; no isotopes, radicals, atom maps, queries, dummies or explicit hydrogen atoms;
//          tetrahedral centres and E/Z double bonds that no ring makes depend on each other. What is
//          not plain is RDKit's to do: every function that finds so says it and changes no answer.
// Order    Atoms and bonds are numbered, and an atom's bonds listed, as RDKit does: ties and chirality
//          are told by that order.
// Memory   23 KiB.
// Source   What RDKit 2022.09 holds of a sanitized molecule (Atom, Bond, RingInfo).
#pragma once

#include <array>
#include <cstdint>
#include <cstring>

namespace spillway::transform::flat {

inline constexpr int kMostAtoms = 400;
inline constexpr int kMostBonds = kMostAtoms + 64;
inline constexpr int kMostDegree = 4;
inline constexpr int kMostDoubleBonds = 16;  // that are E or Z

constexpr uint8_t u8(int value) { return static_cast<uint8_t>(value); }
constexpr uint16_t u16(int value) { return static_cast<uint16_t>(value); }

enum Order : uint8_t { kSingle, kDouble, kTriple, kAromatic };
enum Geometry : uint8_t { kNoGeometry = 0, kZ = 2, kE = 3 };  // as RDKit ranks them
enum Chirality : uint8_t {
  kNotChiral = 0,
  kClockwise,
  kCounter
};                                                          // @@ and @ of the bonds as listed
enum Direction : uint8_t { kNoDirection = 0, kDown, kUp };  // \ and /

constexpr uint8_t opposite(uint8_t direction) { return u8(kDown + kUp - direction); }

// An atom as it is written: `C`, `[nH]`, `[NH3+]`. Of a centre it is made when the text is.
struct Token {
  static constexpr int kMost = 7;
  std::array<char, kMost> text{};
  uint8_t size = 0;
  bool operator==(const Token&) const = default;
};

// One end of a bond.
struct Bond {
  uint16_t to = 0;
  uint16_t number = 0;
  uint8_t order = kSingle;
  uint8_t rings = 0;  // that it is in
  uint8_t geometry = kNoGeometry;
  char symbol = 0;  // as it is written, 0 for nothing
};

struct Atom {
  uint8_t element = 0;
  uint8_t hydrogens = 0;  // all
  uint8_t degree = 0;
  uint8_t rings = 0;  // that it is in
  uint8_t aromatic = 0;
  uint8_t chirality = kNotChiral;
  // What RDKit keeps of how hydrogens were given: none are implied | explicit ones << 1.
  uint8_t given_hydrogens = 0;
  int8_t charge = 0;
  Token token;
  std::array<Bond, kMostDegree> bond;

  int slot_of(int neighbour) const {
    for (int slot = 0; slot < degree; ++slot) {
      if (bond[static_cast<size_t>(slot)].to == neighbour) return slot;
    }
    return -1;
  }
};
static_assert(sizeof(Token) == 8 && sizeof(Bond) == 8 && sizeof(Atom) == 48);

// A double bond that is E or Z, with the directions of its ends' other bonds as seen from the ends:
// equal ones on the same side. `control` is the neighbour that ranks higher.
struct DoubleBond {
  struct End {
    uint16_t atom = 0;
    uint16_t control = 0;
    uint8_t others = 0;
    std::array<uint8_t, 2> direction{};
    std::array<uint16_t, 2> other{};
  };
  std::array<End, 2> end;
  uint16_t number = 0;
  uint8_t geometry = kNoGeometry;
};

struct BondEnds {
  uint16_t begin = 0, end = 0;
  uint8_t direction = kNoDirection;
};

struct Molecule {
  int atoms = 0, bonds = 0;
  int centres = 0;  // chiral atoms
  int double_bonds = 0;
  std::array<Atom, kMostAtoms> atom;
  std::array<BondEnds, kMostBonds> ends;  // by number; only where there are double bonds
  std::array<DoubleBond, kMostDoubleBonds> double_bond;

  Atom& at(int index) { return atom[static_cast<size_t>(index)]; }
  const Atom& at(int index) const { return atom[static_cast<size_t>(index)]; }
  Bond& bond(int index, int slot) { return at(index).bond[static_cast<size_t>(slot)]; }
  const Bond& bond(int index, int slot) const { return at(index).bond[static_cast<size_t>(slot)]; }
  BondEnds& ends_of(int number) { return ends[static_cast<size_t>(number)]; }
  const BondEnds& ends_of(int number) const { return ends[static_cast<size_t>(number)]; }

  void clear() { atoms = bonds = centres = double_bonds = 0; }
  // Cost: what is used of it.
  void copy_from(const Molecule& other) {
    atoms = other.atoms;
    bonds = other.bonds;
    centres = other.centres;
    double_bonds = other.double_bonds;
    std::memcpy(atom.data(), other.atom.data(), static_cast<size_t>(atoms) * sizeof(Atom));
    if (double_bonds == 0) return;
    std::memcpy(ends.data(), other.ends.data(), static_cast<size_t>(bonds) * sizeof(BondEnds));
    std::memcpy(double_bond.data(), other.double_bond.data(),
                static_cast<size_t>(double_bonds) * sizeof(DoubleBond));
  }
};

// Whether RDKit's cleanUp may rewrite an uncharged atom that is not aromatic by what lies further than its bonds:
// N above three, P, and halogens above one.
constexpr bool may_be_cleaned(int element, int valence, int degree) {
  constexpr int kNitrogen = 7, kPhosphorus = 15, kChlorine = 17, kBromine = 35, kIodine = 53;
  switch (element) {
    case kNitrogen:
      return valence > 3;
    case kPhosphorus:
      return valence > 3 && degree != 4;
    case kChlorine:
    case kBromine:
    case kIodine:
      return valence > 1;
    default:
      return false;
  }
}

// How a bond between these is written.
constexpr char symbol_of(uint8_t order, bool both_aromatic) {
  switch (order) {
    case kSingle:
      return both_aromatic ? '-' : '\0';
    case kDouble:
      return '=';
    case kTriple:
      return '#';
    default:
      return both_aromatic ? '\0' : ':';
  }
}

}  // namespace spillway::transform::flat

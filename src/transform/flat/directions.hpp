// The / and \ of a canonical SMILES, from the E and Z of double bonds.
//
// The order of steps decides which of several equivalent sets of marks is written: it is RDKit's
// (Canon::canonicalizeDoubleBond, removeRedundantBondDirSpecs; BSD 3-clause, see NOTICE).
//
// Memory   56 KiB. Cost O(bonds) and, a double bond with branches, O(items). Threads one at a time.
#pragma once

#include <array>
#include <cstdint>

#include "transform/flat/molecule.hpp"
#include "transform/flat/traversal.hpp"

namespace spillway::transform::flat {

class Directions {
 public:
  // What a SMILES is a row of.
  struct Item {
    enum Kind : uint8_t { kAtom, kBond, kNumber, kOpen, kClose } kind;
    uint16_t atom;  // of kNumber: the number
    uint16_t slot;  // of kBond
  };

  // False where RDKit has to write the molecule.
  [[nodiscard]] bool resolve(const Molecule& molecule, const Traversal& traversal);

  // Of the last resolve().
  int size() const { return items_; }
  const Item& item(int index) const { return item_[static_cast<size_t>(index)]; }
  uint8_t direction(int bond) const { return direction_[static_cast<size_t>(bond)]; }

 private:
  struct Around {  // the bonds beside a double bond at one end, in the order of the text
    int first = -1, second = -1;
    bool is_set = false;
  };
  void add(Item::Kind kind, int atom, int slot = 0);
  bool list(int atom);
  bool resolve_one(const DoubleBond& bond);
  void tidy();
  void clear(int reference, int atom);
  Around around(int atom, int skip) const;
  bool is_same_branch(int double_bond, int bond) const;
  bool closes_backwards(int bond) const;
  int other_end(int bond, int atom) const;
  void mark(int bond, int atom, uint8_t direction);
  void flip(int bond);

  const Molecule* molecule_ = nullptr;
  const Traversal* traversal_ = nullptr;
  RingNumbers numbers_;
  int items_ = 0;
  std::array<Item, kMostAtoms * 8> item_{};
  std::array<int, kMostAtoms> atom_place_{};  // in the text, from 1
  std::array<int, kMostBonds> bond_place_{};
  std::array<int, kMostAtoms> atom_uses_{};  // by how many directions
  std::array<int, kMostBonds> bond_uses_{};  // by how many double bonds
  std::array<uint8_t, kMostBonds> direction_{}, is_closure_{};
  std::array<std::array<uint8_t, kMostDegree>, kMostAtoms> number_{};
};

}  // namespace spillway::transform::flat

// The canonical ranks of a plain molecule's atoms, and before that their symmetry classes.
//
//   ranking.refine(molecule)      classes: atoms that no property and no neighbour tells apart
//   ranking.break_ties(molecule)  ranks: each atom its own
//
// Cost     O(bonds) a round of refinement; 2 us for 30 atoms. No allocation.
// Memory   17 KiB.
// Threads  One at a time.
// Fails    refine() is false where RDKit looks at more than this does (highly symmetric ring systems;
//          tied ring atoms beside a centre).
// Source   N. Schneider, R. Sahnoun, G. Landrum, J. Chem. Inf. Model. 2015, 55, 2111; the order of
//          comparisons and of refinement is RDKit's new_canon (BSD 3-clause, see NOTICE).
#pragma once

#include <array>
#include <cstdint>

#include "transform/flat/molecule.hpp"

namespace spillway::transform::flat {

class Ranking {
 public:
  [[nodiscard]] bool refine(const Molecule& molecule);
  // After refine(). Does nothing where all classes are of one atom.
  void break_ties(const Molecule& molecule);

  // The place of an atom's class (rank, when ties are broken) among all atoms.
  int index(int atom) const { return index_[static_cast<size_t>(atom)]; }
  // The atom of the lowest rank.
  int first() const { return order_[0]; }

 private:
  void start(const Molecule& molecule);
  void refine_classes(const Molecule& molecule);
  void refine_pair(const Molecule& molecule, int offset);
  void refine_plain(const Molecule& molecule, int offset, int size);
  void refine_centres(const Molecule& molecule, int offset, int size);
  void settle(const Molecule& molecule, int offset, int size);
  template <class Key>
  void count_by(int offset, int size, const Key& key);
  void push_touched();
  void touch_neighbours(const Atom& atom, bool mark);
  uint64_t neighbour_key(const Atom& atom) const;
  int chiral_rank(const Atom& atom) const;
  bool is_changed(int offset, int size) const;
  bool has_ties(const Molecule& molecule) const;
  bool needs_ring_symmetry(const Molecule& molecule) const;
  bool needs_ring_chirality(const Molecule& molecule) const;

  std::array<int, kMostAtoms> index_{}, order_{};
  std::array<int, kMostAtoms> count_{};  // of a class, at its leader; 0 for its other atoms
  std::array<int, kMostAtoms> stack_{};  // leaders of classes to refine
  int top_ = 0;
  std::array<uint8_t, kMostAtoms> changed_{}, on_stack_{};
  std::array<uint64_t, kMostAtoms> key_{};
  std::array<uint64_t, (kMostAtoms + 63) / 64> touched_{};  // classes, by index
  std::array<int, kMostAtoms> chiral_{};
};

}  // namespace spillway::transform::flat

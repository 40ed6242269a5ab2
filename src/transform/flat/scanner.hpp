// The graph that a SMILES of one fragment writes down, as it is written: no chemistry.
//
// Reads    Organic atoms; brackets of B C N O F P S I Cl Br Si Se Na K Li with hydrogens, a charge, and
//          @ or @@ of carbon; bonds - = # : / \; branches; ring numbers. All else (dots, isotopes, atom
//          maps, other chirality, a ring number of a centre after a branch, two bonds between the same atoms) is not read: false, and RDKit
//          decides. What it reads, RDKit reads to the same atoms and bonds in the same order.
// Cost     O(bytes). No allocation. Memory 30 KiB. Threads one at a time.
// Source   D. Weininger, J. Chem. Inf. Comput. Sci. 1988, 28, 31; the order of bonds is RDKit's: those
//          of chains, then those that ring numbers close, by number.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "transform/flat/molecule.hpp"

namespace spillway::transform::flat {

class Scanner {
 public:
  static constexpr uint16_t kNoSystem = 0xffff;

  struct Atom {
    uint8_t element = 0;
    uint8_t is_lower = 0;  // written as aromatic
    uint8_t is_bracket = 0;
    uint8_t hydrogens = 0;  // written
    int8_t charge = 0;
    uint8_t chirality = kNotChiral;  // of its bonds as numbered
    uint16_t system = kNoSystem;     // of rings joined by bonds; numbered by their first atoms
  };
  struct Bond {
    uint16_t begin = 0, end = 0;
    uint8_t order = 0;  // 0 not written, 1, 2, 3, 4 aromatic
    uint8_t direction = kNoDirection;
    bool is_chain = true;  // in no ring
  };

  [[nodiscard]] bool scan(std::string_view text);

  // Of the last scan that was true.
  int atoms() const { return atoms_; }
  int bonds() const { return bonds_; }
  int systems() const { return systems_; }
  bool has_directions() const { return has_directions_; }
  const Atom& atom(int index) const { return atom_[static_cast<size_t>(index)]; }
  const Bond& bond(int number) const { return bond_[static_cast<size_t>(number)]; }
  // The numbers of an atom's bonds, rising.
  const uint16_t* bonds_of(int atom) const {
    return beside_.data() + first_[static_cast<size_t>(atom)];
  }
  int degree(int atom) const {
    return first_[static_cast<size_t>(atom) + 1] - first_[static_cast<size_t>(atom)];
  }
  int other_end(int bond, int atom) const {
    const Bond& one = bond_[static_cast<size_t>(bond)];
    return one.begin == atom ? one.end : one.begin;
  }

 private:
  static constexpr int kMostClosures = 64;
  static constexpr int kMostNumbers = 100;
  static constexpr int kMostBranches = 64;

  struct Closure {
    uint16_t begin = 0, end = 0;
    uint8_t number = 0, order = 0;
    bool is_closed = false;
    uint16_t bond = 0;
  };
  struct Mark {  // a ring number at an atom, in the order of the text
    uint16_t atom = 0, closure = 0;
    bool is_after_branch = false;
  };
  struct Place {  // where the text stands
    const char* next;
    const char* end;
    char peek(int ahead = 0) const { return end - next > ahead ? next[ahead] : '\0'; }
  };

  bool read_text(std::string_view text);
  bool read_organic(Place& place, Atom& atom) const;
  bool read_bracket(Place& place, Atom& atom) const;
  bool read_number(Place& place, int atom, uint8_t order);
  bool close_rings();
  bool list_neighbours();
  void find_chains();
  void find_systems();
  bool settle_centres();

  int atoms_ = 0, bonds_ = 0, systems_ = 0, closures_ = 0, marks_ = 0, open_ = 0;
  bool has_directions_ = false, has_centres_ = false;
  std::array<Atom, kMostAtoms> atom_{};
  std::array<Bond, kMostBonds> bond_{};
  std::array<uint16_t, kMostAtoms + 1> first_{};
  std::array<uint16_t, size_t{2} * kMostBonds> beside_{};
  std::array<Closure, kMostClosures> closure_{};
  std::array<Mark, size_t{2} * kMostClosures> mark_{};
  std::array<int16_t, kMostNumbers> open_closure_{};
  std::array<uint16_t, kMostAtoms> parent_{}, parent_bond_{}, depth_{}, stack_{};
};

}  // namespace spillway::transform::flat

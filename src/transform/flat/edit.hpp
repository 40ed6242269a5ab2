// A rule's edit of a flat molecule at one match, as RDKit's reaction and sanitizing would leave it.
//
// What becomes of the atoms that an edit touches (hydrogens, charge, how they are written) is learned
// from RDKit's first product of a site with the same surroundings, and only if that whole product equals
// the flat edit. Atoms that the rule takes away may have further neighbours: what is cut off goes with
// them, and a ring that they were the only one to close is opened.
//
// Fails    make() and learn() leave to RDKit: E/Z bonds at or beside the match; centres of which more than
//          one neighbour is another; rings that an edit could make or break otherwise, or whose electrons
//          it changes; atoms of two rings taken away. What is learned as RDKit's stays so.
// Cost     A copy of the molecule and what is changed in it; 0.3 us for 30 atoms. No allocation in a hit.
// Memory   `memory` for what is remembered, forgotten when full; 45 KiB.
// Threads  One at a time.
// Source   RDKit's ReactionRunner: the product is what hangs on the mapped atoms.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/bytes.hpp"
#include "transform/flat/molecule.hpp"
#include "transform/flat/parser.hpp"

namespace spillway::transform::flat {

// What a rule does; places count the atoms of its left side.
struct EditShape {
  struct End {
    bool is_kept = false;
    int index = 0;  // into kept or added
  };
  struct NewBond {
    End a, b;
    uint8_t order = kSingle;
    bool exists = false;  // with an atom that is taken over
  };
  struct OldBond {
    int a = 0, b = 0;  // places
    uint8_t order = kSingle;
  };
  int places = 0;
  std::vector<int> kept;  // places
  // Of each kept one: the same bonds in the same order are at it after the edit, but for one whose other
  // atom is taken over. A centre then stays what it is.
  std::vector<bool> keeps_bonds;
  std::vector<int> added;    // the place whose atom each takes over; -1 for a new one
  std::vector<int> gone;     // places that are not kept
  std::vector<int> deleted;  // of these, what none takes over
  std::vector<NewBond> new_bonds;
  std::vector<OldBond> required;  // bonds of the match that must be of this order
};

class SiteEditor {
 public:
  explicit SiteEditor(Bytes memory) : memory_(memory) {}

  enum class Made : uint8_t {
    kYes,
    kNotYet,  // RDKit's product of this site can be learned
    kNever
  };
  // `match` are atoms of `molecule`, whose smallest rings are unique.
  [[nodiscard]] Made make(size_t rule, const EditShape& shape, const Molecule& molecule,
                          std::span<const int> match, Molecule& product);

  // Of the site of the last make(): the product in the molecule's order of atoms; nullptr: it cannot be flat.
  void learn(const EditShape& shape, const Molecule& molecule, std::span<const int> match,
             const Molecule* product);

  // Whether no atom is such that RDKit's cleanUp could rewrite it by what lies further than its bonds.
  static bool is_clean(const Molecule& molecule);

 private:
  struct Change {  // of a touched atom
    uint8_t element = 0, hydrogens = 0, given_hydrogens = 0;
    int8_t charge = 0;
    Token token;
  };
  struct Far {  // a neighbour of a gone atom that stays, as the rest of an opened ring
    uint16_t atom = 0;
    uint16_t gone = 0;
  };
  static constexpr int kMostAdded = 32, kMostFar = 4, kMostPlaces = 120;

  bool fits(const EditShape& shape, const Molecule& molecule, std::span<const int> match);
  bool keeps_centres(const EditShape& shape, const Molecule& molecule,
                     std::span<const int> match) const;
  bool look_beyond(const EditShape& shape, const Molecule& molecule, std::span<const int> match);
  bool opens_at(const EditShape& shape, const Molecule& molecule, int gone, int kept, int beyond);
  bool opens_plainly(const Molecule& molecule);
  bool find_ring(const Molecule& molecule, int from, int to, int without);
  void key_site(size_t rule, const EditShape& shape, const Molecule& molecule,
                std::span<const int> match);
  bool apply(const EditShape& shape, const Molecule& molecule, std::span<const int> match,
             std::span<const Change> changes, Molecule& product);
  void open_ring(Molecule& product) const;
  void cut(Molecule& product, int a, int b) const;
  bool add_bond(Molecule& product, int a, int b, uint8_t order) const;
  void find_dead(const EditShape& shape, const Molecule& product, std::span<const int> match);
  void remove_dead(Molecule& product);
  bool leaves_rings(const EditShape& shape, const Molecule& molecule, std::span<const int> match,
                    std::span<const Change> changes) const;
  Bytes memory_, held_;
  std::unordered_map<std::string, std::vector<Change>, TextHash, std::equal_to<>>
      learned_;  // empty: RDKit's
  std::string key_;
  // Of the site at hand.
  std::array<int8_t, kMostAtoms> place_{};  // of an atom in the match, -1
  std::array<Far, kMostFar> far_{};
  int fars_ = 0;
  bool cuts_off_ = false;
  std::array<uint16_t, kMostAtoms>
      ring_{};  // the ring that is opened, from one neighbour of the gone atom to the other
  int ring_size_ = 0;
  std::array<int, kMostAdded> added_{};
  std::array<uint8_t, kMostAtoms> dead_{};
  std::array<uint16_t, kMostAtoms> number_{};  // new, of what stays
  std::array<uint16_t, kMostAtoms> queue_{}, parent_{}, distance_{};
  std::array<uint8_t, kMostAtoms> ways_{};
  Molecule scratch_;
};

}  // namespace spillway::transform::flat

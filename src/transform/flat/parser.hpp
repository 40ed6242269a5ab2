// SMILES to a flat molecule as RDKit parses and sanitizes it, without RDKit once it has seen the like.
//
// What RDKit made of a ring system (as written, with the multiple bonds that leave it) and of an atom's
// surroundings (as written and as they became) is remembered; a text all of whose parts are known is
// put together from them. Every other text is RDKit's, and what it makes of it is learned. Only what is
// local is remembered:
// - atoms that RDKit's cleanUp may rewrite by what lies further than their own bonds (N above three
//   bonds, P, halogens above one) are never;
// - ring systems only of molecules whose smallest rings are unique and whose aromatic atoms bear a
//   double bond or none whatever the Kekule structure, and only where all that is written as aromatic
//   is.
//
// Cost     2 us for 30 atoms. Misses: what RDKit takes.
// Memory   `memory` for what is remembered (forgotten when full), 60 KiB, and no allocation in a hit.
// Threads  One at a time.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/bytes.hpp"
#include "transform/flat/molecule.hpp"
#include "transform/flat/scanner.hpp"

namespace spillway::transform::flat {

// For maps that are asked with a view.
struct TextHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
};

class Parser {
 public:
  explicit Parser(Bytes memory) : memory_(memory) {}

  enum class Known : uint8_t {
    kAll,      // the molecule is made
    kNotYet,   // RDKit's molecule of this text can be learned
    kNotPlain  // nothing to learn
  };
  // `text` is one fragment. Geometry of double bonds is still to be assigned (stereo.hpp).
  [[nodiscard]] Known parse(std::string_view text, Molecule& molecule);

  // `molecule` is RDKit's, of the text of the last parse(). `rings_are_certain`: see above.
  void learn(const Molecule& molecule, bool rings_are_certain);

 private:
  // Of an atom, found by its surroundings.
  struct Environment {
    uint8_t hydrogens = 0, given_hydrogens = 0;
    Token token;
  };
  // The atoms and bonds of a ring system in the order of its key.
  struct System {
    std::array<uint16_t, 128> atom{};
    std::array<uint16_t, 192> bond{};
    int atoms = 0, bonds = 0;
  };
  bool is_plain() const;
  bool may_be_cleaned(int atom) const;
  bool key_system(int system);
  uint64_t environment_key(int atom, const Molecule& molecule) const;
  bool take_systems(Molecule& molecule);
  void take_bonds(Molecule& molecule) const;
  bool take_environments(Molecule& molecule) const;
  bool mark_double_bonds(Molecule& molecule) const;
  bool mark_end(const Molecule& molecule, int other, DoubleBond::End& end, bool& is_marked) const;
  bool is_as_scanned(const Molecule& molecule) const;
  int written_order(int bond) const;
  bool stays_aromatic(const Molecule& molecule) const;
  void make_room();

  Bytes memory_, held_;
  Scanner scanner_;
  std::unordered_map<uint64_t, Environment> environments_;
  // Two bytes an atom (aromatic, rings), then two a bond (order, rings).
  std::unordered_map<std::string, std::vector<uint8_t>, TextHash, std::equal_to<>> systems_;
  std::string key_;
  System system_;
  std::array<uint16_t, kMostAtoms> place_{};  // of an atom in its system
  std::array<uint8_t, kMostBonds> order_{}, rings_{};
};

}  // namespace spillway::transform::flat

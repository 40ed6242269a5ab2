// The canonical SMILES of a plain, ranked molecule, byte for byte RDKit's.
//
// Memory   26 KiB and what the directions of double bonds need; no allocation.
// Cost     O(bonds); 1 us for 30 atoms without E/Z bonds.
// Threads  One at a time.
// Source   RDKit's MolToSmiles (BSD 3-clause, see NOTICE).
#pragma once

#include <array>
#include <optional>
#include <string_view>

#include "transform/flat/directions.hpp"
#include "transform/flat/molecule.hpp"
#include "transform/flat/ranking.hpp"
#include "transform/flat/traversal.hpp"

namespace spillway::transform::flat {

class Text {
 public:
  // Valid until the next call. Nothing where RDKit has to write it: more than 62 rings open at once,
  // marks of double bonds that contradict each other.
  [[nodiscard]] std::optional<std::string_view> write(const Molecule& molecule,
                                                      const Ranking& ranking);

 private:
  bool write_atom(int atom);
  void append(const Token& token) {
    std::memcpy(end_, token.text.data(), Token::kMost);
    end_ += token.size;
  }
  void append_number(int number);
  Token token_of(int atom) const;
  void append_items();

  const Molecule* molecule_ = nullptr;
  Traversal traversal_;
  Directions directions_;
  RingNumbers numbers_;
  std::array<std::array<uint8_t, kMostDegree>, kMostAtoms> number_{};  // of a closure, by slot
  // An atom, its parentheses, and two bond ends with a symbol and `%nn` each.
  std::array<char, kMostAtoms * 28> text_{};
  char* end_ = nullptr;
};

// How an atom is written, a centre with @@; nothing for what is longer than a token.
std::optional<Token> token_of(const Atom& atom, std::string_view symbol, bool bracket);

}  // namespace spillway::transform::flat

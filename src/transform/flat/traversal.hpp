// The way a canonical SMILES goes through a molecule: from the atom of the lowest rank, depth first.
//
// Cost     O(bonds); no allocation. Memory 8 KiB. Threads one at a time.
// Source   RDKit's Canon::canonicalizeFragment (BSD 3-clause, see NOTICE): rings are opened before
//          chains, bonds of a higher order first among them, then by rank.
#pragma once

#include <array>
#include <cstdint>

#include "transform/flat/molecule.hpp"
#include "transform/flat/ranking.hpp"

namespace spillway::transform::flat {

class Traversal {
 public:
  // Slots of an atom's bonds.
  struct Slots {
    std::array<uint8_t, kMostDegree> slot{};
    uint8_t count = 0;
    void add(int value) { slot[count++] = u8(value); }
    bool has(int value) const {
      for (int i = 0; i < count; ++i) {
        if (slot[static_cast<size_t>(i)] == value) return true;
      }
      return false;
    }
  };

  void go(const Molecule& molecule, const Ranking& ranking);

  int first() const { return first_; }
  const Slots& children(int atom) const { return children_[static_cast<size_t>(atom)]; }
  // Of bonds that close a ring, in the order in which their numbers are written.
  const Slots& closures(int atom) const { return closures_[static_cast<size_t>(atom)]; }

 private:
  void visit(int atom, int from);

  const Molecule* molecule_ = nullptr;
  const Ranking* ranking_ = nullptr;
  int first_ = 0;
  enum State : uint8_t { kNew, kOpen, kDone };
  std::array<uint8_t, kMostAtoms> state_{};
  std::array<Slots, kMostAtoms> children_{}, closures_{};
};

// The numbers of ring closures: the lowest free one, a closed one is free again after its atom.
class RingNumbers {
 public:
  static constexpr int kMost = 62;
  // 0: more rings are open at once than this can number.
  int take();
  void free_after(int number) { freed_ |= uint64_t{1} << number; }
  void next_atom() {
    used_ &= ~freed_;
    freed_ = 0;
  }

 private:
  uint64_t used_ = 1, freed_ = 0;
};

}  // namespace spillway::transform::flat

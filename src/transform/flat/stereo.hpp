// E and Z of double bonds, and that centres are centres: by the ranks that RDKit's older stereo
// perception gives atoms (CIP rules with its own cuts).
//
// Cost     Nothing for a molecule without stereo; else rounds of O(atoms log atoms), as many as the
//          neighbours of centres and double bonds need to differ. No allocation.
// Memory   36 KiB. Threads one at a time.
// Source   RDKit's assignAtomCIPRanks and assignStereochemistry (BSD 3-clause, see NOTICE).
#pragma once

#include <array>
#include <cstdint>

#include "transform/flat/molecule.hpp"

namespace spillway::transform::flat {

class Stereo {
 public:
  // Sets the geometry of all marked double bonds from their directions. False: neighbours that
  // decide are tied, and RDKit has to look.
  [[nodiscard]] bool assign(Molecule& molecule);

 private:
  static constexpr int kMostEntries = 40;
  using Entry = std::array<int16_t, kMostEntries>;

  void start();
  bool is_over() const;
  void next_round();
  int entry(int atom, Entry& entry) const;
  int compare(int a, int b);
  int compare_now(int a, int b) const;
  bool set_control(DoubleBond::End& end, int& control);

  const Molecule* molecule_ = nullptr;
  bool is_started_ = false;
  int rounds_ = 0, ranks_ = 0, ranks_before_ = -1;
  std::array<int, kMostAtoms> rank_{}, order_{}, length_{};
  std::array<Entry, kMostAtoms> entry_{};
};

}  // namespace spillway::transform::flat

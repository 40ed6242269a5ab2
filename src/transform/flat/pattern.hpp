// A SMARTS pattern made ready for flat molecules. Internal to the layer; only .cpp files include it.
//
// Order    Matches come as RDKit's SubstructMatch with uniquify=false lists them: the first query atom
//          over the molecule's, rising; then always the lowest query atom beside one that has its place,
//          over the neighbours of the first of these, as their bonds are listed.
// Compiles Connected patterns of at most 60 atoms whose queries are element, aromaticity, hydrogens,
//          degree, charge, ring membership, recursion, and And, Or, Not of these; bonds single, double,
//          triple, aromatic, in a ring, any, and And, Or, Not of these. Else nothing, and RDKit matches.
// Threads  Immutable once compiled. Cost: bond-wise backtracking, no allocation but of `matches`.
// Source   RDKit's query descriptions and its VF2 (BSD 3-clause, see NOTICE).
#pragma once

#include <RDGeneral/RDConfig.h>
// A query's layout depends on what stands in it.
#include <GraphMol/QueryAtom.h>
#include <GraphMol/QueryBond.h>
#include <GraphMol/ROMol.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "transform/flat/molecule.hpp"

namespace spillway::transform::flat {

class Pattern {
 public:
  static constexpr int kMost = 60;
  [[nodiscard]] static std::optional<Pattern> compile(const RDKit::ROMol& query);

  int size() const { return size_; }
  // `matches` receives size() atoms of the molecule a match, at most `most` matches and one more; false
  // when there are more than `most`.
  [[nodiscard]] bool find(const Molecule& molecule, size_t most, std::vector<int>& matches) const;

 private:
  struct Test {
    enum Kind : uint8_t {
      kAny,
      kAll,
      kEither,
      kType,
      kElement,
      kHydrogens,
      kTotalDegree,
      kDegree,
      kCharge,
      kIsAromatic,
      kIsAliphatic,
      kRing,
      kMatches
    } kind = kAny;
    bool is_negated = false;
    int value = 0;
    std::vector<Test> parts;             // of kAll, kEither
    std::shared_ptr<const Pattern> sub;  // of kMatches: the atom is its first
  };
  using BondSet = uint8_t;  // of orders not in a ring, then of these in a ring
  struct Edge {
    int other = 0;
    BondSet bonds = 0;
  };
  struct Step {
    int atom = 0;
    int anchor = 0;            // the query atom whose neighbours are tried
    std::vector<Edge> placed;  // bonds to atoms that have their place
  };
  struct Search;

  static std::optional<Test> compile_atom(const RDKit::Atom::QUERYATOM_QUERY& query);
  static std::optional<BondSet> compile_bond(const RDKit::Bond& bond);
  static std::optional<BondSet> compile_bond(const RDKit::Bond::QUERYBOND_QUERY& query);
  bool order_steps(const std::vector<std::vector<Edge>>& edges);
  static bool passes(const Molecule& molecule, int atom, const Test& test);
  bool starts_at(const Molecule& molecule, int atom) const;
  bool extend(Search& search, size_t step) const;
  bool fits(const Search& search, const Step& step, int candidate) const;

  int size_ = 0;
  std::vector<Test> tests_;
  std::vector<int> degrees_;
  std::vector<Step> steps_;  // of all but the first atom
};

}  // namespace spillway::transform::flat

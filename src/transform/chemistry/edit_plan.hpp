// A rule compiled to a direct edit of the molecule's graph: what RunReactants makes, without
// building the molecule anew. Internal to the layer.
//
// Compiled only when the edit is plainly the same: one connected product; no stereo, queries or
// dummies in it; no bond between mapped atoms made, broken or changed; added atoms bonded as a
// tree. A site is edited only when its match is as plain (fits()); else the caller runs the
// reaction.
//
// Threads  Immutable once compiled.
#pragma once

#include <RDGeneral/RDConfig.h>
// First.
#include <GraphMol/ChemReactions/Reaction.h>
#include <GraphMol/RWMol.h>
#include <GraphMol/Substruct/SubstructMatch.h>

#include <memory>
#include <optional>
#include <vector>

#include "transform/flat/edit.hpp"

namespace spillway::transform {

// What is true of a parsed molecule as a whole; found once a molecule.
struct MoleculeFacts {
  MoleculeFacts(const RDKit::ROMol& mol, unsigned fragments);

  bool editable = false;    // no stereo groups, conformers, dummies or queries
  bool has_stereo = false;  // any chiral atom, stereo double bond or bond direction
  bool is_bare = true;      // no properties on atoms and bonds: none to clear
  // Ring set and aromaticity of the source hold for a product with the same rings: the smallest
  // rings are unique, and every aromatic atom is a neutral C, N, O or S or a charged N, O or S of which
  // the bonds say it, so that whether it bears a double bond does not depend on the Kekule structure
  // taken.
  bool rings_are_certain = false;
};

class EditPlan {
 public:
  static std::optional<EditPlan> compile(const RDKit::ChemicalReaction& reaction);

  bool fits(const RDKit::ROMol& mol, const RDKit::MatchVectType& match) const;

  // The product with the source's atom order, not sanitized. What hangs only on atoms that the rule
  // takes away goes with them.
  std::unique_ptr<RDKit::RWMol> edit(const RDKit::ROMol& mol,
                                     const RDKit::MatchVectType& match) const;

  // The same on flat molecules.
  flat::EditShape shape() const;

  // The product as if sanitized, or null when that is not certain: only valences and hydrogens of
  // the edited atoms are found anew. Needs facts.rings_are_certain.
  std::unique_ptr<RDKit::RWMol> edit_sanitized(const RDKit::ROMol& mol, const MoleculeFacts& facts,
                                               const RDKit::MatchVectType& match) const;

 private:
  // A mapped atom: what the product's template says of it.
  struct Kept {
    size_t place;  // in the match
    RDKit::Atom model;
    bool set_charge, set_isotope, set_hydrogens;
  };
  // A product-only atom. It takes over the atom of the match at `reuse`, or is added.
  struct Added {
    RDKit::Atom model;
    int reuse = -1;
  };
  struct End {
    bool kept;
    size_t index;  // into kept_ or added_
  };
  struct NewBond {
    End a, b;
    RDKit::Bond::BondType type;
    bool exists = false;  // with the reused atom
  };
  struct OldBond {
    size_t a, b;  // places in the match
    RDKit::Bond::BondType type;
  };

  EditPlan() = default;
  bool read_product(const RDKit::ChemicalReaction& reaction);
  void reuse_atoms(const RDKit::ROMol& reactant);
  unsigned index_of(const End& end, const RDKit::MatchVectType& match,
                    const std::vector<unsigned>& added) const;
  std::vector<unsigned> change(RDKit::RWMol& mol, const RDKit::MatchVectType& match) const;
  bool has_more(const RDKit::ROMol& mol, const RDKit::MatchVectType& match) const;
  void cut_off(RDKit::RWMol& product, const RDKit::MatchVectType& match) const;

  std::vector<Kept> kept_;
  std::vector<Added> added_;
  std::vector<size_t> deleted_;  // places; neither kept nor reused
  std::vector<size_t> gone_;     // places; not kept
  std::vector<NewBond> new_bonds_;
  std::vector<OldBond> old_bonds_;  // between kept atoms: they must be of this type
  std::vector<OldBond> reused_;     // and these, between a reused atom and a kept one
  RDKit::ROMOL_SPTR reactant_;
};

}  // namespace spillway::transform

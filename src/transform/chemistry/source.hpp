// A molecule as RDKit reads it, while rules are applied to it. Internal to the layer; only .cpp files
// that know RDKit include it.
//
// Threads  One at a time. Fails: throws what RDKit throws.
#pragma once

#include <GraphMol/RWMol.h>

#include <memory>
#include <string_view>
#include <vector>

#include "transform/chemistry/edit_plan.hpp"

namespace spillway::transform {

// Sanitized, without explicit hydrogens and atom maps; null for what RDKit does not read. Throws
// std::invalid_argument for bytes that are in no SMILES, std::length_error for too many atoms.
std::unique_ptr<RDKit::RWMol> parse_molecule(std::string_view smiles);

bool is_blank(std::string_view text);

struct Source {
  Source(RDKit::RWMol* parsed, std::string_view smiles);

  RDKit::ROMOL_SPTR mol;
  std::vector<int> fragment;  // of each atom; empty when there is one, as without a dot
  MoleculeFacts facts;

  // The symmetry class of each atom, chirality and isotopes told apart; made when asked first.
  const std::vector<unsigned>& ranks();

  // Adds the fragments that the match does not touch to a product.
  void add_untouched(const RDKit::MatchVectType& match, RDKit::RWMol& product) const;

 private:
  std::vector<unsigned> ranks_;
};

}  // namespace spillway::transform

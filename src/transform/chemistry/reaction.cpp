#include "transform/chemistry/reaction.hpp"

#include <GraphMol/ChemReactions/ReactionParser.h>
#include <GraphMol/ChemReactions/ReactionRunner.h>

#include <algorithm>
#include <climits>
#include <stdexcept>

namespace spillway::transform {

std::vector<RDKit::MatchVectType> all_matches(const RDKit::ROMol& mol, const RDKit::ROMol& query,
                                              size_t most) {
  RDKit::SubstructMatchParameters parameters;
  parameters.uniquify = false;
  parameters.maxMatches = static_cast<unsigned>(std::min<size_t>(most + 1, UINT_MAX));
  return RDKit::SubstructMatch(mol, query, parameters);
}

Reaction::Reaction(const std::string& smirks)
    : reaction_(RDKit::RxnSmartsToChemicalReaction(smirks)) {
  if (!reaction_) throw std::invalid_argument("not a reaction: " + smirks);
  reaction_->initReactantMatchers(true);
  for (const auto* atom : reactant().atoms()) {
    if (atom->getAtomMapNum() > 0) mapped_.push_back(atom->getIdx());
  }
  std::sort(mapped_.begin(), mapped_.end(), [&](size_t a, size_t b) {
    const auto number = [&](size_t index) {
      return reactant().getAtomWithIdx(static_cast<unsigned>(index))->getAtomMapNum();
    };
    return number(a) < number(b);
  });
}

std::unique_ptr<RDKit::RWMol> Reaction::run(const RDKit::ROMOL_SPTR& mol,
                                            const RDKit::MatchVectType& match) const {
  // The part of RunReactants that follows its matching, for one match: the cost stays linear in the
  // sites and no bound on their number applies.
  const RDKit::MOL_SPTR_VECT products =
      RDKit::ReactionRunnerUtils::generateOneProductSet(*reaction_, {mol}, {match});
  return std::make_unique<RDKit::RWMol>(*products.at(0));
}

}  // namespace spillway::transform

// One rule made ready for RDKit: its reaction, and one product for one match. Internal to the
// layer; only .cpp files that know RDKit include it.
//
// Threads  One a thread: a ChemicalReaction is not shared.
// Fails    compile() throws what RDKit throws: rules were checked when they were read.
#pragma once

#include <GraphMol/ChemReactions/Reaction.h>
#include <GraphMol/RWMol.h>
#include <GraphMol/Substruct/SubstructMatch.h>

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace spillway::transform {

// GetSubstructMatches(uniquify=false), `most` and one more at most instead of RDKit's 1,000.
std::vector<RDKit::MatchVectType> all_matches(const RDKit::ROMol& mol, const RDKit::ROMol& query,
                                              size_t most);

class Reaction {
 public:
  explicit Reaction(const std::string& smirks);

  const RDKit::ROMol& reactant() const { return *reaction_->getReactants()[0]; }
  const RDKit::ChemicalReaction& rdkit() const { return *reaction_; }
  // Of the match, the places that carry a map number, in the order of these.
  const std::vector<size_t>& mapped() const { return mapped_; }

  // What RunReactants makes of this one match, not sanitized.
  std::unique_ptr<RDKit::RWMol> run(const RDKit::ROMOL_SPTR& mol,
                                    const RDKit::MatchVectType& match) const;

 private:
  std::unique_ptr<RDKit::ChemicalReaction> reaction_;
  std::vector<size_t> mapped_;
};

}  // namespace spillway::transform

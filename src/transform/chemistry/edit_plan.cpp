#include "transform/chemistry/edit_plan.hpp"

#include <GraphMol/ChemReactions/ReactionRunner.h>
#include <GraphMol/RingInfo.h>
#include <GraphMol/SanitException.h>

#include <algorithm>
#include <map>

namespace spillway::transform {
namespace {

using RDKit::Atom;
using RDKit::Bond;
using RDKit::MatchVectType;
using RDKit::ROMol;
using RDKit::RWMol;
namespace props = RDKit::common_properties;

unsigned atom_of(const MatchVectType& match, size_t place) {
  return static_cast<unsigned>(match[place].second);
}

bool is_plain(Bond::BondType type) {
  return type == Bond::SINGLE || type == Bond::DOUBLE || type == Bond::TRIPLE ||
         type == Bond::AROMATIC;
}

bool is_stereo(const Bond& bond) {
  return bond.getStereo() != Bond::STEREONONE || bond.getBondDir() != Bond::NONE;
}

// Stereo of a double bond is perceived again after an edit, from the marks of bonds beside it. Where reading left
// too few of them (they contradicted each other), or too many, it would be another.
bool may_change_stereo(const ROMol& mol, const Bond& bond) {
  if (bond.getBondType() != Bond::DOUBLE) return false;
  const auto is_marked = [&](const Atom* atom) {
    for (const auto* beside : mol.atomBonds(atom)) {
      if (beside->getBondDir() != Bond::NONE) return true;
    }
    return false;
  };
  const bool is_told = is_marked(bond.getBeginAtom()) && is_marked(bond.getEndAtom());
  return is_told != (bond.getStereo() != Bond::STEREONONE);
}

// Whether its valence alone says that an aromatic atom bears a double bond, or that it bears none.
bool has_one_form(const Atom& atom) {
  const int element = atom.getAtomicNum();
  if (atom.getFormalCharge() == 0)
    return element == 6 || element == 7 || element == 8 || element == 16;
  const unsigned bonds = atom.getTotalDegree();
  return atom.getFormalCharge() == 1 &&
         ((element == 7 && bonds == 3) || ((element == 8 || element == 16) && bonds == 2));
}

}  // namespace

MoleculeFacts::MoleculeFacts(const ROMol& mol, unsigned fragments) {
  editable = mol.getNumConformers() == 0 && mol.getStereoGroups().empty();
  bool ordinary = true;
  for (const auto* atom : mol.atoms()) {
    is_bare &= atom->getDict().getData().empty();
    const bool chiral = atom->getChiralTag() != Atom::CHI_UNSPECIFIED;
    has_stereo |= chiral;
    if (atom->getAtomicNum() == 0 || atom->hasQuery()) editable = false;
    if (atom->getAtomicNum() == 1 || atom->getNumRadicalElectrons() != 0) ordinary = false;
    // Whether a nitrogen or a sulfur can be a centre is decided with the hybridization, anew.
    if (chiral && atom->getAtomicNum() != 6) ordinary = false;
    if (atom->getIsAromatic() && !has_one_form(*atom)) ordinary = false;
  }
  for (const auto* bond : mol.bonds()) {
    is_bare &= bond->getDict().getData().empty();
    has_stereo |= is_stereo(*bond);
    if (bond->hasQuery() || may_change_stereo(mol, *bond)) editable = false;
    // An aromatic bond outside a ring, as in `[#6]:[#6]`: building a molecule anew makes its atoms
    // aromatic, and sanitizing refuses it.
    const bool aromatic = bond->getBondType() == Bond::AROMATIC;
    if (aromatic != bond->getIsAromatic() || (aromatic && !(bond->getBeginAtom()->getIsAromatic() &&
                                                            bond->getEndAtom()->getIsAromatic())))
      editable = false;
    if (!is_plain(bond->getBondType())) ordinary = false;
  }
  if (!editable || !ordinary) return;
  rings_are_certain =
      mol.getRingInfo()->numRings() + mol.getNumAtoms() == mol.getNumBonds() + fragments;
}

std::optional<EditPlan> EditPlan::compile(const RDKit::ChemicalReaction& reaction) {
  EditPlan plan;
  if (!plan.read_product(reaction)) return std::nullopt;
  plan.reuse_atoms(*plan.reactant_);
  return plan;
}

bool EditPlan::read_product(const RDKit::ChemicalReaction& reaction) {
  if (!reaction.getImplicitPropertiesFlag()) return false;
  reactant_ = reaction.getReactants()[0];
  const RDKit::ROMOL_SPTR templ = reaction.getProducts()[0];
  const auto product = RDKit::ReactionRunnerUtils::convertTemplateToMol(templ);
  std::vector<int> fragment;
  if (RDKit::MolOps::getMolFrags(*product, fragment) != 1) return false;
  if (RDKit::MolOps::getMolFrags(*reactant_, fragment) != 1) return false;

  std::map<int, size_t> place_of;
  for (const auto* atom : reactant_->atoms()) {
    if (atom->getChiralTag() != Atom::CHI_UNSPECIFIED) return false;
    if (atom->getAtomMapNum() > 0) place_of[atom->getAtomMapNum()] = atom->getIdx();
  }
  std::vector<End> ends;
  std::vector<bool> survives(reactant_->getNumAtoms());
  for (const auto* atom : product->atoms()) {
    const auto* original = templ->getAtomWithIdx(atom->getIdx());
    // A hydrogen atom is taken off again: which one of several, the reaction decides.
    if (atom->getAtomicNum() <= 1 || atom->getChiralTag() != Atom::CHI_UNSPECIFIED) return false;
    if (original->hasProp(props::_MolFileAtomQuery)) return false;
    const auto found = place_of.find(original->getAtomMapNum());
    Atom model(*atom);
    model.clear();  // what the reaction notes for itself
    if (original->getAtomMapNum() > 0 && found != place_of.end()) {
      int flag = 0;
      if (original->getPropIfPresent(props::molInversionFlag, flag) && flag != 0) return false;
      const bool hydrogens =
          atom->hasProp(props::_ReactionDegreeChanged) || atom->hasProp(props::_QueryHCount);
      ends.push_back({true, kept_.size()});
      kept_.push_back({found->second, model, atom->hasProp(props::_QueryFormalCharge),
                       atom->hasProp(props::_QueryIsotope), hydrogens});
      survives[found->second] = true;
    } else {
      ends.push_back({false, added_.size()});
      added_.push_back({model});
    }
  }
  for (size_t place = 0; place < survives.size(); ++place) {
    if (!survives[place]) gone_.push_back(place);
  }
  size_t kept_bonds = 0;
  for (const auto* bond : product->bonds()) {
    if (is_stereo(*bond) || !is_plain(bond->getBondType()) || bond->hasProp(props::NullBond))
      return false;
    const End a = ends[bond->getBeginAtomIdx()], b = ends[bond->getEndAtomIdx()];
    if (!a.kept || !b.kept) {
      if (bond->getBondType() == Bond::AROMATIC) return false;
      new_bonds_.push_back({a, b, bond->getBondType()});
      continue;
    }
    const size_t from = kept_[a.index].place, to = kept_[b.index].place;
    if (!reactant_->getBondBetweenAtoms(static_cast<unsigned>(from), static_cast<unsigned>(to)))
      return false;
    old_bonds_.push_back({from, to, bond->getBondType()});
    ++kept_bonds;
  }
  // A tree of added atoms: as many new bonds as atoms.
  if (new_bonds_.size() != added_.size()) return false;
  size_t mapped_bonds = 0;
  for (const auto* bond : reactant_->bonds())
    mapped_bonds += survives[bond->getBeginAtomIdx()] && survives[bond->getEndAtomIdx()];
  return mapped_bonds == kept_bonds;
}

// An added atom that stands, by a single bond, where a vanishing one stood takes its place: then no
// atom has to be removed, which would renumber the molecule and forget its rings.
void EditPlan::reuse_atoms(const ROMol& reactant) {
  std::vector<bool> used(reactant.getNumAtoms());
  const auto is_gone = [&](unsigned place) {
    return std::find(gone_.begin(), gone_.end(), place) != gone_.end();
  };
  // Whether nothing but `kept` and atoms that will be removed hangs on it.
  const auto is_free = [&](size_t gone, unsigned kept) {
    if (used[gone]) return false;
    bool bonded = false;
    for (const auto* next :
         reactant.atomNeighbors(reactant.getAtomWithIdx(static_cast<unsigned>(gone)))) {
      bonded |= next->getIdx() == kept;
      if (next->getIdx() != kept && (!is_gone(next->getIdx()) || used[next->getIdx()]))
        return false;
    }
    return bonded;
  };
  for (NewBond& bond : new_bonds_) {
    if (bond.a.kept == bond.b.kept || bond.type != Bond::SINGLE) continue;
    const End kept = bond.a.kept ? bond.a : bond.b, added = bond.a.kept ? bond.b : bond.a;
    const auto place = static_cast<unsigned>(kept_[kept.index].place);
    const auto free =
        std::find_if(gone_.begin(), gone_.end(), [&](size_t gone) { return is_free(gone, place); });
    if (free == gone_.end()) continue;
    used[*free] = true;
    added_[added.index].reuse = static_cast<int>(*free);
    reused_.push_back({*free, place, Bond::SINGLE});
    bond.exists = true;
  }
  for (const size_t gone : gone_) {
    if (!used[gone]) deleted_.push_back(gone);
  }
}

bool EditPlan::fits(const ROMol& mol, const MatchVectType& match) const {
  for (const auto& [place, index] : match) {
    const auto* atom = mol.getAtomWithIdx(static_cast<unsigned>(index));
    if (atom->getChiralTag() != Atom::CHI_UNSPECIFIED) return false;
    // A stereo bond at the site, or one that refers to a neighbour of the site.
    for (const auto* bond : mol.atomBonds(atom)) {
      if (is_stereo(*bond)) return false;
      for (const auto* next : mol.atomBonds(bond->getOtherAtom(atom))) {
        if (next->getStereo() != Bond::STEREONONE) return false;
      }
    }
  }
  if (has_more(mol, match)) return false;
  // A double bond at an aromatic atom: whether the ring can still be aromatic is to be found.
  for (const NewBond& made : new_bonds_) {
    for (const End& end : {made.a, made.b}) {
      if (made.type != Bond::SINGLE && end.kept &&
          mol.getAtomWithIdx(atom_of(match, kept_[end.index].place))->getIsAromatic())
        return false;
    }
  }
  const auto as_expected = [&](const OldBond& old) {
    const auto* bond = mol.getBondBetweenAtoms(atom_of(match, old.a), atom_of(match, old.b));
    return bond && bond->getBondType() == old.type;
  };
  return std::all_of(old_bonds_.begin(), old_bonds_.end(), as_expected) &&
         std::all_of(reused_.begin(), reused_.end(), as_expected);
}

// Whether an atom that goes has neighbours beside the match.
bool EditPlan::has_more(const ROMol& mol, const MatchVectType& match) const {
  return std::any_of(gone_.begin(), gone_.end(), [&](size_t place) {
    return mol.getAtomWithIdx(atom_of(match, place))->getDegree() !=
           reactant_->getAtomWithIdx(static_cast<unsigned>(place))->getDegree();
  });
}

unsigned EditPlan::index_of(const End& end, const MatchVectType& match,
                            const std::vector<unsigned>& added) const {
  return end.kept ? atom_of(match, kept_[end.index].place) : added[end.index];
}

// Returns the index of each added atom.
std::vector<unsigned> EditPlan::change(RWMol& mol, const MatchVectType& match) const {
  for (const Kept& kept : kept_) {
    Atom* atom = mol.getAtomWithIdx(atom_of(match, kept.place));
    const bool same_element = atom->getAtomicNum() == kept.model.getAtomicNum();
    if (!same_element) atom->setAtomicNum(kept.model.getAtomicNum());
    if (kept.set_charge || !same_element) atom->setFormalCharge(kept.model.getFormalCharge());
    if (kept.set_isotope || !same_element) atom->setIsotope(kept.model.getIsotope());
    if (kept.set_hydrogens || !same_element) {
      atom->setNumExplicitHs(kept.model.getNumExplicitHs());
      atom->setNoImplicit(kept.model.getNoImplicit());
    }
    atom->setNumRadicalElectrons(kept.model.getNumRadicalElectrons());
    // As adding its bonds one by one would leave it.
    bool aromatic = kept.model.getIsAromatic();
    for (const auto* bond : mol.atomBonds(atom)) aromatic |= bond->getBondType() == Bond::AROMATIC;
    atom->setIsAromatic(aromatic);
  }
  std::vector<unsigned> index;
  for (const Added& added : added_) {
    if (added.reuse >= 0) {
      index.push_back(atom_of(match, static_cast<size_t>(added.reuse)));
      mol.replaceAtom(index.back(), const_cast<Atom*>(&added.model), false, false);
    } else {
      index.push_back(mol.addAtom(const_cast<Atom*>(&added.model), false, false));
    }
  }
  for (const NewBond& bond : new_bonds_) {
    if (!bond.exists)
      mol.addBond(index_of(bond.a, match, index), index_of(bond.b, match, index), bond.type);
  }
  return index;
}

// As RunReactants: what does not hang on an atom that is kept is not part of the product.
void EditPlan::cut_off(RWMol& product, const MatchVectType& match) const {
  const auto is_new = [](const Added& added) { return added.reuse < 0; };
  const auto before = product.getNumAtoms() - std::count_if(added_.begin(), added_.end(), is_new);
  std::vector<bool> is_matched(product.getNumAtoms()), stays(product.getNumAtoms()),
      is_deleted(product.getNumAtoms());
  for (const auto& [place, index] : match) is_matched[static_cast<size_t>(index)] = true;
  for (const size_t place : deleted_) is_deleted[atom_of(match, place)] = true;
  for (const size_t place : gone_) {
    const unsigned gone = atom_of(match, place);
    std::vector<unsigned> far;
    for (const auto* next : product.atomNeighbors(product.getAtomWithIdx(gone))) {
      const unsigned index = next->getIdx();
      if (index < before && !is_matched[index]) far.push_back(index);
    }
    for (const unsigned index : far) product.removeBond(gone, index);
  }
  std::vector<unsigned> waiting;
  for (const Kept& kept : kept_) waiting.push_back(atom_of(match, kept.place));
  while (!waiting.empty()) {
    const unsigned index = waiting.back();
    waiting.pop_back();
    if (stays[index] || is_deleted[index]) continue;
    stays[index] = true;
    for (const auto* next : product.atomNeighbors(product.getAtomWithIdx(index)))
      waiting.push_back(next->getIdx());
  }
  product.beginBatchEdit();
  for (unsigned index = 0; index < stays.size(); ++index) {
    if (!stays[index]) product.removeAtom(index);
  }
  product.commitBatchEdit();
}

flat::EditShape EditPlan::shape() const {
  const auto order_of = [](Bond::BondType type) -> uint8_t {
    return type == Bond::DOUBLE     ? flat::kDouble
           : type == Bond::TRIPLE   ? flat::kTriple
           : type == Bond::AROMATIC ? flat::kAromatic
                                    : flat::kSingle;
  };
  const auto end_of = [](const End& end) {
    return flat::EditShape::End{end.kept, static_cast<int>(end.index)};
  };
  flat::EditShape shape;
  shape.places = static_cast<int>(reactant_->getNumAtoms());
  for (const Kept& kept : kept_) shape.kept.push_back(static_cast<int>(kept.place));
  for (size_t k = 0; k < kept_.size(); ++k) {
    const auto* atom = reactant_->getAtomWithIdx(static_cast<unsigned>(kept_[k].place));
    int lost = 0, made = 0, taken_over = 0;
    for (const auto* next : reactant_->atomNeighbors(atom))
      lost += std::find(gone_.begin(), gone_.end(), next->getIdx()) != gone_.end() ? 1 : 0;
    for (const NewBond& bond : new_bonds_) {
      const auto is_here = [k](const End& end) { return end.kept && end.index == k; };
      if (!is_here(bond.a) && !is_here(bond.b)) continue;
      ++made;
      taken_over += bond.exists ? 1 : 0;
    }
    shape.keeps_bonds.push_back(lost <= 1 && made == lost && taken_over == made);
  }
  for (const Added& added : added_) shape.added.push_back(added.reuse);
  for (const size_t place : gone_) shape.gone.push_back(static_cast<int>(place));
  for (const size_t place : deleted_) shape.deleted.push_back(static_cast<int>(place));
  for (const NewBond& bond : new_bonds_)
    shape.new_bonds.push_back({end_of(bond.a), end_of(bond.b), order_of(bond.type), bond.exists});
  for (const auto* bonds : {&old_bonds_, &reused_}) {
    for (const OldBond& bond : *bonds)
      shape.required.push_back(
          {static_cast<int>(bond.a), static_cast<int>(bond.b), order_of(bond.type)});
  }
  return shape;
}

std::unique_ptr<RWMol> EditPlan::edit(const ROMol& mol, const MatchVectType& match) const {
  auto product = std::make_unique<RWMol>(mol);
  change(*product, match);
  if (has_more(mol, match)) {
    cut_off(*product, match);
  } else if (!deleted_.empty()) {
    product->beginBatchEdit();
    for (const size_t place : deleted_) product->removeAtom(atom_of(match, place));
    product->commitBatchEdit();
  }
  return product;
}

std::unique_ptr<RWMol> EditPlan::edit_sanitized(const ROMol& mol, const MoleculeFacts& facts,
                                                const MatchVectType& match) const {
  if (!facts.rings_are_certain || !deleted_.empty()) return nullptr;
  auto product = std::make_unique<RWMol>(mol);
  if (!facts.is_bare) product->clearComputedProps(false);
  const std::vector<unsigned> added = change(*product, match);
  if (!product->getRingInfo()->isInitialized()) return nullptr;
  try {
    for (const unsigned index : added) {
      Atom* atom = product->getAtomWithIdx(index);
      if (atom->getIsAromatic() || atom->getNoImplicit()) return nullptr;
      atom->updatePropertyCache(true);
    }
    for (const Kept& kept : kept_) {
      const Atom* before = mol.getAtomWithIdx(atom_of(match, kept.place));
      Atom* atom = product->getAtomWithIdx(before->getIdx());
      if (atom->getNoImplicit() || atom->getNumRadicalElectrons() != 0) return nullptr;
      if (atom->getAtomicNum() != before->getAtomicNum() ||
          atom->getFormalCharge() != before->getFormalCharge() ||
          atom->getIsAromatic() != before->getIsAromatic())
        return nullptr;
      if (atom->getIsAromatic() && atom->getAtomicNum() != 6) return nullptr;
      atom->updatePropertyCache(true);
      // The same electrons for the ring: bonds and hydrogens sum up as before.
      if (atom->getTotalDegree() != before->getTotalDegree() ||
          atom->getTotalValence() != before->getTotalValence())
        return nullptr;
    }
  } catch (const RDKit::MolSanitizeException&) {
    return nullptr;  // sanitizing will say why
  }
  if (!facts.has_stereo) product->setProp(props::_StereochemDone, 1, true);
  return product;
}

}  // namespace spillway::transform

#include "transform/chemistry/source.hpp"

#include <GraphMol/MolOps.h>
#include <GraphMol/SmilesParse/SmilesParse.h>
#include <GraphMol/new_canon.h>
#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <string>

#include "core/printable.hpp"
#include "transform/chemistry/molecule_size.hpp"

namespace spillway::transform {
namespace {

using RDKit::RWMol;

// What reading a SMILES without stereo and without hydrogen atoms comes to: the parser's removal of
// hydrogens and its search for possible centres, a third of its time, would find nothing. Null when
// the molecule is not of that kind.
std::unique_ptr<RWMol> parse_flat(const std::string& smiles, RDKit::SmilesParserParams parameters) {
  if (smiles.find_first_of("@/\\") != std::string::npos) return nullptr;
  parameters.sanitize = false;
  parameters.removeHs = false;
  std::unique_ptr<RWMol> mol(RDKit::SmilesToMol(smiles, parameters));
  if (!mol) return nullptr;
  for (const auto* atom : mol->atoms()) {
    if (atom->getAtomicNum() <= 1 || atom->getChiralTag() != RDKit::Atom::CHI_UNSPECIFIED)
      return nullptr;
  }
  for (const auto* bond : mol->bonds()) {
    if (bond->getBondDir() != RDKit::Bond::NONE || bond->getStereo() != RDKit::Bond::STEREONONE)
      return nullptr;
  }
  RDKit::MolOps::sanitizeMol(*mol);
  mol->setProp(RDKit::common_properties::_StereochemDone, 1, true);
  return mol;
}

// RDKit's parser ends at a zero byte and at some that are not ASCII: C with a long dash would be methane.
void refuse_other_bytes(std::string_view text) {
  const auto is_other = [](char c) { return c < ' ' || c > '~'; };
  const auto found = std::find_if(text.begin(), text.end(), is_other);
  if (found == text.end()) return;
  const auto at = static_cast<size_t>(found - text.begin());
  throw std::invalid_argument(
      fmt::format("byte {}, {}, is in no SMILES", at, printable(text.substr(at, 4))));
}

std::vector<int> fragments_of(const RDKit::ROMol& mol, std::string_view smiles) {
  std::vector<int> of_atom;
  if (smiles.find('.') == std::string_view::npos) return of_atom;
  if (RDKit::MolOps::getMolFrags(mol, of_atom) < 2) of_atom.clear();
  return of_atom;
}

unsigned count_of(const std::vector<int>& fragment) {
  return fragment.empty()
             ? 1u
             : static_cast<unsigned>(*std::max_element(fragment.begin(), fragment.end()) + 1);
}

}  // namespace

std::unique_ptr<RWMol> parse_molecule(std::string_view text) {
  refuse_other_bytes(text);
  RDKit::SmilesParserParams parameters;
  parameters.allowCXSMILES = false;
  parameters.parseName = false;
  const std::string smiles(text);
  refuse_large_smiles(smiles);
  auto mol = parse_flat(smiles, parameters);
  if (!mol) mol.reset(RDKit::SmilesToMol(smiles, parameters));
  if (!mol) return nullptr;
  for (auto* atom : mol->atoms()) {
    if (atom->getAtomMapNum() != 0) atom->setAtomMapNum(0);
  }
  return mol;
}

bool is_blank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

Source::Source(RWMol* parsed, std::string_view smiles)
    : mol(parsed), fragment(fragments_of(*parsed, smiles)), facts(*parsed, count_of(fragment)) {}

const std::vector<unsigned>& Source::ranks() {
  if (ranks_.empty()) RDKit::Canon::rankMolAtoms(*mol, ranks_, false, true, true);
  return ranks_;
}

void Source::add_untouched(const RDKit::MatchVectType& match, RWMol& product) const {
  if (fragment.empty()) return;
  std::vector<bool> touched;
  for (const auto& [place, atom] : match) {
    const auto of_atom = static_cast<size_t>(fragment[static_cast<size_t>(atom)]);
    if (touched.size() <= of_atom) touched.resize(of_atom + 1);
    touched[of_atom] = true;
  }
  const auto parts = RDKit::MolOps::getMolFrags(*mol, false);
  for (size_t i = 0; i < parts.size(); ++i) {
    if (i >= touched.size() || !touched[i]) product.insertMol(*parts[i]);
  }
}

}  // namespace spillway::transform

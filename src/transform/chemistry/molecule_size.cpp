#include "transform/chemistry/molecule_size.hpp"

#include <GraphMol/FileParsers/FileParsers.h>
#include <GraphMol/SmilesParse/SmilesParse.h>
#include <fmt/format.h>

#include <memory>
#include <stdexcept>

#include "core/bytes.hpp"

namespace spillway::transform {
namespace {

constexpr size_t kLeastAtomLine = 12;  // of an SDF record

// Null: what is read whole says why.
void refuse_large(const std::unique_ptr<RDKit::RWMol>& mol) {
  if (mol && mol->getNumAtoms() > kMostAtoms)
    throw std::length_error(fmt::format("{} atoms, more than the {} that a molecule may have",
                                        grouped(mol->getNumAtoms()), grouped(kMostAtoms)));
}

}  // namespace

void refuse_large_smiles(const std::string& smiles) {
  if (smiles.size() <= kMostAtoms) return;
  RDKit::SmilesParserParams as_it_stands;
  as_it_stands.sanitize = false;
  as_it_stands.removeHs = false;
  as_it_stands.allowCXSMILES = false;
  as_it_stands.parseName = false;
  refuse_large(std::unique_ptr<RDKit::RWMol>(RDKit::SmilesToMol(smiles, as_it_stands)));
}

void refuse_large_record(const std::string& sdf_record) {
  if (sdf_record.size() <= kMostAtoms * kLeastAtomLine) return;
  constexpr bool kSanitize = false, kRemoveHs = false;
  refuse_large(
      std::unique_ptr<RDKit::RWMol>(RDKit::MolBlockToMol(sdf_record, kSanitize, kRemoveHs)));
}

}  // namespace spillway::transform

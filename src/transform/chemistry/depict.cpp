#include "transform/chemistry/depict.hpp"

#include <GraphMol/Depictor/RDDepictor.h>
#include <GraphMol/FileParsers/FileParsers.h>
#include <GraphMol/MolDraw2D/MolDraw2DSVG.h>
#include <GraphMol/MolDraw2D/MolDraw2DUtils.h>
#include <GraphMol/SmilesParse/SmilesParse.h>
#include <GraphMol/SmilesParse/SmilesWrite.h>

#include <memory>
#include <vector>

#include "transform/chemistry/molecule_size.hpp"
#include "transform/chemistry/rdkit_quiet.hpp"
#include "transform/chemistry/transformer.hpp"

namespace spillway::transform {
namespace {

using Mol = std::unique_ptr<RDKit::RWMol>;

Mol drawable(std::string_view smiles) {
  const std::string text(smiles);
  refuse_large_smiles(text);
  Mol mol(RDKit::SmilesToMol(text));
  if (!mol) return nullptr;
  for (auto* atom : mol->atoms()) atom->setAtomMapNum(0);
  return mol;
}

std::string svg_of(const Depiction& depiction, const RDKit::ROMol& source,
                   const RDKit::ROMol& product) {
  std::vector<RDKit::ROMol*> mols = {new RDKit::ROMol(source), new RDKit::ROMol(product)};
  const std::unique_ptr<RDKit::ROMol> first(mols[0]), second(mols[1]);
  const std::vector<std::vector<int>> highlighted = {
      {depiction.site_atoms.begin(), depiction.site_atoms.end()}, {}};
  RDKit::MolDraw2DSVG drawer(depiction.width, depiction.height, depiction.width / 2,
                             depiction.height);
  drawer.drawMolecules(mols, nullptr, &highlighted);
  drawer.finishDrawing();
  std::string svg = drawer.getDrawingText();
  const size_t begin = svg.find("<svg");
  return begin == std::string::npos ? svg : svg.substr(begin);
}

}  // namespace

Result<std::string> draw_pair(const Depiction& depiction) {
  const QuietRdkit quiet;
  try {
    const Mol source = drawable(depiction.source), product = drawable(depiction.product);
    if (!source || !product) return fail(Code::kInvalid, "drawing: not a SMILES");
    for (const int32_t atom : depiction.site_atoms) {
      if (atom < 0 || static_cast<unsigned>(atom) >= source->getNumAtoms())
        return fail(Code::kInvalid, "drawing: the source has no such atom");
    }
    return svg_of(depiction, *source, *product);
  } catch (const std::exception& error) {
    return fail(Code::kInvalid, std::string("drawing: ") + error.what());
  }
}

Result<std::string> smiles_of_sdf_record(std::string_view record) {
  const QuietRdkit quiet;
  try {
    const std::string text(record);
    refuse_large_record(text);
    const Mol mol(RDKit::MolBlockToMol(text));
    if (!mol) return fail(Code::kInvalid, "no molecule in this SDF record");
    return RDKit::MolToSmiles(*mol);
  } catch (const std::exception& error) {
    return fail(Code::kInvalid, error.what());
  }
}

}  // namespace spillway::transform

// A sanitized molecule of RDKit as a flat one. Internal to the layer; only .cpp files include it.
//
// Threads  Any. Cost O(bonds). Fails where the molecule is not plain (see molecule.hpp).
#pragma once

#include <RDGeneral/RDConfig.h>
// A query's layout depends on what stands in it.
#include <GraphMol/ROMol.h>

#include "transform/flat/molecule.hpp"

namespace spillway::transform::flat {

// False: not plain. `flat` is then of no use.
[[nodiscard]] bool from_rdkit(const RDKit::ROMol& mol, Molecule& flat);

}  // namespace spillway::transform::flat

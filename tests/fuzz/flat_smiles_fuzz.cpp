// Any text that the flat path reads, RDKit reads too, with the same canonical form; twice, so that what the first time
// taught is used. A new memory for every 4,096 texts.
#include <RDGeneral/RDConfig.h>
// First.
#include <GraphMol/RWMol.h>
#include <GraphMol/SmilesParse/SmilesWrite.h>

#include <memory>
#include <string>

#include "fuzz.hpp"
#include "transform/chemistry/flat_path.hpp"
#include "transform/chemistry/rdkit_quiet.hpp"
#include "transform/chemistry/source.hpp"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace spillway;
  using namespace spillway::transform;
  static const QuietRdkit quiet;
  static std::unique_ptr<FlatPath> flat;
  static size_t texts = 0;
  if (size > 2000) return 0;
  if (texts++ % 4096 == 0) flat = std::make_unique<FlatPath>(1_MiB);
  const std::string text(reinterpret_cast<const char*>(data), size);
  for (int time = 0; time < 2; ++time) {
    if (!flat->read(text)) return 0;
    const auto mol = parse_molecule(text);  // throws for what it refuses, which ends the run
    MUST(mol != nullptr);
    MUST(RDKit::MolToSmiles(*mol) == flat->canonical());
    MUST(static_cast<unsigned>(flat->atoms()) == mol->getNumAtoms());
  }
  return 0;
}

// The plain way in C++: RDKit's RunReactants, sanitizeMol, removeHs, MolToSmiles, one thread, no
// output but a count and a checksum. The reference that spillway transform is measured against.
//
//   plain_transform SMIRKS FILE.smi
#include <GraphMol/ChemReactions/Reaction.h>
#include <GraphMol/ChemReactions/ReactionParser.h>
#include <GraphMol/MolOps.h>
#include <GraphMol/RWMol.h>
#include <GraphMol/SmilesParse/SmilesParse.h>
#include <GraphMol/SmilesParse/SmilesWrite.h>
#include <RDGeneral/RDLog.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <functional>
#include <memory>
#include <string>

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: plain_transform SMIRKS FILE.smi\n");
    return 2;
  }
  boost::logging::disable_logs("rdApp.*");
  const std::unique_ptr<RDKit::ChemicalReaction> reaction(
      RDKit::RxnSmartsToChemicalReaction(argv[1]));
  reaction->initReactantMatchers();
  std::ifstream input(argv[2]);
  uint64_t rows = 0, products = 0, failed = 0, sum = 0;
  const auto start = std::chrono::steady_clock::now();
  for (std::string line; std::getline(input, line); ++rows) {
    const RDKit::ROMOL_SPTR mol(RDKit::SmilesToMol(line.substr(0, line.find_first_of(" \t"))));
    if (!mol) continue;
    for (const auto& set : reaction->runReactants({mol}, 0)) {
      try {
        RDKit::RWMol product(*set[0]);
        RDKit::MolOps::sanitizeMol(product);
        RDKit::MolOps::removeHs(product);
        sum ^= std::hash<std::string>()(RDKit::MolToSmiles(product));
        ++products;
      } catch (const std::exception&) {
        ++failed;
      }
    }
  }
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  std::printf(
      "{\"rows\": %llu, \"products\": %llu, \"failed\": %llu, \"seconds\": %.3f, "
      "\"products_per_s\": %.0f, \"check\": \"%016llx\"}\n",
      static_cast<unsigned long long>(rows), static_cast<unsigned long long>(products),
      static_cast<unsigned long long>(failed), seconds, static_cast<double>(products) / seconds,
      static_cast<unsigned long long>(sum));
  return 0;
}

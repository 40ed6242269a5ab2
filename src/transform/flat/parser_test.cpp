#include <RDGeneral/RDConfig.h>
// First.
#include <GraphMol/RWMol.h>
#include <GraphMol/SmilesParse/SmilesParse.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "transform/flat/from_rdkit.hpp"
#include "transform/flat/parser.hpp"

namespace spillway::transform::flat {
namespace {

// What a second look at the text comes to when RDKit's molecule of it was learned.
Parser::Known learned(Parser& parser, const std::string& smiles) {
  Molecule molecule;
  EXPECT_EQ(parser.parse(smiles, molecule), Parser::Known::kNotYet) << smiles;
  const std::unique_ptr<RDKit::RWMol> mol(RDKit::SmilesToMol(smiles));
  EXPECT_TRUE(mol && from_rdkit(*mol, molecule)) << smiles;
  parser.learn(molecule, true);
  return parser.parse(smiles, molecule);
}

TEST(Parser, RemembersWhatRdkitMade) {
  for (const char* smiles : {"CCO", "c1ccccc1", "Oc1ccc2[nH]ccc2c1", "C1=CC=CC=C1", "C/C=C/C",
                             "C[C@H](O)N", "CC(=O)[O-]"}) {
    Parser parser(1_MiB);
    EXPECT_EQ(learned(parser, smiles), Parser::Known::kAll) << smiles;
  }
}

// Of a ring system that is written as aromatic and is not, the molecule has one of RDKit's Kekule structures; which
// one depends on more than the system.
TEST(Parser, DoesNotRememberAKekuleStructureThatIsRdkitsChoice) {
  Parser parser(1_MiB);
  EXPECT_EQ(learned(parser, "c1ccc2c3nc4nc(nc5nc(nc6nc(nc(n3)c2c1)c1ccccc61)c1ccccc51)c1ccccc41"),
            Parser::Known::kNotYet);
}

TEST(Parser, ForgetsWhenWhatItMayHoldIsFull) {
  Parser parser(Bytes(1));
  Molecule molecule;
  EXPECT_EQ(learned(parser, "c1ccccc1"), Parser::Known::kAll);
  EXPECT_EQ(learned(parser, "C1CCCCC1"), Parser::Known::kAll);
  EXPECT_EQ(parser.parse("c1ccccc1", molecule), Parser::Known::kNotYet);
}

TEST(Parser, LeavesToRdkitWhatIsNotPlain) {
  Parser parser(1_MiB);
  Molecule molecule;
  for (const char* smiles :
       {"C.C", "[13CH4]", "[CH3:1]C", "CN(=O)=O", "CP(=O)=O", "C1CN[C@@H](O)1", "C[S@](=O)N",
        "c1ccccc1c1ccccc1", "[H][H]", "C%", "C1", "(C)", "", "C12CC1C2(C)(C)(C)C", "C1C1"})
    EXPECT_EQ(parser.parse(smiles, molecule), Parser::Known::kNotPlain) << smiles;
}

}  // namespace
}  // namespace spillway::transform::flat

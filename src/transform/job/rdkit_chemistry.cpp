#include "transform/job/rdkit_chemistry.hpp"

namespace spillway::transform {

Result<Chemistry> rdkit_chemistry(std::shared_ptr<const RuleSet> selection,
                                  TransformOptions options) {
  TRY(Transformer::check(options));
  Chemistry chemistry;
  for (const Rule& rule : selection->rules())
    chemistry.rules.push_back({rule.name, rule.family, static_cast<uint16_t>(rule.position)});
  chemistry.rules_sha256 = selection->sha256();
  chemistry.rules_source = selection->source();
  chemistry.make = [selection, options](Bytes remembered) {
    TransformOptions own = options;
    own.flat_memory = remembered;
    return Transformer::create(selection, own);
  };
  chemistry.is_smiles = [](std::string_view text) { return is_smiles(text); };
  chemistry.smiles_of_record = [](std::string_view record) { return smiles_of_sdf_record(record); };
  chemistry.draw = [](const Depiction& depiction) { return draw_pair(depiction); };
  chemistry.rdkit = rdkit_version();
  chemistry.is_flat = is_flat(options);
  if (options.flat && options.descriptors == Descriptors::kNone && !chemistry.is_flat)
    chemistry.note = "all molecules go through RDKit: " + why_not_flat().value_or("as asked");
  return chemistry;
}

}  // namespace spillway::transform

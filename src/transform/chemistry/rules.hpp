// The transforms a run may apply, read from a YAML file, and the choice made among them.
//
// A file holds `defaults: {max_sites_per_mol: N}` (N > 0: the first N sites of a molecule and rule,
// the rest are counted over-limit; -1: all) and `rules:`, a list of maps with the keys of Rule.
// Order is meaning: a rule's position in the file is part of every product's ordinal.
//
// Fails    kNotFound, kIo: the file. kInvalid: one line that names the file, the line, the rule and,
//          for a SMARTS or SMIRKS, the position in it: unknown or doubled key, missing key,
//          `exclude_sugar_like: true`, a SMIRKS without exactly one reactant and one product,
//          query_smarts that are not of the reactant's size. kUsage: a rule or family that is not
//          there.
// Threads  Immutable once made; share it through shared_ptr<const RuleSet>.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"

namespace spillway::transform {

struct RuleExample {
  std::string in;
  std::vector<std::string> out;
};

struct Rule {
  std::string name;
  std::string label;
  std::string family;
  std::string smirks;
  std::string query_smarts;  // the left side of smirks unless the file says otherwise
  std::string description;
  std::vector<std::string> scope_classes;  // kept, unused
  RuleExample example;                     // in is empty when the file gives none
  int32_t position = 0;                    // in the file, from 0: survives select()
  int line = 0;                            // of the rule in the file, from 1
};

class RuleSet {
 public:
  // `source` names the text in messages.
  [[nodiscard]] static Result<std::shared_ptr<const RuleSet>> parse(std::string_view yaml,
                                                                    std::string_view source);
  [[nodiscard]] static Result<std::shared_ptr<const RuleSet>> load(const std::string& path);

  // The rules that `words` name, in the order of the file, each once. A word is a name, a family,
  // `all`, or several of these joined by commas.
  [[nodiscard]] Result<std::shared_ptr<const RuleSet>> select(
      const std::vector<std::string>& words) const;

  const std::vector<Rule>& rules() const { return rules_; }
  // The rules of this selection as canonical JSON: sorted keys, no white space, every default
  // written out. Equal text means equal behaviour.
  const std::string& canonical_json() const { return canonical_json_; }
  // SHA-256 of canonical_json(), as 64 hexadecimal digits.
  const std::string& sha256() const { return sha256_; }
  int32_t max_sites_per_mol() const { return max_sites_per_mol_; }
  const std::string& source() const { return source_; }

 private:
  RuleSet() = default;
  [[nodiscard]] Result<void> seal();

  std::string source_;
  std::vector<Rule> rules_;
  int32_t max_sites_per_mol_ = -1;
  std::string canonical_json_;
  std::string sha256_;
};

// Where standard.yaml is: installed beside the program (../share/spillway/rules), else in the
// source tree the program was built from. kNotFound names the places that were tried.
[[nodiscard]] Result<std::string> standard_rules_path();

}  // namespace spillway::transform

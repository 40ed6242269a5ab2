#include "transform/chemistry/transformer.hpp"

#include <GraphMol/Descriptors/MolDescriptors.h>
#include <GraphMol/MolOps.h>
#include <GraphMol/SanitException.h>
#include <GraphMol/SmilesParse/SmilesParse.h>
#include <GraphMol/SmilesParse/SmilesWrite.h>
#include <GraphMol/new_canon.h>
#include <RDGeneral/Invariant.h>
#include <RDGeneral/RDLog.h>
#include <RDGeneral/versions.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <stdexcept>
#include <utility>
#include <vector>

#include "core/printable.hpp"
#include "transform/chemistry/edit_plan.hpp"
#include "transform/chemistry/molecule_size.hpp"
#include "transform/chemistry/rdkit_quiet.hpp"
#include "transform/chemistry/reaction.hpp"
#include "transform/chemistry/smirks.hpp"

namespace spillway::transform {
namespace {

using RDKit::MatchVectType;
using RDKit::RWMol;

struct Refusal {
  Reason reason;
  std::string message;
};

std::string one_line(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < 32; }, ' ');
  while (!text.empty() && text.back() == ' ') text.pop_back();
  return text;
}

// Runs `work`, which calls RDKit; what it throws becomes a Refusal, `otherwise` (as it stands by
// then) when RDKit does not say which kind.
template <class Work>
std::optional<Refusal> guarded(const Reason& otherwise, Work&& work) {
  try {
    work();
    return std::nullopt;
  } catch (const RDKit::AtomValenceException& error) {
    return Refusal{Reason::kValence, one_line(error.what())};
  } catch (const RDKit::KekulizeException& error) {
    return Refusal{Reason::kKekulize, one_line(error.what())};
  } catch (const RDKit::AtomKekulizeException& error) {
    return Refusal{Reason::kKekulize, one_line(error.what())};
  } catch (const RDKit::MolSanitizeException& error) {
    return Refusal{Reason::kSanitize, one_line(error.what())};
  } catch (const Invar::Invariant& error) {
    return Refusal{otherwise, one_line(error.what())};
  } catch (const std::exception& error) {
    return Refusal{otherwise, one_line(error.what())};
  }
}

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

std::unique_ptr<RWMol> parse(std::string_view text) {
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

// The fragment each atom belongs to; empty when there is one fragment, as without a dot.
std::vector<int> fragments_of(const RDKit::ROMol& mol, std::string_view smiles) {
  std::vector<int> of_atom;
  if (smiles.find('.') == std::string_view::npos) return of_atom;
  if (RDKit::MolOps::getMolFrags(mol, of_atom) < 2) of_atom.clear();
  return of_atom;
}

// One molecule while its rules are applied.
struct Source {
  Source(RWMol* parsed, std::string_view smiles)
      : mol(parsed),
        fragment(fragments_of(*parsed, smiles)),
        facts(*parsed, fragment.empty()
                           ? 1u
                           : static_cast<unsigned>(
                                 *std::max_element(fragment.begin(), fragment.end()) + 1)) {}

  RDKit::ROMOL_SPTR mol;
  std::vector<int> fragment;
  MoleculeFacts facts;
  std::vector<unsigned> symmetry;  // made when a rule has two sites

  std::vector<MatchVectType> matches;  // of the left side `matched`
  std::string matched;

  const std::vector<unsigned>& ranks() {
    if (symmetry.empty()) RDKit::Canon::rankMolAtoms(*mol, symmetry, false, true, true);
    return symmetry;
  }
};

// The symmetry class of the first atom of a match, and how each further atom hangs on one before it:
// the only neighbour of its class over a bond of its type. Of two matches with equal ways, the symmetry
// that leads one first atom to the other leads all of one match to the other. Nothing where an atom
// hangs on none so: classes of a tuple's atoms do not tell its orbit (of the two pairs of neighbours in
// a spiro ring, say, that are on one side or on both).
std::optional<std::vector<unsigned>> symmetric_way(Source& source, const MatchVectType& match) {
  const std::vector<unsigned>& classes = source.ranks();
  const auto atom_at = [&](size_t place) { return static_cast<unsigned>(match[place].second); };
  std::vector<unsigned> way{classes[atom_at(0)]};
  for (size_t place = 1; place < match.size(); ++place) {
    const unsigned own = classes[atom_at(place)];
    size_t from = 0;
    for (; from < place; ++from) {
      const auto* bond = source.mol->getBondBetweenAtoms(atom_at(from), atom_at(place));
      if (bond == nullptr) continue;
      unsigned alike = 0;
      for (const auto* other : source.mol->atomBonds(source.mol->getAtomWithIdx(atom_at(from)))) {
        alike += classes[other->getOtherAtomIdx(atom_at(from))] == own &&
                 other->getBondType() == bond->getBondType();
      }
      if (alike > 1) continue;
      way.insert(way.end(), {static_cast<unsigned>(from), own, bond->getBondType()});
      break;
    }
    if (from == place) return std::nullopt;
  }
  return way;
}

// Adds the fragments of the source that the match does not touch.
void add_untouched(const Source& source, const MatchVectType& match, RWMol& product) {
  if (source.fragment.empty()) return;
  std::vector<bool> touched;
  for (const auto& [place, atom] : match) {
    const auto fragment = static_cast<size_t>(source.fragment[static_cast<size_t>(atom)]);
    if (touched.size() <= fragment) touched.resize(fragment + 1);
    touched[fragment] = true;
  }
  const auto parts = RDKit::MolOps::getMolFrags(*source.mol, false);
  for (size_t i = 0; i < parts.size(); ++i) {
    if (i >= touched.size() || !touched[i]) product.insertMol(*parts[i]);
  }
}

void count_halogens(const RDKit::ROMol& mol, Product& product) {
  for (const auto* atom : mol.atoms()) {
    switch (atom->getAtomicNum()) {
      case 9:
        ++product.n_f;
        break;
      case 17:
        ++product.n_cl;
        break;
      case 35:
        ++product.n_br;
        break;
      case 53:
        ++product.n_i;
        break;
      default:
        break;
    }
  }
}

void describe(const RDKit::ROMol& mol, Descriptors level, Product& product) {
  namespace D = RDKit::Descriptors;
  if (level == Descriptors::kNone) return;
  product.mw = D::calcAMW(mol);
  product.hbd = static_cast<int32_t>(D::calcNumHBD(mol));
  product.hba = static_cast<int32_t>(D::calcNumHBA(mol));
  product.rotb = static_cast<int32_t>(D::calcNumRotatableBonds(mol));
  if (level == Descriptors::kBasic) return;
  double refractivity = 0;
  product.tpsa = D::calcTPSA(mol);
  D::calcCrippenDescriptors(mol, product.clogp, refractivity);
}

class RdkitTransformer final : public Transformer {
 public:
  RdkitTransformer(std::shared_ptr<const RuleSet> selection, TransformOptions options)
      : selection_(std::move(selection)), options_(options), counts_(selection_->rules().size()) {
    for (const Rule& rule : selection_->rules()) {
      reactions_.emplace_back(rule.smirks);
      lefts_.push_back(reactant_of(rule.smirks));
      plans_.push_back(options.direct ? EditPlan::compile(reactions_.back().rdkit())
                                      : std::nullopt);
    }
  }

  Result<Applied> apply(std::string_view smiles, ProductSink& sink) override;
  std::optional<std::string> canonical(std::string_view smiles) override;
  Paths paths() const override { return paths_; }

 private:
  // What became of the first site of those that a symmetry leads to each other.
  using Outcome = std::optional<Refusal>;
  using Classes = std::map<std::vector<unsigned>, Outcome>;

  Result<Applied> row_failed(Reason reason, std::string_view message, ProductSink& sink);
  void find_matches(Source& source, size_t rule);
  Result<void> apply_rule(Source& source, size_t rule, ProductSink& sink);
  Result<Outcome> apply_site(Source& source, size_t rule, int32_t site, const MatchVectType& match,
                             ProductSink& sink);
  // An edit keeps every fragment; `matched` wants them gone.
  bool may_edit(const Source& source) const {
    return options_.fragments == Fragments::kKeep || source.fragment.empty();
  }
  std::unique_ptr<RWMol> run_reaction(const Source& source, size_t rule,
                                      const MatchVectType& match);
  Result<void> site_failed(size_t rule, int32_t site, const Refusal& refusal, ProductSink& sink);

  std::shared_ptr<const RuleSet> selection_;
  TransformOptions options_;
  std::vector<Reaction> reactions_;
  std::vector<std::string> lefts_;
  std::vector<std::optional<EditPlan>> plans_;
  std::vector<RuleCounts> counts_;
  std::vector<int32_t> site_atoms_;
  std::string source_text_;       // of the last apply()
  std::optional<Source> source_;  // parsed from it; canonical() wants it right after
  Paths paths_;
};

Result<Applied> RdkitTransformer::apply(std::string_view smiles, ProductSink& sink) {
  std::fill(counts_.begin(), counts_.end(), RuleCounts{});
  if (is_blank(smiles)) return row_failed(Reason::kNull, "no SMILES", sink);
  source_.reset();
  source_text_ = smiles;
  const auto refusal = guarded(Reason::kParse, [&] {
    if (auto mol = parse(smiles)) source_.emplace(mol.release(), smiles);
  });
  if (!source_) {
    return row_failed(Reason::kParse, refusal ? refusal->message : "not a SMILES", sink);
  }
  for (size_t rule = 0; rule < reactions_.size(); ++rule) TRY(apply_rule(*source_, rule, sink));
  Applied applied{.by_rule = counts_};
  uint64_t sites = 0, products = 0, failed = 0;
  for (const RuleCounts& counts : counts_) {
    sites += counts.sites;
    products += counts.products;
    failed += counts.sites_failed();
  }
  if (products > 0) {
    applied.row = Row::kOk;
  } else if (failed > 0) {
    applied.row = Row::kFailed;
  }
  CHECK(sites == products + failed || sites == 0);
  return applied;
}

Result<Applied> RdkitTransformer::row_failed(Reason reason, std::string_view message,
                                             ProductSink& sink) {
  TRY(sink.failure({.reason = reason, .message = message}));
  return Applied{.row = Row::kFailed, .row_reason = reason, .by_rule = counts_};
}

Result<void> RdkitTransformer::site_failed(size_t rule, int32_t site, const Refusal& refusal,
                                           ProductSink& sink) {
  ++counts_[rule].failed[static_cast<size_t>(refusal.reason)];
  return sink.failure({rule, site, refusal.reason, refusal.message});
}

// Rules of one left side follow each other in a file: they share their matches.
void RdkitTransformer::find_matches(Source& source, size_t rule) {
  const std::string& left = lefts_[rule];
  if (source.matched == left) return;
  source.matched.clear();
  source.matches = all_matches(*source.mol, reactions_[rule].reactant());
  if (source.matches.size() > 1) source.ranks();
  source.matched = left;
}

Result<void> RdkitTransformer::apply_rule(Source& source, size_t rule, ProductSink& sink) {
  if (auto refusal = guarded(Reason::kMatch, [&] { find_matches(source, rule); })) {
    ++counts_[rule].sites;
    refusal->reason = Reason::kMatch;
    return site_failed(rule, -1, *refusal, sink);
  }
  const std::vector<MatchVectType>& matches = source.matches;
  counts_[rule].sites += matches.size();
  const int64_t limit = selection_->max_sites_per_mol();
  Classes classes;
  for (size_t i = 0; i < matches.size(); ++i) {
    const auto site = static_cast<int32_t>(i);
    if (limit > 0 && site >= limit) {
      TRY(site_failed(rule, site, {Reason::kOverLimit, "above max_sites_per_mol"}, sink));
      continue;
    }
    if (matches.size() == 1) {
      TRY(apply_site(source, rule, site, matches[i], sink));
      continue;
    }
    auto way = symmetric_way(source, matches[i]);
    if (!way) {
      TRY(apply_site(source, rule, site, matches[i], sink));
      continue;
    }
    const auto seen = classes.find(*way);
    if (seen == classes.end()) {
      classes.emplace(std::move(*way), TRY(apply_site(source, rule, site, matches[i], sink)));
    } else if (seen->second) {
      TRY(site_failed(rule, site, *seen->second, sink));
    } else {
      ++counts_[rule].products;
      ++counts_[rule].skipped;
    }
  }
  return {};
}

auto RdkitTransformer::apply_site(Source& source, size_t rule, int32_t site,
                                  const MatchVectType& match, ProductSink& sink)
    -> Result<Outcome> {
  std::string smiles;
  Product product;
  // The stage in which RDKit refused decides what an error of no kind counts as.
  Reason stage = Reason::kMatch;
  Outcome refusal = guarded(stage, [&] {
    const bool plain = plans_[rule] && source.facts.editable && may_edit(source) &&
                       plans_[rule]->fits(*source.mol, match);
    std::unique_ptr<RWMol> mol;
    if (plain && options_.descriptors == Descriptors::kNone)
      mol = plans_[rule]->edit_sanitized(*source.mol, source.facts, match);
    if (!mol) {
      mol = plain ? plans_[rule]->edit(*source.mol, match) : run_reaction(source, rule, match);
      stage = Reason::kSanitize;
      RDKit::MolOps::sanitizeMol(*mol);
      RDKit::MolOps::removeHs(*mol);
    }
    stage = Reason::kSanitize;
    ++(plain ? paths_.direct : paths_.reference);
    smiles = RDKit::MolToSmiles(*mol);
    count_halogens(*mol, product);
    describe(*mol, options_.descriptors, product);
  });
  if (refusal) {
    TRY(site_failed(rule, site, *refusal, sink));
    return refusal;
  }
  site_atoms_.clear();
  for (const size_t place : reactions_[rule].mapped()) site_atoms_.push_back(match[place].second);
  product.smiles = smiles;
  product.rule = rule;
  product.site_index = site;
  product.site_atoms = site_atoms_;
  ++counts_[rule].products;
  TRY(sink.product(product));
  return Outcome{};
}

std::unique_ptr<RWMol> RdkitTransformer::run_reaction(const Source& source, size_t rule,
                                                      const MatchVectType& match) {
  auto mol = reactions_[rule].run(source.mol, match);
  if (options_.fragments == Fragments::kKeep) add_untouched(source, match, *mol);
  return mol;
}

std::optional<std::string> RdkitTransformer::canonical(std::string_view smiles) {
  std::optional<std::string> text;
  guarded(Reason::kParse, [&] {
    if (is_blank(smiles)) return;
    if (source_ && source_text_ == smiles) {
      text = RDKit::MolToSmiles(*source_->mol);
    } else if (auto mol = parse(smiles)) {
      text = RDKit::MolToSmiles(*mol);
    }
  });
  return text;
}

}  // namespace

QuietRdkit::QuietRdkit() {
  static const bool done = [] {
    boost::logging::disable_logs("rdApp.*");
    return true;
  }();
  (void)done;
}

std::string_view name(Reason reason) {
  static constexpr std::array<std::string_view, kReasonCount> kNames = {
      "null", "parse", "match", "kekulize", "valence", "sanitize", "over-limit"};
  return kNames[static_cast<size_t>(reason)];
}

Result<std::unique_ptr<Transformer>> Transformer::create(std::shared_ptr<const RuleSet> selection,
                                                         TransformOptions options) {
  const QuietRdkit quiet;
  if (options.inchikey && !has_inchi())
    return fail(Code::kUsage,
                "--inchikey: this RDKit was built without InChI; leave the option out or build "
                "against an RDKit that has it");
  try {
    return std::make_unique<RdkitTransformer>(std::move(selection), options);
  } catch (const std::exception& error) {
    return fail(Code::kInternal, std::string("preparing the rules: ") + error.what());
  }
}

bool is_smiles(std::string_view text) {
  const QuietRdkit quiet;
  bool parsed = false;
  guarded(Reason::kParse, [&] { parsed = !is_blank(text) && parse(text) != nullptr; });
  return parsed;
}

bool has_inchi() { return false; }

}  // namespace spillway::transform

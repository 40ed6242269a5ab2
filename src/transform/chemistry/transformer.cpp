#include "transform/chemistry/transformer.hpp"

#include <RDGeneral/RDConfig.h>
// First.
#include <GraphMol/Descriptors/MolDescriptors.h>
#include <GraphMol/MolOps.h>
#include <GraphMol/SmilesParse/SmilesWrite.h>
#include <RDGeneral/RDLog.h>
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <stdexcept>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/printable.hpp"
#include "transform/chemistry/edit_plan.hpp"
#include "transform/chemistry/flat_path.hpp"
#include "transform/chemistry/rdkit_quiet.hpp"
#include "transform/chemistry/reaction.hpp"
#include "transform/chemistry/refusal.hpp"
#include "transform/chemistry/smirks.hpp"
#include "transform/chemistry/source.hpp"

namespace spillway::transform {
namespace {

using RDKit::MatchVectType;
using RDKit::RWMol;

// One in so many molecules and products is made both ways; must be a power of two.
constexpr size_t kChecked = 1024;
// What the matches of a rule in a molecule may take while they are listed.
constexpr Bytes kMatchMemory{uint64_t{4} << 20};

bool is_checked(std::string_view text) {
  return (std::hash<std::string_view>()(text) & (kChecked - 1)) == 0;
}

size_t most_matches(size_t places) {
  constexpr size_t kList = 48, kPlace = 8;
  return static_cast<size_t>(kMatchMemory.count()) / (kList + kPlace * places);
}

void count_halogens(const RDKit::ROMol& mol, Product& product) {
  for (const auto* atom : mol.atoms()) {
    const int element = atom->getAtomicNum();
    product.n_f += element == 9 ? 1 : 0;
    product.n_cl += element == 17 ? 1 : 0;
    product.n_br += element == 35 ? 1 : 0;
    product.n_i += element == 53 ? 1 : 0;
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
    if (is_flat(options)) flat_ = std::make_unique<FlatPath>(options.flat_memory);
    const size_t count = selection_->rules().size();
    reactions_.reserve(count);
    plans_.reserve(count);
    for (const Rule& rule : selection_->rules()) {
      reactions_.emplace_back(rule.smirks);
      lefts_.push_back(reactant_of(rule.smirks));
      plans_.push_back(options.direct ? EditPlan::compile(reactions_.back().rdkit())
                                      : std::nullopt);
      if (flat_) flat_->add_rule(reactions_.back(), plans_.back());
    }
  }

  Result<Applied> apply(std::string_view smiles, ProductSink& sink) override;
  std::optional<std::string> canonical(std::string_view smiles) override;
  Paths paths() const override { return paths_; }

 private:
  using Match = std::span<const int>;
  // What became of the first site of those that a symmetry leads to each other.
  using Outcome = std::optional<Refusal>;

  Result<Applied> row_failed(Reason reason, std::string_view message, ProductSink& sink);
  Source& source();
  Result<void> check_row();
  bool find_matches(size_t rule);
  Result<void> apply_rule(size_t rule, ProductSink& sink);
  Result<Outcome> apply_site(size_t rule, int32_t site, Match match, ProductSink& sink);
  Result<void> check_site(size_t rule, Match match, const Product& product);
  std::string make_by_rdkit(size_t rule, Match match, Reason& stage, Product& product);
  std::unique_ptr<RWMol> run_reaction(size_t rule, const MatchVectType& match);
  Result<void> site_failed(size_t rule, int32_t site, const Refusal& refusal, ProductSink& sink);
  unsigned symmetry_class(int atom);
  template <class Each>
  void for_each_bond(int atom, const Each& each);
  bool find_way(Match match);

  // An edit keeps every fragment; `matched` wants them gone.
  bool may_edit() { return options_.fragments == Fragments::kKeep || source().fragment.empty(); }

  std::shared_ptr<const RuleSet> selection_;
  TransformOptions options_;
  std::unique_ptr<FlatPath> flat_;
  std::vector<Reaction> reactions_;
  std::vector<std::string> lefts_;
  std::vector<std::optional<EditPlan>> plans_;
  std::vector<RuleCounts> counts_;
  std::vector<int32_t> site_atoms_;
  // Of the molecule at hand.
  std::string source_text_;
  bool is_flat_ = false;
  std::optional<Source> source_;  // made when RDKit is needed
  std::vector<int> matches_;      // of the left side `matched_`, atoms one after the other
  size_t match_count_ = 0;
  std::optional<std::string> matched_;
  std::string way_;
  std::unordered_map<std::string, Outcome, flat::TextHash, std::equal_to<>> classes_;
  MatchVectType pairs_;
  Paths paths_;
};

// RDKit's, of the molecule at hand. Throws what RDKit throws.
Source& RdkitTransformer::source() {
  if (!source_) {
    auto mol = parse_molecule(source_text_);
    if (!mol) throw std::invalid_argument("not a SMILES");
    source_.emplace(mol.release(), source_text_);
  }
  return *source_;
}

Result<Applied> RdkitTransformer::apply(std::string_view smiles, ProductSink& sink) {
  std::fill(counts_.begin(), counts_.end(), RuleCounts{});
  source_.reset();
  matched_.reset();
  is_flat_ = false;
  if (is_blank(smiles)) return row_failed(Reason::kNull, "no SMILES", sink);
  source_text_ = smiles;
  is_flat_ = flat_ && flat_->read(smiles);
  if (is_flat_) {
    TRY(check_row());
  } else if (const auto refusal = guarded(Reason::kParse, [&] { source(); })) {
    return row_failed(Reason::kParse, refusal->message, sink);
  }
  ++(is_flat_ ? paths_.flat_rows : paths_.rdkit_rows);
  for (size_t rule = 0; rule < reactions_.size(); ++rule) TRY(apply_rule(rule, sink));
  Applied applied{.row_reason = {}, .by_rule = counts_};
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

tl::unexpected<Error> differs(std::string_view what, std::string_view of, std::string_view flat,
                              std::string_view rdkit) {
  return fail(Code::kInternal,
              fmt::format("{} of {} is {} on the flat path and {} by RDKit; run again with "
                          "--chemistry rdkit, and please report it",
                          what, printable(of), printable(flat), printable(rdkit)));
}

// One molecule in kChecked is read by RDKit as well.
Result<void> RdkitTransformer::check_row() {
  if (!is_checked(flat_->canonical())) return {};
  std::string text;
  const auto refusal = guarded(Reason::kParse, [&] { text = RDKit::MolToSmiles(*source().mol); });
  ++paths_.checked;
  if (refusal || text != flat_->canonical())
    return differs("the canonical form", source_text_, flat_->canonical(),
                   refusal ? refusal->message : text);
  return {};
}

// Rules of one left side follow each other in a file: they share their matches. False: more than are listed.
bool RdkitTransformer::find_matches(size_t rule) {
  const std::string& left = lefts_[rule];
  if (matched_ == left) return true;
  matched_.reset();
  const size_t places = reactions_[rule].reactant().getNumAtoms();
  const size_t most = most_matches(places);
  if (is_flat_ && flat_->can_match(rule)) {
    if (!flat_->find_matches(rule, most, matches_)) return false;
  } else {
    const auto found = all_matches(*source().mol, reactions_[rule].reactant(), most);
    if (found.size() > most) return false;
    matches_.clear();
    for (const MatchVectType& match : found) {
      for (const auto& [place, atom] : match) matches_.push_back(atom);
    }
  }
  match_count_ = matches_.size() / places;
  matched_ = left;
  return true;
}

// Atoms of different fragments are of different ones: refinement alone takes decalin for bicyclopentyl.
unsigned RdkitTransformer::symmetry_class(int atom) {
  if (is_flat_) return flat_->symmetry_class(atom);
  const auto index = static_cast<size_t>(atom);
  const std::vector<int>& fragment = source().fragment;
  const size_t of_fragment =
      fragment.empty() ? 0 : static_cast<size_t>(fragment[index]) * source().ranks().size();
  return static_cast<unsigned>(source().ranks()[index] + of_fragment);
}

template <class Each>
void RdkitTransformer::for_each_bond(int atom, const Each& each) {
  if (is_flat_) {
    flat_->for_each_bond(atom, each);
    return;
  }
  const RDKit::ROMol& mol = *source().mol;
  for (const auto* bond : mol.atomBonds(mol.getAtomWithIdx(static_cast<unsigned>(atom))))
    each(static_cast<int>(bond->getOtherAtomIdx(static_cast<unsigned>(atom))),
         static_cast<int>(bond->getBondType()));
}

// The symmetry class of the first atom of a match, and how each further atom hangs on one before it:
// the only neighbour of its class over a bond of its type. Of two matches with equal ways, the symmetry
// that leads one first atom to the other leads all of one match to the other. False where an atom hangs
// on none so: classes of a tuple's atoms do not tell its orbit (of the two pairs of neighbours in a
// spiro ring, say, that are on one side or on both).
bool RdkitTransformer::find_way(Match match) {
  way_.clear();
  const auto add = [this](auto value) {
    way_.append(reinterpret_cast<const char*>(&value), sizeof(value));
  };
  add(symmetry_class(match[0]));
  for (size_t place = 1; place < match.size(); ++place) {
    const unsigned own = symmetry_class(match[place]);
    size_t from = 0;
    for (; from < place; ++from) {
      int type = -1;
      for_each_bond(match[from], [&](int other, int order) {
        if (other == match[place]) type = order;
      });
      if (type < 0) continue;
      int alike = 0;
      for_each_bond(match[from], [&](int other, int order) {
        alike += order == type && symmetry_class(other) == own ? 1 : 0;
      });
      if (alike > 1) continue;
      add(static_cast<uint32_t>(from));
      add(own);
      add(type);
      break;
    }
    if (from == place) return false;
  }
  return true;
}

Result<void> RdkitTransformer::apply_rule(size_t rule, ProductSink& sink) {
  bool are_listed = false;
  auto refusal = guarded(Reason::kMatch, [&] { are_listed = find_matches(rule); });
  if (refusal || !are_listed) {
    ++counts_[rule].sites;
    if (refusal) {
      refusal->reason = Reason::kMatch;
    } else {
      refusal = Refusal{Reason::kOverLimit,
                        fmt::format("more than {} matches of one rule in one molecule",
                                    most_matches(reactions_[rule].reactant().getNumAtoms()))};
    }
    return site_failed(rule, -1, *refusal, sink);
  }
  counts_[rule].sites += match_count_;
  const size_t places = reactions_[rule].reactant().getNumAtoms();
  const int64_t limit = selection_->max_sites_per_mol();
  classes_.clear();
  for (size_t i = 0; i < match_count_; ++i) {
    const auto site = static_cast<int32_t>(i);
    if (limit > 0 && site >= limit) {
      TRY(site_failed(rule, site, {Reason::kOverLimit, "above max_sites_per_mol"}, sink));
      continue;
    }
    const Match match = Match(matches_).subspan(i * places, places);
    if (match_count_ == 1 || !find_way(match)) {
      TRY(apply_site(rule, site, match, sink));
      continue;
    }
    const auto seen = classes_.find(std::string_view(way_));
    if (seen == classes_.end()) {
      std::string way = way_;
      classes_.emplace(std::move(way), TRY(apply_site(rule, site, match, sink)));
    } else if (seen->second) {
      TRY(site_failed(rule, site, *seen->second, sink));
    } else {
      ++counts_[rule].products;
      ++counts_[rule].skipped;
    }
  }
  return {};
}

auto RdkitTransformer::apply_site(size_t rule, int32_t site, Match match, ProductSink& sink)
    -> Result<Outcome> {
  Product product;
  std::string smiles;
  const bool keep = options_.fragments == Fragments::kKeep;
  const auto made = is_flat_ ? flat_->make(rule, match, keep) : std::nullopt;
  if (made) {
    ++paths_.flat;
    product.smiles = made->smiles;
    product.n_f = made->halogens.f;
    product.n_cl = made->halogens.cl;
    product.n_br = made->halogens.br;
    product.n_i = made->halogens.i;
    TRY(check_site(rule, match, product));
  } else {
    // The stage in which RDKit refused decides what an error of no kind counts as.
    Reason stage = Reason::kMatch;
    const Outcome refusal =
        guarded(stage, [&] { smiles = make_by_rdkit(rule, match, stage, product); });
    if (refusal) {
      TRY(site_failed(rule, site, *refusal, sink));
      return refusal;
    }
    product.smiles = smiles;
  }
  site_atoms_.clear();
  for (const size_t place : reactions_[rule].mapped()) site_atoms_.push_back(match[place]);
  product.rule = rule;
  product.site_index = site;
  product.site_atoms = site_atoms_;
  ++counts_[rule].products;
  TRY(sink.product(product));
  return Outcome{};
}

std::string RdkitTransformer::make_by_rdkit(size_t rule, Match match, Reason& stage,
                                            Product& product) {
  pairs_.clear();
  for (size_t place = 0; place < match.size(); ++place)
    pairs_.emplace_back(static_cast<int>(place), match[place]);
  Source& whole = source();
  const bool plain =
      plans_[rule] && whole.facts.editable && may_edit() && plans_[rule]->fits(*whole.mol, pairs_);
  std::unique_ptr<RWMol> mol;
  if (plain && options_.descriptors == Descriptors::kNone)
    mol = plans_[rule]->edit_sanitized(*whole.mol, whole.facts, pairs_);
  if (!mol) {
    mol = plain ? plans_[rule]->edit(*whole.mol, pairs_) : run_reaction(rule, pairs_);
    stage = Reason::kSanitize;
    RDKit::MolOps::sanitizeMol(*mol);
    RDKit::MolOps::removeHs(*mol);
  }
  stage = Reason::kSanitize;
  ++(plain ? paths_.direct : paths_.reference);
  count_halogens(*mol, product);
  describe(*mol, options_.descriptors, product);
  return RDKit::MolToSmiles(*mol);
}

// One product in kChecked is made by RDKit's reaction as well.
Result<void> RdkitTransformer::check_site(size_t rule, Match match, const Product& product) {
  if (!is_checked(product.smiles)) return {};
  ++paths_.checked;
  std::string text;
  const auto refusal = guarded(Reason::kSanitize, [&] {
    pairs_.clear();
    for (size_t place = 0; place < match.size(); ++place)
      pairs_.emplace_back(static_cast<int>(place), match[place]);
    const auto mol = run_reaction(rule, pairs_);
    RDKit::MolOps::sanitizeMol(*mol);
    RDKit::MolOps::removeHs(*mol);
    text = RDKit::MolToSmiles(*mol);
  });
  if (refusal || text != product.smiles)
    return differs("a product of rule " + selection_->rules()[rule].name, source_text_,
                   product.smiles, refusal ? refusal->message : text);
  return {};
}

std::unique_ptr<RWMol> RdkitTransformer::run_reaction(size_t rule, const MatchVectType& match) {
  auto mol = reactions_[rule].run(source().mol, match);
  if (options_.fragments == Fragments::kKeep) source().add_untouched(match, *mol);
  return mol;
}

std::optional<std::string> RdkitTransformer::canonical(std::string_view smiles) {
  if (is_flat_ && source_text_ == smiles) return std::string(flat_->canonical());
  if (is_blank(smiles)) return std::nullopt;
  std::optional<std::string> text;
  guarded(Reason::kParse, [&] {
    if (source_ && source_text_ == smiles) {
      text = RDKit::MolToSmiles(*source_->mol);
      return;
    }
    // Flat reading forgets the molecule at hand.
    source_.reset();
    is_flat_ = false;
    source_text_ = smiles;
    if (flat_ && flat_->read(smiles)) {
      is_flat_ = true;
      matched_.reset();
      text = flat_->canonical();
    } else if (auto mol = parse_molecule(smiles)) {
      text = RDKit::MolToSmiles(*mol);
    }
  });
  return text;
}

}  // namespace

std::string one_line(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < 32; }, ' ');
  while (!text.empty() && text.back() == ' ') text.pop_back();
  return text;
}

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

Result<void> Transformer::check(const TransformOptions& options) {
  if (!options.inchikey || has_inchi()) return {};
  return fail(Code::kUsage,
              "--inchikey: this RDKit was built without InChI; leave the option out or build "
              "against an RDKit that has it");
}

Bytes Transformer::memory_for(const RuleSet& rules) {
  constexpr Bytes kRule = 20_KiB, kCharacter{160};
  Bytes all;
  for (const Rule& rule : rules.rules()) all += kRule + kCharacter * rule.smirks.size();
  return all;
}

Result<std::unique_ptr<Transformer>> Transformer::create(std::shared_ptr<const RuleSet> selection,
                                                         TransformOptions options) {
  const QuietRdkit quiet;
  TRY(check(options));
  try {
    return std::make_unique<RdkitTransformer>(std::move(selection), options);
  } catch (const std::exception& error) {
    return fail(Code::kInternal, std::string("preparing the rules: ") + error.what());
  }
}

bool is_smiles(std::string_view text) {
  const QuietRdkit quiet;
  bool parsed = false;
  guarded(Reason::kParse, [&] { parsed = !is_blank(text) && parse_molecule(text) != nullptr; });
  return parsed;
}

bool has_inchi() { return false; }

}  // namespace spillway::transform

// Applies the rules of a selection to one molecule at a time.
//
// A site is one match of a rule's reactant, in GetSubstructMatches(uniquify=false) order;
// site_index counts them before anything is skipped. A site that a symmetry of the molecule
// (chirality and isotopes included) leads to an earlier one of the same rule makes the same product:
// it is counted as a product and a duplicate, and not handed to the sink. Where that is not proven
// (its atoms are not each the only neighbour of their class of one before) it is made.
//
// Order    Sites reach the sink by (rule position in the file, site_index).
// Threads  One Transformer a thread; they share nothing that changes.
// Memory   A molecule, its matches and one product; products are not gathered. RDKit allocates
//          outside the ledger: the job reserves room for it (transform/job/plan.cpp).
// Cost     One parse a molecule; per site an edit and a canonical SMILES; linear in sites.
// Fails    A molecule or a site that RDKit refuses is a count and a call of failure(), never an
//          Error. apply() returns an Error only when the sink does.
// Source   RDKit 2022.09: RunReactants is the reference that every product equals.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/bytes.hpp"
#include "core/result.hpp"
#include "transform/chemistry/rules.hpp"

namespace spillway::transform {

enum class Fragments : uint8_t {
  kKeep,     // fragments of the input that the match does not touch stay
  kMatched,  // only the one that reacted stays, as RunReactants leaves it
};
enum class Descriptors : uint8_t { kNone, kBasic, kAll };

enum class Reason : uint8_t { kNull, kParse, kMatch, kKekulize, kValence, kSanitize, kOverLimit };
inline constexpr size_t kReasonCount = 7;
std::string_view name(Reason reason);  // "null", "parse", ..., "over-limit"

// Valid during the call of ProductSink::product only.
struct Product {
  std::string_view smiles;  // canonical, isomeric
  size_t rule = 0;          // index into RuleSet::rules() of the selection
  int32_t site_index = 0;
  std::span<const int32_t> site_atoms;  // of the parsed source, in map-number order
  int32_t n_f = 0, n_cl = 0, n_br = 0, n_i = 0;
  // With Descriptors::kBasic.
  double mw = 0;
  int32_t hbd = 0, hba = 0, rotb = 0;
  // With Descriptors::kAll.
  double tpsa = 0, clogp = 0;
  std::optional<std::string_view> inchikey;  // with inchikey, when InChI could make one
};

struct Failure {
  static constexpr size_t kNoRule = static_cast<size_t>(-1);
  size_t rule = kNoRule;    // kNoRule: the row itself (null, parse); site_index is then -1
  int32_t site_index = -1;  // -1 with a rule: the matching itself failed
  Reason reason = Reason::kParse;
  std::string_view message;  // one line, no tab
};

class ProductSink {
 public:
  virtual ~ProductSink() = default;
  // An Error stops apply(), which returns it.
  [[nodiscard]] virtual Result<void> product(const Product& product) = 0;
  [[nodiscard]] virtual Result<void> failure(const Failure& failure) = 0;
};

struct RuleCounts {
  uint64_t sites = 0;
  uint64_t products = 0;  // handed to the sink + skipped
  uint64_t skipped = 0;   // by symmetry: products that are duplicates
  std::array<uint64_t, kReasonCount> failed{};
  uint64_t sites_failed() const {
    uint64_t total = 0;
    for (const uint64_t count : failed) total += count;
    return total;
  }
};

enum class Row : uint8_t { kOk, kNoSite, kFailed };

struct Applied {
  Row row = Row::kNoSite;
  // For Row::kFailed of a row that no rule saw (null, parse).
  std::optional<Reason> row_reason;
  // One a rule of the selection, of this molecule; valid until the next apply().
  std::span<const RuleCounts> by_rule;
};

struct TransformOptions {
  Fragments fragments = Fragments::kKeep;
  Descriptors descriptors = Descriptors::kNone;
  bool inchikey = false;
  bool direct = true;  // false: every site through RunReactants; the same products, slower
  // On flat molecules where they are plain (transform/flat) and no descriptors are wanted; false: all by
  // RDKit, the same products, slower.
  bool flat = true;
  Bytes flat_memory = 1_MiB;  // what a Transformer may remember of RDKit for that
};

class Transformer {
 public:
  // kUsage: inchikey, and RDKit was built without InChI.
  [[nodiscard]] static Result<std::unique_ptr<Transformer>> create(
      std::shared_ptr<const RuleSet> selection, TransformOptions options);
  // As create(), without making one.
  [[nodiscard]] static Result<void> check(const TransformOptions& options);
  // About what one allocates for its rules (measured with 1,000 and 4,000 of 100 characters).
  static Bytes memory_for(const RuleSet& rules);
  virtual ~Transformer() = default;

  // `smiles` is one token. Empty or blank: Row::kFailed with Reason::kNull.
  [[nodiscard]] virtual Result<Applied> apply(std::string_view smiles, ProductSink& sink) = 0;

  // The canonical form that products have, of an input: atom maps cleared, sanitized, without
  // explicit hydrogens. Empty when it does not parse.
  [[nodiscard]] virtual std::optional<std::string> canonical(std::string_view smiles) = 0;

  // How many molecules were read flat and by RDKit, and how many sites were made flat, by editing
  // RDKit's molecule and by RunReactants so far; how many of the flat ones both ways, to compare.
  struct Paths {
    uint64_t flat_rows = 0, rdkit_rows = 0;
    uint64_t flat = 0, direct = 0, reference = 0;
    uint64_t checked = 0;
  };
  virtual Paths paths() const = 0;
};

// Whether `text` parses as a molecule: for a first row that looks like data where a header should
// be.
bool is_smiles(std::string_view text);

// The SMILES of one record of an SDF (up to and without "$$$$"), or why there is none.
[[nodiscard]] Result<std::string> smiles_of_sdf_record(std::string_view record);

bool has_inchi();

std::string rdkit_version();

// Why molecules are not to be flat: an RDKit that they were not compared with, or set otherwise, or one
// that reads a built-in molecule otherwise. Found once a process, in 50 ms.
std::optional<std::string> why_not_flat();
// Whether a Transformer of these options makes molecules flat.
bool is_flat(const TransformOptions& options);

}  // namespace spillway::transform

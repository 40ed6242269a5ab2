// The byte records that `transform` sorts: molecules by key, refused sites by ordinal.
//
// Molecule   0x00, key (16), text, 0x00, step (1), and for products: row (8), rule (2), site (4),
//            standing (1), then ProductData. Step 0 is a molecule of the input and ends there.
// Refusal    0x01, step (1), row (8), rule + 1 (2), site + 1 (4), reason (1), file (4), source row
//            (8), then two values: source and message.
//
// Numbers in front of the data are big-endian, so that memcmp orders molecules by key, then text,
// then step, then ordinal, and refusals by ordinal. The key is XXH3-128 of the text, seed 0.
//
// Threads  RecordMaker: one. The rest is plain functions on views.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/key.hpp"
#include "core/records/external_sort.hpp"
#include "transform/chemistry/transformer.hpp"

namespace spillway::transform {

Key128 key_of(std::string_view text);

struct Ordinal {
  uint8_t step = 0;
  uint64_t row = 0;   // of the step's input: the source row, or the parent's rank
  uint16_t rule = 0;  // position in the rules' file
  uint32_t site = 0;
};

// What the first one of equal products is, once they are told apart.
enum class Standing : uint8_t {
  kNew,
  kKnown,  // in a file given with --known
  kInput,  // a molecule of the input
};

// What a product carries besides its name and ordinal.
struct ProductData {
  uint32_t file = 0;
  uint64_t source_row = 0;  // of the root
  std::span<const int32_t> site_atoms;
  int32_t n_f = 0, n_cl = 0, n_br = 0, n_i = 0;
  double mw = 0, tpsa = 0, clogp = 0;
  int32_t hbd = 0, hba = 0, rotb = 0;
  std::optional<std::string_view> inchikey;
  std::string_view route;    // of the parent, with RecordShape::route: kRouteStep bytes a step
  std::string_view source;   // the direct parent
  std::string_view carried;  // format::ValueWriter's encoding
};

// A step of a route: the rule's position in the rules' file (2) and the site (4), little-endian.
inline constexpr size_t kRouteStep = 6;
void append_route(std::string& route, const Ordinal& ordinal);
// "RULE@SITE > RULE@SITE", from the root.
std::string route_text(std::string_view route, const std::vector<std::string>& rule_names);

struct RecordShape {
  Descriptors descriptors = Descriptors::kNone;
  bool inchikey = false;
  bool route = false;  // with several steps
};

// Builds records in a buffer of its own; each view is valid until the next call.
class RecordMaker {
 public:
  static constexpr size_t kInputBytes = 19;  // of input()'s record beside the text
  explicit RecordMaker(RecordShape shape) : shape_(shape) {}
  Record input(std::string_view text);
  Record product(std::string_view text, const Ordinal& ordinal, const ProductData& data);
  struct Refusal {
    Ordinal ordinal;  // its site is not used
    bool of_rule = false;
    int32_t site = -1;
    Reason reason = Reason::kParse;
    uint32_t file = 0;
    uint64_t source_row = 0;  // of the root
    std::string_view source, message;
  };
  Record refusal(const Refusal& refusal);
  // The same product, told apart.
  Record standing(Record molecule, Standing standing);
  // The same product, in front of its molecule record: for sorting by ordinal.
  Record by_ordinal(Record molecule);

 private:
  Record view() const { return {reinterpret_cast<const uint8_t*>(buffer_.data()), buffer_.size()}; }
  RecordShape shape_;
  std::string buffer_;  // at most ExternalSort's longest record, by the limits on texts
};

// Views of a molecule record, checked: kCorrupt when it is not one.
struct MoleculeView {
  Record key_and_text;  // what must be equal for two to be the same molecule
  std::string_view text;
  Ordinal ordinal;
  Standing standing = Standing::kNew;
  std::string_view data;
};
[[nodiscard]] Result<MoleculeView> read_molecule(Record record);
[[nodiscard]] Result<Record> molecule_of_ordinal(Record record);  // by_ordinal()'s inverse
// `atoms` is room for the site's atoms and backs the view.
[[nodiscard]] Result<ProductData> read_product(std::string_view data, RecordShape shape,
                                               std::vector<int32_t>& atoms);

inline bool is_refusal(Record record) { return !record.empty() && record[0] == 1; }
[[nodiscard]] Result<RecordMaker::Refusal> read_refusal(Record record);

}  // namespace spillway::transform

#include "transform/records/record.hpp"

#include <fmt/format.h>
#include <xxhash.h>

#include <cstring>
#include <type_traits>

#include "core/disk/corrupt.hpp"

namespace spillway::transform {
namespace {

constexpr size_t kKeyEnd = 17;       // class and key
constexpr size_t kOrdinalSize = 15;  // step, row, rule, site
constexpr size_t kStandings = 3;

// Where the text of a molecule record is over, and its ordinal begins.
size_t end_of_name(Record molecule) {
  const auto* const from = reinterpret_cast<const char*>(molecule.data());
  return std::string_view(from, molecule.size()).find('\0', kKeyEnd) + 1;
}

template <class T>
void put_big(std::string& out, T value) {
  for (size_t i = sizeof(T); i-- > 0;) out += static_cast<char>(value >> (8 * i));
}
template <class T>
T get_big(const uint8_t* at) {
  T value = 0;
  for (size_t i = 0; i < sizeof(T); ++i) value = static_cast<T>(value << 8 | at[i]);
  return value;
}
template <class T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}
void put_text(std::string& out, std::string_view text) {
  put(out, static_cast<uint32_t>(text.size()));
  out += text;
}

void put_ordinal(std::string& out, const Ordinal& ordinal) {
  out += static_cast<char>(ordinal.step);
  put_big(out, ordinal.row);
  put_big(out, ordinal.rule);
  put_big(out, ordinal.site);
}
Ordinal get_ordinal(const uint8_t* at) {
  return {at[0], get_big<uint64_t>(at + 1), get_big<uint16_t>(at + 9), get_big<uint32_t>(at + 11)};
}

tl::unexpected<Error> corrupt() { return fail_corrupt("a sorted run holds a record that is none"); }

// Takes values off the front; good() says whether all were there.
class Taker {
 public:
  explicit Taker(std::string_view rest) : rest_(rest) {}
  template <class T>
  T take() {
    T value{};
    const std::string_view bytes = take_bytes(sizeof value);
    if (bytes.size() == sizeof value) std::memcpy(&value, bytes.data(), sizeof value);
    return value;
  }
  std::string_view take_text() { return take_bytes(take<uint32_t>()); }
  std::string_view take_bytes(size_t count) {
    if (count > rest_.size()) {
      good_ = false;
      return {};
    }
    const std::string_view taken = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return taken;
  }
  std::string_view rest() const { return rest_; }
  bool good() const { return good_; }

 private:
  std::string_view rest_;
  bool good_ = true;
};

}  // namespace

Key128 key_of(std::string_view text) {
  const XXH128_hash_t hash = XXH3_128bits(text.data(), text.size());
  return {hash.high64, hash.low64};
}

void append_route(std::string& route, const Ordinal& ordinal) {
  put(route, ordinal.rule);
  put(route, ordinal.site);
}

std::string route_text(std::string_view route, const std::vector<std::string>& rule_names) {
  std::string text;
  Taker taker(route);
  for (size_t step = 0; step < route.size() / kRouteStep; ++step) {
    const auto rule = taker.take<uint16_t>();
    const auto site = taker.take<uint32_t>();
    if (!text.empty()) text += " > ";
    text += fmt::format("{}@{}", rule_names.at(rule), site);
  }
  return text;
}

namespace {
void put_name(std::string& out, std::string_view text) {
  const Key128 key = key_of(text);
  out += '\0';
  put_big(out, key.hi);
  put_big(out, key.lo);
  out += text;
  out += '\0';
}
}  // namespace

Record RecordMaker::input(std::string_view text) {
  buffer_.clear();
  put_name(buffer_, text);
  buffer_ += '\0';
  return view();
}

Record RecordMaker::product(std::string_view text, const Ordinal& ordinal,
                            const ProductData& data) {
  buffer_.clear();
  put_name(buffer_, text);
  put_ordinal(buffer_, ordinal);
  put(buffer_, Standing::kNew);
  put(buffer_, data.file);
  put(buffer_, data.source_row);
  put(buffer_, static_cast<uint16_t>(data.site_atoms.size()));
  buffer_.append(reinterpret_cast<const char*>(data.site_atoms.data()),
                 data.site_atoms.size_bytes());
  for (const int32_t count : {data.n_f, data.n_cl, data.n_br, data.n_i})
    put(buffer_, static_cast<uint16_t>(count));
  if (shape_.descriptors != Descriptors::kNone) {
    put(buffer_, data.mw);
    put(buffer_, data.hbd);
    put(buffer_, data.hba);
    put(buffer_, data.rotb);
  }
  if (shape_.descriptors == Descriptors::kAll) {
    put(buffer_, data.tpsa);
    put(buffer_, data.clogp);
  }
  if (shape_.inchikey) put_text(buffer_, data.inchikey.value_or(std::string_view()));
  if (shape_.route) {
    put(buffer_, static_cast<uint8_t>(data.route.size() / kRouteStep));
    buffer_ += data.route;
  }
  put_text(buffer_, data.source);
  buffer_ += data.carried;
  return view();
}

Record RecordMaker::refusal(const Refusal& refusal) {
  buffer_.clear();
  buffer_ += '\1';
  Ordinal shifted = refusal.ordinal;
  shifted.rule = refusal.of_rule ? static_cast<uint16_t>(shifted.rule + 1) : uint16_t{0};
  shifted.site = static_cast<uint32_t>(refusal.site + 1);
  put_ordinal(buffer_, shifted);
  buffer_ += static_cast<char>(refusal.reason);
  put(buffer_, refusal.file);
  put(buffer_, refusal.source_row);
  put_text(buffer_, refusal.source);
  put_text(buffer_, refusal.message.substr(0, 1024));
  return view();
}

Record RecordMaker::standing(Record molecule, Standing standing) {
  buffer_.assign(reinterpret_cast<const char*>(molecule.data()), molecule.size());
  buffer_.at(end_of_name(molecule) + kOrdinalSize) = static_cast<char>(standing);
  return view();
}

Record RecordMaker::by_ordinal(Record molecule) {
  buffer_.clear();
  const auto* const from = reinterpret_cast<const char*>(molecule.data());
  buffer_.append(from + end_of_name(molecule), kOrdinalSize);
  buffer_.append(from, molecule.size());
  return view();
}

Result<Record> molecule_of_ordinal(Record record) {
  if (record.size() < kOrdinalSize) return corrupt();
  return record.subspan(kOrdinalSize);
}

Result<MoleculeView> read_molecule(Record record) {
  if (record.size() < kKeyEnd + 2 || record[0] != 0) return corrupt();
  const void* const zero = std::memchr(record.data() + kKeyEnd, 0, record.size() - kKeyEnd);
  if (zero == nullptr) return corrupt();
  const auto end = static_cast<size_t>(static_cast<const uint8_t*>(zero) - record.data());
  MoleculeView view;
  view.key_and_text = record.first(end + 1);
  const auto* const chars = reinterpret_cast<const char*>(record.data());
  view.text = {chars + kKeyEnd, end - kKeyEnd};
  const Record rest = record.subspan(end + 1);
  if (rest.empty()) return corrupt();
  if (rest[0] == 0) return view;  // of the input
  if (rest.size() < kOrdinalSize + 1 || rest[kOrdinalSize] >= kStandings) return corrupt();
  view.ordinal = get_ordinal(rest.data());
  view.standing = static_cast<Standing>(rest[kOrdinalSize]);
  view.data = {chars + end + 1 + kOrdinalSize + 1, rest.size() - kOrdinalSize - 1};
  return view;
}

Result<ProductData> read_product(std::string_view bytes, RecordShape shape,
                                 std::vector<int32_t>& atoms) {
  Taker taker(bytes);
  ProductData data;
  data.file = taker.take<uint32_t>();
  data.source_row = taker.take<uint64_t>();
  const std::string_view site = taker.take_bytes(taker.take<uint16_t>() * sizeof(int32_t));
  atoms.resize(site.size() / sizeof(int32_t));
  if (!site.empty()) std::memcpy(atoms.data(), site.data(), site.size());
  data.site_atoms = atoms;
  for (int32_t* const count : {&data.n_f, &data.n_cl, &data.n_br, &data.n_i})
    *count = taker.take<uint16_t>();
  if (shape.descriptors != Descriptors::kNone) {
    data.mw = taker.take<double>();
    data.hbd = taker.take<int32_t>();
    data.hba = taker.take<int32_t>();
    data.rotb = taker.take<int32_t>();
  }
  if (shape.descriptors == Descriptors::kAll) {
    data.tpsa = taker.take<double>();
    data.clogp = taker.take<double>();
  }
  if (shape.inchikey) {
    const std::string_view key = taker.take_text();
    if (!key.empty()) data.inchikey = key;
  }
  if (shape.route) data.route = taker.take_bytes(taker.take<uint8_t>() * kRouteStep);
  data.source = taker.take_text();
  data.carried = taker.rest();
  if (!taker.good()) return corrupt();
  return data;
}

Result<RecordMaker::Refusal> read_refusal(Record record) {
  if (record.size() < 2 + kOrdinalSize || record[0] != 1) return corrupt();
  RecordMaker::Refusal view;
  view.ordinal = get_ordinal(record.data() + 1);
  view.of_rule = view.ordinal.rule > 0;
  if (view.of_rule) --view.ordinal.rule;
  view.site = static_cast<int32_t>(view.ordinal.site) - 1;
  const uint8_t reason = record[1 + kOrdinalSize];
  if (reason >= kReasonCount) return corrupt();
  view.reason = static_cast<Reason>(reason);
  const Record rest = record.subspan(2 + kOrdinalSize);
  Taker taker({reinterpret_cast<const char*>(rest.data()), rest.size()});
  view.file = taker.take<uint32_t>();
  view.source_row = taker.take<uint64_t>();
  view.source = taker.take_text();
  view.message = taker.take_text();
  if (!taker.good()) return corrupt();
  return view;
}

}  // namespace spillway::transform

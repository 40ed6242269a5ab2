#include "expand/petri/petri.hpp"

#include <fmt/format.h>

#include <bit>

#include "core/json.hpp"
#include "expand/petri/firing.hpp"
#include "expand/petri/pnml.hpp"

namespace spillway::expand {
namespace {

// The packings a net goes through, narrowest first: ever wider fields in a word, then 1, 2 and 4
// bytes a place.
std::vector<Packing> packings(const Net& net) {
  uint32_t most = 1;
  for (const uint32_t tokens : net.tokens) most = std::max(most, tokens);
  const unsigned least = static_cast<unsigned>(std::bit_width(most));
  std::vector<Packing> list;
  for (unsigned width = least; width <= 31 && width * net.places() <= 64; ++width)
    list.push_back({width, 0});
  for (const unsigned bytes : {1u, 2u, 4u}) {
    if (8 * bytes > least && (list.empty() || list.back().width < 8 * bytes))
      list.push_back({0, bytes});
  }
  return list;
}

class PetriProblem final : public Problem {
 public:
  PetriProblem(std::string file, Net net, Bytes room)
      : file_(std::move(file)), net_(std::move(net)), room_(room), packings_(packings(net_)) {}

  // Compiles for the packing at hand.
  Result<void> prepare() {
    firing_.reset();
    const uint64_t state_bytes = net_.places() * packing().bytes;
    if (state_bytes > kMostStateBytes) {
      return fail(Code::kTooLarge,
                  fmt::format("{}: a marking of {} places takes {}, more than {}", file_,
                              grouped(net_.places()), to_string(Bytes(state_bytes)),
                              to_string(Bytes(kMostStateBytes))));
    }
    const Bytes need = net_.bytes() + Firing::bytes(net_, packing());
    if (need > 2 * room_) {
      return fail(Code::kMemoryLimit,
                  fmt::format("{}: the net's tables need {}, and their part of --memory is {}; "
                              "raise --memory",
                              file_, to_string(need), to_string(2 * room_)));
    }
    firing_ = compile(net_, packing());
    return {};
  }

  std::string name() const override { return "petri"; }
  std::string arguments_json() const override {
    // The net itself, not its file: another text of the same net is the same search.
    return OrderedJson{{"net", net_.id},
                       {"places", net_.places()},
                       {"transitions", net_.transitions()},
                       {"fingerprint", net_.fingerprint}}
        .dump();
  }
  ProblemTraits traits() const override {
    ProblemTraits traits;
    if (packing().width > 0) {
      traits.form = StateForm::kPacked;
      traits.key_bits = packing().width * static_cast<unsigned>(net_.places());
    } else {
      traits.form = StateForm::kBytes;
      traits.max_state_bytes = packing().bytes * static_cast<uint32_t>(net_.places());
    }
    traits.own_bytes = (net_.bytes() + Firing::bytes(net_, packing())).count();
    traits.expander_bytes = firing_->expander_bytes().count();
    return traits;
  }
  Result<std::vector<std::vector<uint8_t>>> initial() const override {
    std::vector<uint8_t> state(packing().width > 0 ? 8 : net_.places() * packing().bytes);
    uint64_t word = 0;
    for (size_t place = 0; place < net_.places(); ++place) {
      const uint32_t count = net_.tokens[place];
      if (packing().width > 0) {
        word |= uint64_t{count} << (place * packing().width);
      } else {
        std::memcpy(state.data() + place * packing().bytes, &count, packing().bytes);
      }
    }
    if (packing().width > 0) std::memcpy(state.data(), &word, 8);
    return std::vector<std::vector<uint8_t>>{std::move(state)};
  }
  Result<std::unique_ptr<Expander>> expander() const override { return firing_->expander(); }
  // 32-bit little-endian counts in document order, whatever the packing.
  size_t canonical(const StateView& state, std::span<uint8_t> out) const override {
    for (uint32_t place = 0; place < net_.places(); ++place) {
      const uint32_t count = tokens(state, place);
      std::memcpy(out.data() + size_t{place} * 4, &count, 4);
    }
    return net_.places() * 4;
  }
  size_t canonical_size() const override { return net_.places() * 4; }
  std::vector<Column> columns() const override {
    std::vector<Column> list;
    for (size_t place = 0; place < net_.places(); ++place)
      list.push_back({std::string(net_.place_id(place)), ColumnType::kUint32});
    return list;
  }
  void describe(const StateView& state, Row& row) const override {
    for (uint32_t place = 0; place < net_.places(); ++place) row.number(tokens(state, place));
  }
  Result<void> widen() override {
    if (level_ + 1 == packings_.size()) {
      return fail(
          Code::kTooLarge,
          fmt::format(
              "{}: a place holds more than {} tokens; the net may be unbounded (try --max-depth)",
              file_, kMaxTokens));
    }
    ++level_;
    return prepare();
  }

 private:
  static constexpr uint64_t kMostStateBytes = uint64_t{256} << 10;

  const Packing& packing() const { return packings_[level_]; }
  uint32_t tokens(const StateView& state, uint32_t place) const {
    if (packing().width == 0)
      return load_tokens(state.bytes.data() + size_t{place} * packing().bytes, packing().bytes);
    return static_cast<uint32_t>((state.packed >> (place * packing().width)) &
                                 ((uint64_t{1} << packing().width) - 1));
  }
  std::string file_;
  Net net_;
  Bytes room_;
  std::vector<Packing> packings_;
  size_t level_ = 0;
  std::unique_ptr<Firing> firing_;
};

}  // namespace

Result<std::unique_ptr<Problem>> make_petri(const ProblemArguments& arguments,
                                            const ProblemContext& context) {
  if (arguments.size() != 1) return fail(Code::kUsage, "petri: which net? usage: petri FILE.pnml");
  auto problem = std::make_unique<PetriProblem>(arguments[0], TRY(read_pnml(arguments[0], context)),
                                                context.room());
  TRY(problem->prepare());
  return problem;
}

}  // namespace spillway::expand

#include "expand/problems/petri.hpp"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <nlohmann/json.hpp>

#include "expand/problems/pnml.hpp"

namespace spillway::expand {
namespace {

// How markings are stored: `width` bits a place in one word, or `bytes` bytes a place.
struct Packing {
  unsigned width = 0;  // packed form; 0: bytes form
  unsigned bytes = 0;

  uint64_t largest() const {
    const unsigned bits = width > 0 ? width : 8 * bytes;
    return std::min<uint64_t>(kMaxTokens, (uint64_t{1} << bits) - 1);
  }
};

// The packings a net goes through, narrowest first: ever wider fields in a word, then 1, 2 and 4
// bytes a place.
std::vector<Packing> packings(const Net& net) {
  uint32_t most = 1;
  for (const NetPlace& place : net.places) most = std::max(most, place.tokens);
  const unsigned least = static_cast<unsigned>(std::bit_width(most));
  std::vector<Packing> list;
  for (unsigned width = least; width <= 31 && width * net.places.size() <= 64; ++width)
    list.push_back({width, 0});
  for (const unsigned bytes : {1u, 2u, 4u}) {
    if (8 * bytes > least && (list.empty() || list.back().width < 8 * bytes))
      list.push_back({0, bytes});
  }
  return list;
}

Error overflow(const Net& net, uint32_t place) {
  return Error(Code::kOverflow,
               fmt::format("the marking of place '{}' outgrew its field", net.places[place].id));
}

// Fires on a word: all weight-1 arcs are tested with two masks of the marking, made once a state.
class WordExpander final : public Expander {
 public:
  WordExpander(const Net& net, unsigned width)
      : net_(net), width_(width), most_((uint64_t{1} << width) - 1) {
    for (size_t place = 0; place < net.places.size(); ++place)
      low_ |= uint64_t{1} << (place * width);
    for (const NetTransition& transition : net.transitions) moves_.push_back(compile(transition));
  }

  Result<uint32_t> expand(const StateBlock& parents, size_t first, Successors& out) override {
    uint32_t done = 0;
    const uint32_t room = static_cast<uint32_t>(moves_.size());
    for (size_t i = first; i < parents.size(); ++i, ++done) {
      if (!out.has_room(room)) return done;
      const uint64_t state = parents.packed[i];
      uint64_t some = state, full = state;  // bit 0 of a field: not zero; all ones
      for (unsigned shift = 1; shift < width_; ++shift) {
        some |= state >> shift;
        full &= state >> shift;
      }
      some &= low_;
      full &= low_;
      for (const Move& move : moves_) {
        if ((some & move.needs) != move.needs) continue;
        if (!move.heavy.empty()) {
          if (!has_heavy(move, state)) continue;
          if (const NetArc* const burst = outgrown(move, state))
            return fail(overflow(net_, burst->place));
        }
        if ((full & move.grows) != 0) [[unlikely]] {
          return fail(
              overflow(net_, static_cast<uint32_t>(std::countr_zero(full & move.grows)) / width_));
        }
        out.emit(state + move.delta);
      }
      out.end_parent();
    }
    return done;
  }

 private:
  struct Heavy {
    NetArc arc;  // place, tokens needed
    int64_t gain;
  };
  struct Move {
    uint64_t needs = 0;  // fields that must not be zero
    uint64_t grows = 0;  // fields that gain one and must not be full
    uint64_t delta = 0;
    std::vector<Heavy> heavy;  // places that need or gain more than one
  };

  Move compile(const NetTransition& transition) const {
    std::vector<std::pair<int64_t, int64_t>> flow(net_.places.size(), {0, 0});
    for (const NetArc& arc : transition.inputs) flow[arc.place].first = arc.weight;
    for (const NetArc& arc : transition.outputs) flow[arc.place].second = arc.weight;
    Move move;
    for (uint32_t place = 0; place < flow.size(); ++place) {
      const auto [need, give] = flow[place];
      const int64_t gain = give - need;
      const unsigned at = place * width_;
      if (need == 1) move.needs |= uint64_t{1} << at;
      if (gain == 1 && need <= 1) move.grows |= uint64_t{1} << at;
      if (need > 1 || gain > 1) move.heavy.push_back({{place, static_cast<uint32_t>(need)}, gain});
      move.delta += static_cast<uint64_t>(gain)
                    << at;  // fields never borrow: the sum is exact modulo 2^64
    }
    return move;
  }
  uint64_t tokens(uint64_t state, uint32_t place) const {
    return (state >> (place * width_)) & most_;
  }
  bool has_heavy(const Move& move, uint64_t state) const {
    return std::all_of(move.heavy.begin(), move.heavy.end(), [&](const Heavy& heavy) {
      return tokens(state, heavy.arc.place) >= heavy.arc.weight;
    });
  }
  const NetArc* outgrown(const Move& move, uint64_t state) const {
    for (const Heavy& heavy : move.heavy) {
      const int64_t after = static_cast<int64_t>(tokens(state, heavy.arc.place)) + heavy.gain;
      if (after > static_cast<int64_t>(most_)) return &heavy.arc;
    }
    return nullptr;
  }

  const Net& net_;
  unsigned width_;
  uint64_t most_;
  uint64_t low_ = 0;
  std::vector<Move> moves_;
};

uint32_t load_tokens(const uint8_t* at, unsigned bytes) {
  uint32_t value = 0;
  std::memcpy(&value, at, bytes);
  return value;
}

class BytesExpander final : public Expander {
 public:
  BytesExpander(const Net& net, Packing packing)
      : net_(net), packing_(packing), next_(net.places.size() * packing.bytes) {}

  Result<uint32_t> expand(const StateBlock& parents, size_t first, Successors& out) override {
    uint32_t done = 0;
    for (size_t i = first; i < parents.size(); ++i, ++done) {
      const std::span<const uint8_t> state = parents[i].bytes;
      for (const NetTransition& transition : net_.transitions) {
        const bool enabled =
            std::all_of(transition.inputs.begin(), transition.inputs.end(), [&](const NetArc& arc) {
              return load_tokens(state.data() + size_t{arc.place} * packing_.bytes,
                                 packing_.bytes) >= arc.weight;
            });
        if (!enabled) continue;
        std::copy(state.begin(), state.end(), next_.begin());
        for (const NetArc& arc : transition.inputs) TRY(add(arc.place, -int64_t{arc.weight}));
        for (const NetArc& arc : transition.outputs) TRY(add(arc.place, arc.weight));
        if (!out.push(std::span<const uint8_t>(next_))) {
          out.drop_parent();
          return done;
        }
      }
      out.end_parent();
    }
    return done;
  }

 private:
  Result<void> add(uint32_t place, int64_t gain) {
    uint8_t* const at = next_.data() + size_t{place} * packing_.bytes;
    const int64_t after = load_tokens(at, packing_.bytes) + gain;
    if (after > static_cast<int64_t>(packing_.largest())) return fail(overflow(net_, place));
    const uint32_t value = static_cast<uint32_t>(after);
    std::memcpy(at, &value, packing_.bytes);
    return {};
  }
  const Net& net_;
  Packing packing_;
  std::vector<uint8_t> next_;
};

class PetriProblem final : public Problem {
 public:
  PetriProblem(std::string file, Net net)
      : file_(std::move(file)), net_(std::move(net)), packings_(packings(net_)) {}

  std::string name() const override { return "petri"; }
  std::string arguments_json() const override {
    // The net itself, not its file: another text of the same net is the same search.
    nlohmann::ordered_json parts = nlohmann::ordered_json::array();
    for (const NetPlace& place : net_.places) parts.push_back({place.id, place.tokens});
    for (const NetTransition& transition : net_.transitions) {
      nlohmann::ordered_json arcs = nlohmann::ordered_json::array();
      for (const NetArc& arc : transition.inputs) arcs.push_back({arc.place, arc.weight});
      arcs.push_back(nullptr);
      for (const NetArc& arc : transition.outputs) arcs.push_back({arc.place, arc.weight});
      parts.push_back({transition.id, std::move(arcs)});
    }
    const std::string text = parts.dump();
    const XXH128_hash_t hash = XXH3_128bits(text.data(), text.size());
    return nlohmann::ordered_json{
        {"net", net_.id},
        {"places", net_.places.size()},
        {"transitions", net_.transitions.size()},
        {"fingerprint", fmt::format("{:016x}{:016x}", hash.high64, hash.low64)}}
        .dump();
  }
  ProblemTraits traits() const override {
    ProblemTraits traits;
    if (packing().width > 0) {
      traits.form = StateForm::kPacked;
      traits.key_bits = packing().width * static_cast<unsigned>(net_.places.size());
    } else {
      traits.form = StateForm::kBytes;
      traits.max_state_bytes = packing().bytes * static_cast<uint32_t>(net_.places.size());
    }
    return traits;
  }
  Result<std::vector<std::vector<uint8_t>>> initial() const override {
    std::vector<uint8_t> state(packing().width > 0 ? 8 : net_.places.size() * packing().bytes);
    uint64_t word = 0;
    for (size_t place = 0; place < net_.places.size(); ++place) {
      const uint32_t tokens = net_.places[place].tokens;
      if (packing().width > 0) {
        word |= uint64_t{tokens} << (place * packing().width);
      } else {
        std::memcpy(state.data() + place * packing().bytes, &tokens, packing().bytes);
      }
    }
    if (packing().width > 0) std::memcpy(state.data(), &word, 8);
    return std::vector<std::vector<uint8_t>>{std::move(state)};
  }
  Result<std::unique_ptr<Expander>> expander() const override {
    if (packing().width > 0) return std::make_unique<WordExpander>(net_, packing().width);
    return std::make_unique<BytesExpander>(net_, packing());
  }
  // 32-bit little-endian counts in document order, whatever the packing.
  size_t canonical(const StateView& state, std::span<uint8_t> out) const override {
    for (uint32_t place = 0; place < net_.places.size(); ++place) {
      const uint32_t count = tokens(state, place);
      std::memcpy(out.data() + size_t{place} * 4, &count, 4);
    }
    return net_.places.size() * 4;
  }
  size_t canonical_size() const override { return net_.places.size() * 4; }
  std::vector<Column> columns() const override {
    std::vector<Column> list;
    for (const NetPlace& place : net_.places) list.push_back({place.id, ColumnType::kUint32});
    return list;
  }
  void describe(const StateView& state, Row& row) const override {
    for (uint32_t place = 0; place < net_.places.size(); ++place) row.number(tokens(state, place));
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
    return {};
  }

 private:
  const Packing& packing() const { return packings_[level_]; }
  uint32_t tokens(const StateView& state, uint32_t place) const {
    if (packing().width == 0)
      return load_tokens(state.bytes.data() + size_t{place} * packing().bytes, packing().bytes);
    return static_cast<uint32_t>((state.packed >> (place * packing().width)) &
                                 ((uint64_t{1} << packing().width) - 1));
  }
  std::string file_;
  Net net_;
  std::vector<Packing> packings_;
  size_t level_ = 0;
};

}  // namespace

Result<std::unique_ptr<Problem>> make_petri(const ProblemArguments& arguments) {
  if (arguments.size() != 1) return fail(Code::kUsage, "petri: which net? usage: petri FILE.pnml");
  return std::make_unique<PetriProblem>(arguments[0], TRY(read_pnml(arguments[0])));
}

}  // namespace spillway::expand

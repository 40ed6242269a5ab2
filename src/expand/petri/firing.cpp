#include "expand/petri/firing.hpp"

#include <fmt/format.h>

#include <bit>

#include "core/printable.hpp"

namespace spillway::expand {
namespace {

Error overflow(const Net& net, uint32_t place) {
  return Error(Code::kOverflow, fmt::format("the marking of place '{}' outgrew its field",
                                            printable(net.place_id(place))));
}

// All arcs of weight 1 are tested with two masks of the marking, made once a state.
struct WordMove {
  uint64_t needs = 0;  // fields that must not be zero
  uint64_t grows = 0;  // fields that gain one and must not be full
  uint64_t delta = 0;
  uint32_t heavy = 0, heavy_end = 0;  // touches that masks do not say all of
};

class WordFiring final : public Firing {
 public:
  WordFiring(const Net& net, unsigned width)
      : net_(net), width_(width), most_((uint64_t{1} << width) - 1) {
    for (size_t place = 0; place < net.places(); ++place) low_ |= uint64_t{1} << (place * width);
    moves_.reserve(net.transitions());
    for (size_t transition = 0; transition < net.transitions(); ++transition)
      moves_.push_back(compiled(net.touches(transition)));
  }
  std::unique_ptr<Expander> expander() const override;
  Bytes expander_bytes() const override { return 64_B; }

  static constexpr uint32_t kDone = UINT32_MAX, kRefused = UINT32_MAX - 1;
  // kDone; kRefused when `emit` said no; else the place whose field is too narrow.
  template <class Emit>
  uint32_t fire(uint64_t state, Emit&& emit) const;
  Error outgrown(uint32_t place) const { return overflow(net_, place); }

 private:
  WordMove compiled(std::span<const NetTouch> touches) {
    WordMove move;
    move.heavy = static_cast<uint32_t>(heavy_.size());
    for (const NetTouch& touch : touches) {
      const unsigned at = touch.place * width_;
      const bool resets = touch.take == NetTouch::kAll;
      const int64_t gain = touch.after(0);  // a reset: what is there then
      if (touch.least <= 1 && touch.most == kMaxTokens && gain <= 1 && !resets) {
        if (touch.least == 1) move.needs |= uint64_t{1} << at;
        if (gain == 1) move.grows |= uint64_t{1} << at;
      } else {
        heavy_.push_back(touch);
      }
      // Fields never borrow: the sum is exact modulo 2^64.
      move.delta += static_cast<uint64_t>(gain) << at;
    }
    move.heavy_end = static_cast<uint32_t>(heavy_.size());
    return move;
  }
  uint64_t field(uint32_t place) const { return most_ << (place * width_); }

  const Net& net_;
  unsigned width_;
  uint64_t most_;
  uint64_t low_ = 0;
  std::vector<WordMove> moves_;
  std::vector<NetTouch> heavy_;
};

template <class Emit>
uint32_t WordFiring::fire(uint64_t state, Emit&& emit) const {
  uint64_t some = state, full = state;  // bit 0 of a field: not zero; all ones
  for (unsigned shift = 1; shift < width_; ++shift) {
    some |= state >> shift;
    full &= state >> shift;
  }
  some &= low_;
  full &= low_;
  for (const WordMove& move : moves_) {
    if ((some & move.needs) != move.needs) continue;
    uint64_t base = state;
    if (move.heavy != move.heavy_end) {
      const std::span<const NetTouch> heavy =
          std::span(heavy_).subspan(move.heavy, move.heavy_end - move.heavy);
      const auto tokens = [&](const NetTouch& touch) {
        return static_cast<uint32_t>((state >> (touch.place * width_)) & most_);
      };
      const bool enabled = std::all_of(heavy.begin(), heavy.end(), [&](const NetTouch& touch) {
        return touch.is_in_range(tokens(touch));
      });
      if (!enabled) continue;
      for (const NetTouch& touch : heavy) {
        if (touch.after(tokens(touch)) > static_cast<int64_t>(most_)) return touch.place;
        if (touch.take == NetTouch::kAll) base &= ~field(touch.place);
      }
    }
    if ((full & move.grows) != 0) [[unlikely]]
      return static_cast<uint32_t>(std::countr_zero(full & move.grows)) / width_;
    if (!emit(base + move.delta)) return kRefused;
  }
  return kDone;
}

class WordExpander final : public Expander {
 public:
  WordExpander(const WordFiring& firing, size_t most_successors)
      : firing_(firing),
        room_(static_cast<uint32_t>(std::min<size_t>(most_successors, 1u << 31))) {}

  Result<uint32_t> expand(const StateBlock& parents, size_t first, Successors& out) override {
    uint32_t done = 0;
    for (size_t i = first; i < parents.size(); ++i, ++done) {
      const uint64_t state = parents.packed[i];
      uint32_t outcome;
      if (out.has_room(room_)) [[likely]] {
        outcome = firing_.fire(state, [&out](uint64_t next) {
          out.emit(next);
          return true;
        });
      } else {
        outcome = firing_.fire(state, [&out](uint64_t next) { return out.push(next); });
      }
      if (outcome == WordFiring::kRefused) {
        out.drop_parent();
        return done;
      }
      if (outcome != WordFiring::kDone) [[unlikely]]
        return fail(firing_.outgrown(outcome));
      out.end_parent();
    }
    return done;
  }

 private:
  const WordFiring& firing_;
  uint32_t room_;
};

std::unique_ptr<Expander> WordFiring::expander() const {
  return std::make_unique<WordExpander>(*this, moves_.size());
}

// A condition of a transition, at the place it is about.
struct Watch {
  uint32_t transition, least, most;
  bool holds(uint32_t tokens) const { return least <= tokens && tokens <= most; }
};

class BytesFiring final : public Firing {
 public:
  BytesFiring(const Net& of, unsigned bytes_a_place) : net(of), bytes(bytes_a_place) {
    watch_begins.assign(net.places() + 1, 0);
    unmet.assign(net.transitions(), 0);
    for (const NetTouch& touch : net.touches()) watch_begins[touch.place + 1] += touch.asks();
    for (size_t place = 0; place < net.places(); ++place)
      watch_begins[place + 1] += watch_begins[place];
    watches.resize(watch_begins.back());
    std::vector<uint64_t> at(watch_begins.begin(), watch_begins.end() - 1);
    for (uint32_t transition = 0; transition < net.transitions(); ++transition) {
      for (const NetTouch& touch : net.touches(transition)) {
        if (!touch.asks()) continue;
        watches[at[touch.place]++] = {transition, touch.least, touch.most};
        unmet[transition] += !touch.is_in_range(0);
      }
    }
  }
  std::unique_ptr<Expander> expander() const override;
  Bytes expander_bytes() const override {
    return Bytes(2 * net.places() * bytes + net.transitions() * 4 + net.transitions() / 8 + 4096);
  }
  std::span<const Watch> watching(size_t place) const {
    return std::span(watches).subspan(watch_begins[place],
                                      watch_begins[place + 1] - watch_begins[place]);
  }

  const Net& net;
  const unsigned bytes;
  std::vector<uint64_t> watch_begins;
  std::vector<Watch> watches;
  std::vector<uint32_t> unmet;  // conditions of each transition that the empty marking breaks
};

class BytesExpander final : public Expander {
 public:
  explicit BytesExpander(const BytesFiring& firing)
      : firing_(firing),
        net_(firing.net),
        bytes_(firing.bytes),
        most_(static_cast<int64_t>(Packing{0, bytes_}.largest())),
        last_(net_.places() * bytes_),
        next_(last_.size()),
        unmet_(firing.unmet),
        enabled_(net_.transitions() / 64 + 1) {
    for (size_t transition = 0; transition < unmet_.size(); ++transition) {
      if (unmet_[transition] == 0) flip(transition);
    }
  }

  Result<uint32_t> expand(const StateBlock& parents, size_t first, Successors& out) override {
    uint32_t done = 0;
    for (size_t i = first; i < parents.size(); ++i, ++done) {
      const std::span<const uint8_t> state = parents[i].bytes;
      turn_to(state);
      for (size_t word = 0; word < enabled_.size(); ++word) {
        for (uint64_t bits = enabled_[word]; bits != 0; bits &= bits - 1) {
          const size_t transition = word * 64 + static_cast<size_t>(std::countr_zero(bits));
          TRY(fire(state, transition));
          if (!out.push(std::span<const uint8_t>(next_))) {
            out.drop_parent();
            return done;
          }
        }
      }
      out.end_parent();
    }
    return done;
  }

 private:
  void flip(size_t transition) { enabled_[transition / 64] ^= uint64_t{1} << (transition % 64); }

  // From the marking before to this one: what changed between them.
  void turn_to(std::span<const uint8_t> state) {
    constexpr size_t kStride = 32;
    for (size_t begin = 0; begin < state.size(); begin += kStride) {
      const size_t size = std::min(kStride, state.size() - begin);
      if (std::memcmp(state.data() + begin, last_.data() + begin, size) == 0) continue;
      for (size_t at = begin; at < begin + size; at += bytes_) {
        const uint32_t before = load_tokens(last_.data() + at, bytes_);
        const uint32_t now = load_tokens(state.data() + at, bytes_);
        if (before != now) change(at / bytes_, before, now);
      }
      std::memcpy(last_.data() + begin, state.data() + begin, size);
    }
  }
  void change(size_t place, uint32_t before, uint32_t now) {
    for (const Watch& watch : firing_.watching(place)) {
      const bool held = watch.holds(before), holds = watch.holds(now);
      if (held == holds) continue;
      uint32_t& unmet = unmet_[watch.transition];
      if (unmet == 0 || (holds && unmet == 1)) flip(watch.transition);
      unmet += holds ? ~uint32_t{0} : 1;
    }
  }

  Result<void> fire(std::span<const uint8_t> state, size_t transition) {
    std::memcpy(next_.data(), state.data(), state.size());
    for (const NetTouch& touch : net_.touches(transition)) {
      uint8_t* const at = next_.data() + size_t{touch.place} * bytes_;
      const int64_t after = touch.after(load_tokens(at, bytes_));
      if (after > most_) return fail(overflow(net_, touch.place));
      const uint32_t value = static_cast<uint32_t>(after);
      std::memcpy(at, &value, bytes_);
    }
    return {};
  }

  const BytesFiring& firing_;
  const Net& net_;
  const unsigned bytes_;
  const int64_t most_;
  std::vector<uint8_t> last_;  // the marking that unmet_ and enabled_ are about
  std::vector<uint8_t> next_;
  std::vector<uint32_t> unmet_;    // a transition: its conditions that do not hold
  std::vector<uint64_t> enabled_;  // a bit each
};

std::unique_ptr<Expander> BytesFiring::expander() const {
  return std::make_unique<BytesExpander>(*this);
}

}  // namespace

Bytes Firing::bytes(const Net& net, Packing packing) {
  if (packing.width > 0)
    return Bytes(net.transitions() * sizeof(WordMove) + 2 * net.touches().size_bytes());
  return Bytes((net.places() + 1) * 16 + net.transitions() * 4 +
               net.touches().size() * sizeof(Watch));
}

std::unique_ptr<Firing> compile(const Net& net, Packing packing) {
  if (packing.width > 0) return std::make_unique<WordFiring>(net, packing.width);
  return std::make_unique<BytesFiring>(net, packing.bytes);
}

}  // namespace spillway::expand

// Makes an Expander of the rules of a packed problem.
//
// Rules    A small copyable struct with `uint32_t max_successors` and
//            template <class Emit> void successors(uint64_t state, Emit&& emit) const;
//          which calls emit(successor) at most max_successors times, in the problem's order.
// Cost     One check of the room a parent; each successor is then stored without any.
// Fails    Never; a room too small for one parent completes 0 parents.
#pragma once

#include <memory>
#include <utility>

#include "expand/problem/problem.hpp"

namespace spillway::expand {

template <class Rules>
class PackedExpander final : public Expander {
 public:
  explicit PackedExpander(Rules rules) : rules_(std::move(rules)) {}

  Result<uint32_t> expand(const StateBlock& parents, size_t first, Successors& out) override {
    uint32_t done = 0;
    for (const uint64_t parent : parents.packed.subspan(first)) {
      if (!out.has_room(rules_.max_successors)) break;
      rules_.successors(parent, [&out](uint64_t state) { out.emit(state); });
      out.end_parent();
      ++done;
    }
    return done;
  }

 private:
  Rules rules_;
};

// One packed state as initial() gives it: 8 little-endian bytes.
inline std::vector<std::vector<uint8_t>> one_packed(uint64_t state) {
  std::vector<uint8_t> bytes(sizeof state);
  std::memcpy(bytes.data(), &state, sizeof state);
  return {std::move(bytes)};
}

}  // namespace spillway::expand

#include "expand/problem/problem.hpp"

#include <xxhash.h>

namespace spillway::expand {

size_t Problem::canonical(const StateView& state, std::span<uint8_t> out) const {
  if (traits().form == StateForm::kPacked) {
    std::memcpy(out.data(), &state.packed, sizeof state.packed);
    return sizeof state.packed;
  }
  std::memcpy(out.data(), state.bytes.data(), state.bytes.size());
  return state.bytes.size();
}

uint64_t Problem::id(const StateView& state) const {
  std::array<uint8_t, 1024> small;
  std::vector<uint8_t> large;
  std::span<uint8_t> room = small;
  if (canonical_size() > small.size()) {
    large.resize(canonical_size());
    room = large;
  }
  return XXH3_128bits(room.data(), canonical(state, room)).low64;
}

Result<void> Problem::widen() {
  return fail(Code::kInternal, "this problem's states cannot be widened");
}

}  // namespace spillway::expand

// The firing rule over packed markings. What is compiled of a net is made once and shared by the
// expanders of all threads.
//
// Order    Successors come in the order of the transitions.
// Cost     Markings in a word: a few operations a transition. In bytes: only the transitions whose
//          places differ from the marking expanded before are looked at again.
// Fails    kOverflow when a count outgrows its field (the problem widens).
#pragma once

#include <algorithm>
#include <memory>

#include "expand/petri/net.hpp"
#include "expand/problem/problem.hpp"

namespace spillway::expand {

// How markings are stored: `width` bits a place in one word, or `bytes` bytes a place.
struct Packing {
  unsigned width = 0;  // packed form; 0: bytes form
  unsigned bytes = 0;

  uint64_t largest() const {
    const unsigned bits = width > 0 ? width : 8 * bytes;
    return std::min<uint64_t>(kMaxTokens, (uint64_t{1} << bits) - 1);
  }
};

class Firing {
 public:
  virtual ~Firing() = default;
  virtual std::unique_ptr<Expander> expander() const = 0;
  virtual Bytes expander_bytes() const = 0;  // of one expander
  // Of what is compiled; known from the net alone.
  static Bytes bytes(const Net& net, Packing packing);
};

// `net` outlives it.
std::unique_ptr<Firing> compile(const Net& net, Packing packing);

inline uint32_t load_tokens(const uint8_t* at, unsigned bytes) {
  uint32_t value = 0;
  std::memcpy(&value, at, bytes);
  return value;
}

}  // namespace spillway::expand

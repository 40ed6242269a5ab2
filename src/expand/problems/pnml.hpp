// A place/transition net as PNML has it, with its references resolved.
//
// Cost     The whole document in memory, at most 256 MiB.
// Fails    kNotFound, kInvalid: "FILE: line N: what is wrong".
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/result.hpp"

namespace spillway::expand {

constexpr uint32_t kMaxTokens = 0x7FFFFFFF;

struct NetArc {
  uint32_t place;
  uint32_t weight;
};
struct NetPlace {
  std::string id;
  uint32_t tokens = 0;
};
struct NetTransition {
  std::string id;
  std::vector<NetArc> inputs;  // one a place
  std::vector<NetArc> outputs;
};
struct Net {
  std::string id;
  std::vector<NetPlace> places;            // in document order
  std::vector<NetTransition> transitions;  // in document order
};

[[nodiscard]] Result<Net> read_pnml(const std::string& path);
// The document itself; `name` is what errors call it.
[[nodiscard]] Result<Net> parse_pnml(std::string text, const std::string& name);

}  // namespace spillway::expand

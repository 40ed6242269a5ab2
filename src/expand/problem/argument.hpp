// The words after a problem's name on the command line, read strictly.
//
// Fails    kUsage: one line that quotes the word, names what it should be and gives the range.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/result.hpp"

namespace spillway::expand {

struct ArgumentRange {
  std::string_view what;  // "pancake N", as the user would call it
  uint64_t least = 0;
  uint64_t greatest = UINT64_MAX;
};

// A decimal number without sign, blanks or leftovers.
[[nodiscard]] Result<uint64_t> parse_argument(std::string_view word, const ArgumentRange& range);

}  // namespace spillway::expand

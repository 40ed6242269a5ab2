// The text of checkpoint.json: one JSON object whose last member is a checksum of all before it.
//
// Layout   docs/formats.md.
// Fails    parse_checkpoint: kCorrupt for any text that is not what checkpoint_text() made.
#pragma once

#include <string>
#include <string_view>

#include "core/result.hpp"

namespace spillway::expand {

struct Checkpoint {
  std::string configuration;  // JSON: what must agree to go on
  std::string packing;        // how states are stored
  std::string search;         // JSON: the search's own, or "null" when nothing is done yet
};

std::string checkpoint_text(const Checkpoint& checkpoint);
[[nodiscard]] Result<Checkpoint> parse_checkpoint(std::string_view text);

}  // namespace spillway::expand

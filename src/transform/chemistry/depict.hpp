// Draws one source and one of its products side by side, for the report.
//
// Cost     About a millisecond a molecule: once a rule, not once a product.
// Fails    kInvalid: a SMILES that does not parse.
// Source   RDKit's MolDraw2DSVG.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "core/result.hpp"

namespace spillway::transform {

struct Depiction {
  std::string_view source;
  std::span<const int32_t> site_atoms;  // highlighted in the source
  std::string_view product;
  int width = 600, height = 220;
};

// One <svg> element without an XML declaration, to stand inside HTML.
[[nodiscard]] Result<std::string> draw_pair(const Depiction& depiction);

}  // namespace spillway::transform

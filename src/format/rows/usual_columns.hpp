// Which column holds the molecules when nobody says so.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/result.hpp"

namespace spillway::format {

// `smiles`, where a column is called that; else the one column with a name that is usual for it,
// whatever its case, blanks and marks between the words: SMILES, Canonical_Smiles, isomeric smiles,
// structure. None: no such column, or several called `smiles`. kInvalid: several others, named.
[[nodiscard]] Result<std::optional<size_t>> usual_column(const std::vector<std::string>& names,
                                                         const std::string& path);

}  // namespace spillway::format

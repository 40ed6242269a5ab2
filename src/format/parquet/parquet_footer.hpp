// What the footer of a Parquet file says.
//
// Memory   The footer, from `account`; a file that claims a larger footer than it has is refused.
// Fails    kNotFound, kIo, kCorrupt.
#pragma once

#include <map>
#include <string>

#include "core/memory/budget.hpp"
#include "core/result.hpp"

namespace spillway::format {

// The key-value metadata.
[[nodiscard]] Result<std::map<std::string, std::string>> parquet_metadata(const std::string& path,
                                                                          Account account);

}  // namespace spillway::format

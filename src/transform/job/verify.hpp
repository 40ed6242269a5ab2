// `transform verify`: whether a file of products is what was written, and what it says it is.
//
// Every byte is held against the file's checksums, every page read; then rows must ascend by key
// (which also says that no product is there twice) where the footer says so, and be as many as were
// counted.
//
// Threads  One. Memory: a reader's, within `memory`, the process's limit. Cost: the file,
//          three times.
// Fails    kCorrupt: damaged, out of order, or not as many. kInvalid: spillway did not write it.
#pragma once

#include <stop_token>
#include <string>

#include "core/bytes.hpp"
#include "core/result.hpp"

namespace spillway::transform {

// What was found right, as a line.
[[nodiscard]] Result<std::string> verify_text(const std::string& path, Bytes memory,
                                              const std::stop_token& stop);

}  // namespace spillway::transform

// `transform stats`: what is in a file of products, as text.
//
// Threads  One. Memory: a reader's, within `memory`, the process's limit; counters for at most 4,096
//          rules and 256 steps.
// Fails    kInvalid: not a file that apply or merge wrote. kMemoryLimit.
#pragma once

#include <stop_token>
#include <string>

#include "core/bytes.hpp"
#include "core/result.hpp"

namespace spillway::transform {

[[nodiscard]] Result<std::string> stats_text(const std::string& path, Bytes memory,
                                             const std::stop_token& stop = {});

}  // namespace spillway::transform

// A problem from a shared library with the C interface of plugin_abi.h: `plugin FILE.so [args]`.
//
// Threads  As every Problem. The plugin's functions are called by several threads at once.
// Fails    kInvalid: not a library, not a plugin, another ABI, or what the plugin itself says.
#pragma once

#include <memory>

#include "core/result.hpp"
#include "expand/problem.hpp"

namespace spillway::expand {

[[nodiscard]] Result<std::unique_ptr<Problem>> make_plugin(const ProblemArguments& arguments);

}  // namespace spillway::expand

// A problem from a shared library with the C interface of plugin_abi.h: `plugin FILE.so [args]`.
//
// Which     FILE is the file of that name, or else what the loader finds under it. Its bytes are hashed
//           into build(): a run is not taken up with another build.
// Trust     The plugin is code in our process, and can break anything; what can be noticed ends the
//           run: exceptions, states beyond its own limit, answers that differ. The first and then every
//           1,000th state a thread expands is expanded twice, and what is made again for the next
//           layer is compared with the first time (ProblemTraits::prove_repeats).
// Threads   As every Problem. The plugin's functions are called by several threads at once.
// Fails     kUsage: no file named. kInvalid: not a library, not a plugin, another ABI, or what the
//           plugin itself says. One line that begins with "plugin FILE:".
#pragma once

#include <memory>

#include "core/result.hpp"
#include "expand/problem/problem.hpp"

namespace spillway::expand {

[[nodiscard]] Result<std::unique_ptr<Problem>> make_plugin(const ProblemArguments& arguments,
                                                           const ProblemContext& context = {});

}  // namespace spillway::expand

// What to say of an unfinished run that another command left where this one would go on.
//
// Threads  Any.
#pragma once

#include <string>

#include "core/result.hpp"

namespace spillway::transform {

// The first thing in which two configurations differ, as it was and as it is: "--steps was 2 and is 3".
std::string difference_text(const std::string& then, const std::string& now);

// kUsage: the work folder at `path` holds an unfinished run of configuration `then`, and this one is
// another.
Error other_run(const std::string& path, const std::string& then, const std::string& now);

}  // namespace spillway::transform

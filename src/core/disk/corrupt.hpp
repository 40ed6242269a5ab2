// What to say when a file of our own (scratch, a run, a checkpoint's) does not hold what was written: the
// disk, the memory or somebody else changed it. Inputs are told of by their readers.
#pragma once

#include <string>

#include "core/result.hpp"

namespace spillway {

// `what`: which file, where in it, and what is wrong.
inline tl::unexpected<Error> fail_corrupt(const std::string& what) {
  return fail(Code::kCorrupt, what +
                                  ": it is not what was written; check the disk and run again with "
                                  "--resume never");
}

}  // namespace spillway

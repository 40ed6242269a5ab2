#include "core/flow/parallel.hpp"

#include <fmt/format.h>

namespace spillway {

Error thread_refused(const std::system_error& refused) {
  return Error(Code::kMemoryLimit,
               fmt::format("the system refused a thread ({}); see ulimit -u and -v, or try --threads 1",
                           refused.code().message()),
               refused.code().value());
}

}  // namespace spillway

// For tests: a process that the system gives no more threads.
#pragma once

#include <sys/resource.h>
#include <unistd.h>

namespace spillway {

// Of this process, for good: to be called in the child of a death test. Root has no such limit and so
// becomes nobody.
inline void refuse_threads() {
  constexpr rlimit none{0, 0};
  ::setrlimit(RLIMIT_NPROC, &none);
  if (::geteuid() == 0) (void)!::setuid(65534);
}

}  // namespace spillway

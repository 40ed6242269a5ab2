// Faults that tests arm: "the n-th write from now fails with ENOSPC".
//
// Sites are named here and nowhere else; core/file passes one at every call to the system. A whole
// program is armed from outside: SPILLWAY_FAULT=SITE:N:ERRNO (as "sync:3:EIO") fails the n-th call
// from its start and says so on stderr. Without SPILLWAY_FAULTS a site costs nothing.
#pragma once

#include <cerrno>
#include <chrono>
#include <cstdint>

namespace spillway::fault {

enum class Site {
  kOpen,        // open, openat
  kRead,        // read, pread
  kWrite,       // write, pwrite, writev
  kShortWrite,  // a write of half
  kSync,        // fsync, fdatasync, syncfs
  kRename,
  kUnlink,  // unlink, rmdir
  kMkdir,
  kStat,  // stat, fstat
  kList,  // getdents
  kFallocate,
  kTruncate,
  kLock,  // flock
  kCount
};

#ifdef SPILLWAY_FAULTS
// The `nth` call (1 is the next) at `site` fails with `error`, and all after it while `sticky`. 0
// disarms.
void arm(Site site, uint64_t nth, int error, bool sticky = false);
// Calls at `site` until the armed one; 0 when none is armed.
uint64_t remaining(Site site);
// Every call at `site` takes this much longer: a slow disk.
void slow_down(Site site, std::chrono::microseconds each);
// Nothing fails and nothing is slow any more.
void disarm_all();
// 0, or the errno with which this call must fail.
int hit(Site site);
#else
inline int hit(Site) { return 0; }
#endif
// Whether this call must fail; errno says how.
inline bool fails(Site site) {
  const int error = hit(site);
  if (error != 0) errno = error;
  return error != 0;
}

}  // namespace spillway::fault

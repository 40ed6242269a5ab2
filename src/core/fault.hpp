// Faults that tests arm: "the n-th write from now fails with ENOSPC".
//
// Sites are named here and nowhere else. Without SPILLWAY_FAULTS a site costs nothing.
#pragma once

#include <cerrno>
#include <chrono>
#include <cstdint>

namespace spillway::fault {

enum class Site { kWrite, kShortWrite, kRead, kSync, kCount };

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

}  // namespace spillway::fault

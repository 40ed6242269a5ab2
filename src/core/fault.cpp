#include "core/fault.hpp"

#ifdef SPILLWAY_FAULTS
#include <array>

#include "core/mutex.hpp"

namespace spillway::fault {
namespace {
struct Armed {
  uint64_t remaining = 0;
  int error = 0;
  bool sticky = false;
};
Mutex mutex;
std::array<Armed, static_cast<size_t>(Site::kCount)> sites GUARDED_BY(mutex);
}  // namespace

void arm(Site site, uint64_t nth, int error, bool sticky) {
  MutexLock lock(mutex);
  sites[static_cast<size_t>(site)] = Armed{nth, error, sticky};
}

void disarm_all() {
  MutexLock lock(mutex);
  sites = {};
}

int hit(Site site) {
  MutexLock lock(mutex);
  Armed& armed = sites[static_cast<size_t>(site)];
  if (armed.remaining == 0) return 0;
  if (--armed.remaining > 0) return 0;
  if (armed.sticky) armed.remaining = 1;
  return armed.error;
}
}  // namespace spillway::fault
#endif

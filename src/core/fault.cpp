#include "core/fault.hpp"

#ifdef SPILLWAY_FAULTS
#include <array>
#include <thread>

#include "core/mutex.hpp"

namespace spillway::fault {
namespace {
struct Armed {
  uint64_t remaining = 0;
  int error = 0;
  bool sticky = false;
  std::chrono::microseconds delay{0};
};
Mutex mutex;
std::array<Armed, static_cast<size_t>(Site::kCount)> sites GUARDED_BY(mutex);
}  // namespace

void arm(Site site, uint64_t nth, int error, bool sticky) {
  MutexLock lock(mutex);
  Armed& armed = sites[static_cast<size_t>(site)];
  armed = Armed{nth, error, sticky, armed.delay};
}

uint64_t remaining(Site site) {
  MutexLock lock(mutex);
  return sites[static_cast<size_t>(site)].remaining;
}

void slow_down(Site site, std::chrono::microseconds each) {
  MutexLock lock(mutex);
  sites[static_cast<size_t>(site)].delay = each;
}

void disarm_all() {
  MutexLock lock(mutex);
  sites = {};
}

int hit(Site site) {
  std::chrono::microseconds delay{0};
  {
    MutexLock lock(mutex);
    delay = sites[static_cast<size_t>(site)].delay;
  }
  if (delay.count() > 0) std::this_thread::sleep_for(delay);
  MutexLock lock(mutex);
  Armed& armed = sites[static_cast<size_t>(site)];
  if (armed.remaining == 0) return 0;
  if (--armed.remaining > 0) return 0;
  if (armed.sticky) armed.remaining = 1;
  return armed.error;
}
}  // namespace spillway::fault
#endif

#include "core/fault.hpp"

#ifdef SPILLWAY_FAULTS
#include <array>
#include <mutex>

namespace spillway::fault {
namespace {
struct Armed {
  uint64_t remaining = 0;
  int error = 0;
  bool sticky = false;
};
std::mutex mutex;
std::array<Armed, static_cast<size_t>(Site::kCount)> sites;
}  // namespace

void arm(Site site, uint64_t nth, int error, bool sticky) {
  std::lock_guard lock(mutex);
  sites[static_cast<size_t>(site)] = Armed{nth, error, sticky};
}

void disarm_all() {
  std::lock_guard lock(mutex);
  sites = {};
}

int hit(Site site) {
  std::lock_guard lock(mutex);
  Armed& armed = sites[static_cast<size_t>(site)];
  if (armed.remaining == 0) return 0;
  if (--armed.remaining > 0) return 0;
  if (armed.sticky) armed.remaining = 1;
  return armed.error;
}
}  // namespace spillway::fault
#endif

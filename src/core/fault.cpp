#include "core/fault.hpp"

#ifdef SPILLWAY_FAULTS
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "core/mutex.hpp"

namespace spillway::fault {
namespace {
struct Armed {
  uint64_t remaining = 0;
  int error = 0;
  bool sticky = false;
  uint64_t calls = 0;
  std::chrono::microseconds delay{0};
};
Mutex mutex;
using Sites = std::array<Armed, static_cast<size_t>(Site::kCount)>;

constexpr const char* kNames[] = {"open",      "read",     "write", "short_write", "sync",
                                  "rename",    "unlink",   "mkdir", "stat",        "list",
                                  "fallocate", "truncate", "lock"};
static_assert(std::size(kNames) == static_cast<size_t>(Site::kCount));

int number_of(const char* name) {
  constexpr std::pair<const char*, int> kErrors[] = {
      {"ENOSPC", ENOSPC}, {"EIO", EIO}, {"EMFILE", EMFILE}, {"EACCES", EACCES}};
  for (const auto& [known, number] : kErrors) {
    if (std::strcmp(known, name) == 0) return number;
  }
  return EIO;
}

// What SPILLWAY_FAULT asks for.
Sites armed_from_outside() {
  Sites armed;
  const char* const text = std::getenv("SPILLWAY_FAULT");
  char site[16], error[16];
  unsigned long nth = 0;
  if (text == nullptr || std::sscanf(text, "%15[a-z_]:%lu:%15[A-Z]", site, &nth, error) != 3)
    return armed;
  for (size_t i = 0; i < armed.size(); ++i) {
    if (std::strcmp(kNames[i], site) == 0) armed[i] = {nth, number_of(error), false};
  }
  return armed;
}

const bool tells = std::getenv("SPILLWAY_FAULT") != nullptr;
Sites sites GUARDED_BY(mutex) = armed_from_outside();

// How many calls there were at each site, for who sweeps them.
void tell_calls() {
  MutexLock lock(mutex);
  for (size_t i = 0; i < sites.size(); ++i)
    std::fprintf(stderr, "fault: %s had %lu calls\n", kNames[i], sites[i].calls);
}
const bool will_tell = tells && std::atexit(tell_calls) == 0;
}  // namespace

void arm(Site site, uint64_t nth, int error, bool sticky) {
  MutexLock lock(mutex);
  Armed& armed = sites[static_cast<size_t>(site)];
  armed = Armed{nth, error, sticky, armed.calls, armed.delay};
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
  ++armed.calls;
  if (armed.remaining == 0) return 0;
  if (--armed.remaining > 0) return 0;
  if (armed.sticky) armed.remaining = 1;
  if (tells) std::fprintf(stderr, "fault: %s failed\n", kNames[static_cast<size_t>(site)]);
  return armed.error;
}
}  // namespace spillway::fault
#endif

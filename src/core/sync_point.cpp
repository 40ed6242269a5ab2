#include "core/sync_point.hpp"

#ifdef SPILLWAY_FAULTS
#include <atomic>
#include <utility>

#include "core/mutex.hpp"

namespace spillway::sync_point {
namespace {
struct Points {
  Mutex mutex;
  std::array<std::function<void()>, kNames.size()> passes GUARDED_BY(mutex);
};
Points& points() {
  static Points all;
  return all;
}
std::atomic<int> used{0};  // how many points have a callback
}  // namespace

void set(size_t index, std::function<void()> pass) {
  Points& all = points();
  MutexLock lock(all.mutex);
  used += static_cast<int>(pass != nullptr) - static_cast<int>(all.passes[index] != nullptr);
  all.passes[index] = std::move(pass);
}

void reach(size_t index) {
  if (used == 0) return;
  std::function<void()> pass;
  {
    Points& all = points();
    MutexLock lock(all.mutex);
    pass = all.passes[index];
  }
  if (pass) pass();
}

}  // namespace spillway::sync_point
#endif

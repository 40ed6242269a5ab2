#include "core/memory/allocator.hpp"

#include <fmt/format.h>
#include <malloc.h>
#include <sys/types.h>

#include <algorithm>

// jemalloc's control call, when the program is linked with it.
extern "C" __attribute__((weak)) int mallctl(const char* name, void* old, size_t* old_size,
                                             void* fresh, size_t fresh_size);

namespace spillway {

void tune_allocator() {
  if (mallctl == nullptr) return;
  ssize_t dirty = kAllocatorDecay.count(), muzzy = 0;
  mallctl("arenas.dirty_decay_ms", nullptr, nullptr, &dirty, sizeof dirty);
  mallctl("arenas.muzzy_decay_ms", nullptr, nullptr, &muzzy, sizeof muzzy);
  unsigned arenas = 0;
  size_t size = sizeof arenas;
  if (mallctl("arenas.narenas", &arenas, &size, nullptr, 0) != 0) return;
  for (unsigned i = 0; i < arenas; ++i) {  // fails for those that nobody uses yet
    mallctl(fmt::format("arena.{}.dirty_decay_ms", i).c_str(), nullptr, nullptr, &dirty,
            sizeof dirty);
    mallctl(fmt::format("arena.{}.muzzy_decay_ms", i).c_str(), nullptr, nullptr, &muzzy,
            sizeof muzzy);
  }
}

void purge_allocator() {
  if (mallctl != nullptr) {
    mallctl("arena.4096.purge", nullptr, nullptr, nullptr, 0);  // 4096: MALLCTL_ARENAS_ALL
  } else {
    ::malloc_trim(0);
  }
}

}  // namespace spillway

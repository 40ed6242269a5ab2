// The counters that the threads of `transform` keep up while they work, for the progress line.
#pragma once

#include <atomic>
#include <cstdint>

namespace spillway::transform {

struct LiveCounts {
  std::atomic<unsigned> step{1};
  std::atomic<int> phase{0};    // 0 apply, 1 merge, 2 write
  std::atomic<double> read{0};  // of the step's molecules, 0..1
  std::atomic<uint64_t> molecules{0}, products{0};
  std::atomic<uint64_t> merged{0}, unique{0}, to_merge{0}, written{0}, to_write{0};
};

}  // namespace spillway::transform

// The counters that the threads of `transform apply` keep up while they work, and the progress line
// made from them.
#pragma once

#include <atomic>
#include <cstdint>

#include "core/job/progress.hpp"
#include "transform/records/refusal_examples.hpp"

namespace spillway::transform {

struct LiveCounts {
  std::atomic<unsigned> step{1};
  std::atomic<int> phase{0};    // 0 apply, 1 merge, 2 write, 3 finish
  std::atomic<double> read{0};  // of the step's molecules, 0..1
  std::atomic<uint64_t> molecules{0}, products{0};
  std::atomic<uint64_t> merged{0}, unique{0}, to_merge{0}, written{0}, to_write{0};
  // By which way molecules were read and sites made, in this process; known when a step is
  // applied.
  std::atomic<uint64_t> rows_flat{0}, rows_rdkit{0}, sites_flat{0}, sites_edited{0},
      sites_reacted{0}, made_both_ways{0};
  RefusalExamples refusals;
};

// Threads  One.
class ApplyProgress {
 public:
  // All but what is spilled. `steps` of the run.
  ProgressSnapshot snapshot(const LiveCounts& live, unsigned steps);

 private:
  Rate molecules_rate_, products_rate_;
};

}  // namespace spillway::transform

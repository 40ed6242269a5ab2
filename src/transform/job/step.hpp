// One step of `transform apply`: its molecules through the rules into a sort, then the sort's groups
// of equal molecules. The first one of a group is unique or, where it is known, known; every other,
// and each that an earlier step made, is a duplicate. Which sites a symmetry skips does not show: the
// first of a group is none of them.
//
// Threads  One caller; run() makes job.threads workers, which add to the sort side by side.
// Memory   A batch in flight a worker and the sort's buffers; see plan.hpp.
// Durable  Each run of the sort is told to `journal`, with the batches that are wholly in it.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "core/flow/grace.hpp"
#include "core/flow/pipeline.hpp"
#include "core/mutex.hpp"
#include "transform/job/apply.hpp"
#include "transform/job/molecules.hpp"
#include "transform/job/progress_line.hpp"
#include "transform/records/name_stream.hpp"
#include "transform/records/record.hpp"

namespace spillway::transform {

// Numbers that come nearly in order, as ranges. Bounded by the gaps between them.
class RangeSet {
 public:
  void add(uint64_t first, uint64_t last);
  bool contains(uint64_t value) const;
  const std::vector<std::pair<uint64_t, uint64_t>>& ranges() const { return ranges_; }

 private:
  std::vector<std::pair<uint64_t, uint64_t>> ranges_;  // sorted, apart
};

// What the journal says of a step.
struct StepState {
  std::vector<DurableRun> runs;
  RangeSet batches;
  Counts counts;
};

struct StepOptions {
  unsigned step = 1;
  unsigned threads = 1;
  RecordShape shape;
  bool keep_inputs = true;  // step 1: the molecules themselves are names that products may equal
  bool keep_refusals = false;
  ExternalSortOptions sort;  // folder set
  Account sort_account, units_account;
  Bytes flat_memory;  // of a thread's Transformer
  std::shared_ptr<ScratchSpace> space;
  // A durable run (none: only counts) and what is wholly in runs with it.
  std::function<Result<void>(const DurableRun* run, const RangeSet& batches, const Counts& counts)>
      journal;
};

class Step {
 public:
  Step(const Chemistry& chemistry, StepOptions options, LiveCounts& live);
  ~Step();

  // Applies the rules to every batch that `done` does not have.
  [[nodiscard]] Result<void> run(MoleculeSource& source, StepState done, std::stop_token stop);

  struct Outputs {
    // The first of each group that no earlier step made, in key order, and each molecule of the
    // input; either may be empty.
    std::function<Result<void>(Record, const MoleculeView&, Standing)> first;
    std::function<Result<void>(Record)> input;
    std::function<Result<void>(Record)> refusal;
  };
  // What products may equal: products of earlier steps, molecules of the input (in step 1 the sort has
  // them), those given with --known.
  struct Names {
    AntiJoin earlier, inputs, known;
  };
  // Walks the groups, once; counts() is complete afterwards.
  [[nodiscard]] Result<void> merge(Names& names, const Outputs& outputs, std::stop_token stop);
  const Counts& counts() const { return counts_; }

 private:
  struct Worker;
  class Sink;
  void save_what_is_done();
  Result<void> go_on() const;
  Result<void> apply_batch(Worker& worker, const MoleculeBatch& batch);
  Result<void> apply_one(Worker& worker, const Molecule& molecule);
  Result<void> on_run(size_t input, const DurableRun& run);
  Result<void> write_down(Worker& worker, const DurableRun* run);

  const Chemistry& chemistry_;
  StepOptions options_;
  LiveCounts& live_;
  std::stop_token stop_;         // of run()
  std::optional<Grace> saving_;  // the sort's stop
  std::unique_ptr<ExternalSort> sort_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<size_t> idle_ GUARDED_BY(idle_mutex_);  // workers
  Mutex idle_mutex_;
  Mutex journal_mutex_;
  Counts counts_;
};

}  // namespace spillway::transform

// What an interrupted `transform apply` has done already: the steps that are finished and, of the one
// under way, its durable runs, the batches that are wholly in them, and their counts.
//
// Threads  One, but for add_run(), which one thread at a time may call.
// Fails    kUsage when the folder holds another job's run, and what differs, kCorrupt (names the file), kIo, kDiskFull.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "core/disk/journal.hpp"
#include "core/disk/work_folder.hpp"
#include "transform/job/step.hpp"

namespace spillway::transform {

// What a finished step left in the work folder.
struct StepFiles {
  DurableRun molecules, refusals, inputs;
  Counts counts;
};

class ApplyJournal {
 public:
  // Reads what is there. Runs that no line names were being written at a kill: they are removed.
  [[nodiscard]] static Result<ApplyJournal> open(const WorkFolder& work,
                                                 const std::string& configuration, unsigned steps,
                                                 size_t rules);

  bool has_entries() const { return journal_->entries() > 0; }
  bool is_done(unsigned step) const { return done_.count(step) > 0; }
  const StepFiles& done(unsigned step) const { return done_.at(step); }
  const std::map<unsigned, StepFiles>& all_done() const { return done_; }
  StepState under_way(unsigned step) const;

  // A durable run (none: only counts) of a step under way, and what is wholly in runs with it.
  [[nodiscard]] Result<void> add_run(unsigned step, const DurableRun* run, const RangeSet& batches,
                                     const Counts& counts);
  // `keep`: the step's files are to be found again by the next run.
  [[nodiscard]] Result<void> finish_step(unsigned step, StepFiles files, bool keep);

  // The output is about to appear: from now on a file of its name is this job's.
  [[nodiscard]] Result<void> begin_output();

  // The folder of a step's sorted runs.
  static std::string runs_folder(const WorkFolder& work, unsigned step);

 private:
  ApplyJournal(std::string anchor, size_t rules) : anchor_(std::move(anchor)), rules_(rules) {}
  [[nodiscard]] Result<void> replay(std::string_view entry);

  std::string anchor_;
  size_t rules_;
  std::optional<Journal> journal_;
  std::map<unsigned, StepState> under_way_;
  std::map<unsigned, StepFiles> done_;
};

}  // namespace spillway::transform

// The steps of `transform apply`, one at a time: molecules in, through the rules and the sort, to what
// survives of them. A single step in order of key goes straight into the table.
//
// Threads  One calls; the rules run on --threads of their own.
// Fails    as Step, ApplyJournal and ApplyOutput do; kCancelled after a stop.
#pragma once

#include <memory>

#include "core/disk/work_folder.hpp"
#include "core/job/runtime.hpp"
#include "transform/job/apply_journal.hpp"
#include "transform/job/apply_output.hpp"
#include "transform/job/plan.hpp"

namespace spillway::transform {

class ApplySteps {
 public:
  struct Options {
    const Chemistry& chemistry;
    const ApplyOptions& apply;
    const InputFiles& inputs;
    const WorkFolder& work;
    const ApplyPlan& plan;
    JobRuntime& runtime;
    ApplyJournal& journal;
    ApplyOutput& output;
    RecordShape shape;
    LiveCounts& live;
    Account read, steps;  // steps: shared with the output
  };
  [[nodiscard]] static Result<std::unique_ptr<ApplySteps>> create(Options options);

  // Step `number`, from what the journal has of it to its line there.
  [[nodiscard]] Result<void> run(unsigned number);
  // Whether the table is written by the one step there is.
  bool is_direct() const {
    return options_.apply.steps == 1 && options_.apply.order == OutputOrder::kKey;
  }
  // Rows of --known that are no molecules, and those that are too long to be compared.
  uint64_t known_unread() const { return known_unread_; }
  uint64_t known_too_long() const { return known_too_long_; }

 private:
  explicit ApplySteps(Options options) : options_(std::move(options)) {}
  [[nodiscard]] Result<std::unique_ptr<MoleculeSource>> source_of(unsigned number);
  [[nodiscard]] Result<Step::Names> names_before(unsigned number);
  [[nodiscard]] Result<void> join(Step& step, unsigned number);
  [[nodiscard]] Result<std::unique_ptr<RecordFile::Reader>> open_file(const DurableRun& run) const;
  std::string file(const std::string& name) const { return options_.work.path() + "/" + name; }

  const Options options_;
  Account units_, sort_, known_;
  bool known_counted_ = false;  // each step reads the files again
  uint64_t known_unread_ = 0, known_too_long_ = 0;
};

}  // namespace spillway::transform

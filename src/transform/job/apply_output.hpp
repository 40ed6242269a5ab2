// The last phase of `transform apply`: survivors as rows of the product table, refusals as lines.
//
// Threads  One. Fails: as ProductTable, RefusalsFile and RecordFile do; kCancelled after a stop;
//          kInternal when the rows written are not the unique products counted.
#pragma once

#include <map>
#include <memory>
#include <stop_token>
#include <string>

#include "core/disk/work_folder.hpp"
#include "core/job/outputs.hpp"
#include "transform/job/apply_journal.hpp"
#include "transform/job/run_texts.hpp"
#include "transform/records/product_table.hpp"

namespace spillway::transform {

class ApplyOutput {
 public:
  struct Options {
    const Chemistry& chemistry;
    const ApplyOptions& apply;
    const InputFiles& inputs;
    const WorkFolder& work;
    RecordShape shape;
    ExternalSortOptions parent_options;
    Account steps, write;
    std::shared_ptr<ScratchSpace> space;
    LiveCounts& live;
    std::stop_token stop;
    StandingFile out, rejects;  // as they were when the job began
  };
  explicit ApplyOutput(Options options) : options_(std::move(options)) {}

  [[nodiscard]] Result<std::unique_ptr<ProductTable>> create_table() const;
  [[nodiscard]] Result<void> put(ProductTable& table, const MoleculeView& view);
  // With the counts in the footer.
  [[nodiscard]] Result<void> close_table(std::unique_ptr<ProductTable> table, const Counts& counts);

  // The whole table, from the files that the steps left.
  [[nodiscard]] Result<void> write_table(const std::map<unsigned, StepFiles>& steps,
                                         const Counts& counts);
  [[nodiscard]] Result<void> write_refusals(const std::map<unsigned, StepFiles>& steps) const;

  uint64_t rows() const { return rows_; }
  const std::map<size_t, RuleExampleRow>& examples() const { return examples_; }

 private:
  TableShape table_shape() const;
  std::string file(const std::string& name) const { return options_.work.path() + "/" + name; }
  [[nodiscard]] Result<std::unique_ptr<RecordFile::Reader>> open_file(const DurableRun& run) const;
  [[nodiscard]] Result<void> write_by_key(ProductTable& table,
                                          const std::map<unsigned, StepFiles>& steps);
  [[nodiscard]] Result<void> write_by_ordinal(ProductTable& table,
                                              const std::map<unsigned, StepFiles>& steps);

  const Options options_;
  uint64_t rows_ = 0;
  std::map<size_t, RuleExampleRow> examples_;  // one a rule, by position
};

}  // namespace spillway::transform

// What an interrupted `transform merge` has done already: of each file that is not in key order its
// durable sorted runs, how many of its rows are wholly in them, and whether those are all.
//
// Threads  One.
// Fails    kUsage when the folder holds another merge's runs, and what differs; kCorrupt, kIo, kDiskFull.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/disk/journal.hpp"
#include "core/disk/work_folder.hpp"
#include "core/records/external_sort.hpp"

namespace spillway::transform {

// Of one file.
struct SortedRows {
  std::vector<DurableRun> runs;
  uint64_t rows = 0;
  bool is_all = false;
};

class MergeJournal {
 public:
  // Reads what is there. Runs that no line names were being written at a kill: they are removed.
  [[nodiscard]] static Result<MergeJournal> open(const WorkFolder& work,
                                                 const std::string& configuration, size_t files);

  bool has_entries() const { return journal_->entries() > 0; }
  bool has_begun_output() const { return has_begun_output_; }
  SortedRows sorted(size_t file) const;

  // A durable run of a file, with which `rows` of it are in runs; and the end of them.
  [[nodiscard]] Result<void> add_run(size_t file, const DurableRun& run, uint64_t rows);
  [[nodiscard]] Result<void> finish_file(size_t file, uint64_t rows);
  // The output is about to appear: from now on a file of its name is this job's.
  [[nodiscard]] Result<void> begin_output();

  static std::string runs_folder(const WorkFolder& work, size_t file);

 private:
  explicit MergeJournal(std::string anchor) : anchor_(std::move(anchor)) {}
  [[nodiscard]] Result<void> replay(std::string_view entry);

  std::string anchor_;
  std::optional<Journal> journal_;
  std::map<size_t, SortedRows> sorted_;
  bool has_begun_output_ = false;
};

}  // namespace spillway::transform

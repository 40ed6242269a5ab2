// `transform merge`: one key-ordered file of several, every molecule once.
//
// Files that are in key order are streamed, others sorted first. Of equal molecules the
// row of the file named first stays. The files' columns must be the same, but for those that
// may_be_absent() (product_table.hpp): null in the rows of a file that lacks them.
//
// Resume   Sorted runs and a journal in `<out>.merge.spillway/`; what is in runs is not sorted again,
//          and files that are wholly in them are not read again. The rows are merged and written from
//          the beginning.
// Memory   A reader (or a sort) for each file and the writer; refused when --memory has no room.
// Threads  One. Fails: kInvalid (columns differ: names the column), as readers and writers do.
#pragma once

#include <stop_token>
#include <string>
#include <vector>

#include "core/job/job.hpp"
#include "core/result.hpp"

namespace spillway::transform {

struct MergeOptions {
  JobOptions job;
  std::vector<std::string> inputs;
  std::string out;
  bool resume =
      true;  // false: what a killed run left is thrown away, and a finished one done again
};
struct MergeSummary {
  uint64_t rows_in = 0, unique = 0;
  Bytes peak_memory;
  bool was_finished = false;  // an earlier run had done it all
};
[[nodiscard]] Result<MergeSummary> merge(const MergeOptions& options, std::stop_token stop);

}  // namespace spillway::transform

// `transform apply`: rules over libraries of molecules, every product once, as one Parquet file.
//
// read -> apply on N threads -> external sort by key -> merge: dedup, anti-join -> Parquet; once for
// each of K steps. A step's products are the next one's molecules, in the order of their ordinals.
//
// Order    Of equal products the one with the smallest ordinal survives: input row, rule, site; in
//          step s the parent's rank among the survivors of step s - 1 stands for the row. The output
//          is a function of the inputs, the rules and the options, never of memory, threads or
//          restarts.
// Memory   job.memory for all; refused with the numbers when the plan needs more. What is gathered
//          spills as sorted runs.
// Resume   Runs and a journal in `<out>.spillway/`: a line each for a durable run and the units that
//          are wholly in it. Units done again give equal records, which the sort drops.
// Threads  One caller; makes its own.
// Fails    As its parts; kInternal when the counts do not balance. The output's name is then as it
//          was before.
#pragma once

#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "core/job/job.hpp"
#include "core/result.hpp"
#include "format/rows/row_reader.hpp"
#include "transform/chemistry/depict.hpp"
#include "transform/chemistry/transformer.hpp"
#include "transform/job/row_range.hpp"
#include "transform/records/counts.hpp"

namespace spillway::transform {

enum class OutputOrder { kKey, kInput };

struct ApplyOptions {
  JobOptions job;
  std::vector<std::string> inputs;  // files, folders, globs
  std::string out;
  std::vector<std::string> known;  // files of molecules
  bool known_stops = false;        // the rules are not applied to what is in there
  unsigned steps = 1;
  TransformOptions transform;
  Bytes rule_memory;  // Transformer::memory_for() the rules
  OutputOrder order = OutputOrder::kKey;
  format::RowOptions rows;
  RowRange rows_chosen;
  std::string rejects;  // empty: refused sites are only counted
  bool resume =
      true;  // false: what a killed run left is thrown away, and a finished one done again
};

// What chemistry the job is done with: RDKit's, or a test's.
struct Chemistry {
  struct RuleName {
    std::string name, family;
    uint16_t position = 0;  // in the rules' file
  };
  std::vector<RuleName> rules;             // of the selection, by position
  std::string rules_sha256, rules_source;  // source: the file's name
  std::string rdkit;                       // its version
  bool is_flat = false;                    // plain molecules as flat arrays
  std::string note;                        // why not, when it was wanted
  // One a thread; what it may remember, to be quicker.
  std::function<Result<std::unique_ptr<Transformer>>(Bytes)> make;
  std::function<bool(std::string_view)> is_smiles;
  std::function<Result<std::string>(std::string_view)> smiles_of_record;
  std::function<Result<std::string>(const Depiction&)> draw;
};

struct ApplySummary {
  Counts counts;
  uint64_t rows_written = 0;
  uint64_t known_unread = 0, known_too_long = 0;  // rows of --known that could not be compared
  Bytes peak_memory;
  std::string out;
  bool resumed = false;
  bool was_finished = false;  // an earlier run had done it all
};
[[nodiscard]] Result<ApplySummary> apply(const Chemistry& chemistry, const ApplyOptions& options,
                                         std::stop_token stop);
// Who gets how much; for --explain-memory.
[[nodiscard]] Result<std::string> explain_memory(const ApplyOptions& options);

}  // namespace spillway::transform

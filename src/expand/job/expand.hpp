// The job behind `spillway expand`: a FIFO-exact breadth-first search with exact duplicate
// detection, out of core.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "core/job/job.hpp"
#include "core/result.hpp"
#include "expand/engine/key.hpp"
#include "expand/problem/problem.hpp"

namespace spillway::expand {

enum class StatesOutput { kNone, kIds, kAll };
enum class Resume { kAuto, kNever };

struct ExpandOptions {
  std::string out;  // empty: ./<problem>-expand
  Identity identity = Identity::kFp128;
  StatesOutput states = StatesOutput::kNone;
  std::optional<uint32_t> max_depth;
  std::chrono::milliseconds checkpoint{60000};
  Resume resume = Resume::kAuto;
  std::vector<std::string> inputs;  // words of the problem: those that are files are not written to
  JobOptions job;
};

struct ExpandSummary {
  uint64_t states = 0, generated = 0, duplicates = 0, frontier = 0;
  uint32_t depth = 0;
  bool complete = false;
  bool was_finished = false;  // the folder held this very run already; nothing was done
  Bytes peak_memory;          // RssAnon + RssShmem
  std::string out;            // the folder written
  std::string best_drawing;   // the optimum as text, "" for none
};

// Runs to the end, or until `stop` (then: a checkpoint, and kCancelled). Writes the files of
// docs/formats.md into `out`.
[[nodiscard]] Result<ExpandSummary> run(Problem& problem, const ExpandOptions& options,
                                        std::stop_token stop);
// The text of --explain-memory: one line an account, and the least --memory that works.
[[nodiscard]] Result<std::string> explain_memory(Problem& problem, const ExpandOptions& options);

}  // namespace spillway::expand

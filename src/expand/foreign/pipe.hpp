// A problem that the user's own program answers: `pipe [--copies N] [--timeout 30s] [--format
// frames|json] -- CMD ARGS...`. docs/plugins.md describes what is asked and answered.
//
// Identity A state's bytes; for JSON its canonical text (canonical_json).
// Trust    The first and then every 1,000th state a copy is asked about is asked again, of another
//          copy when there may be two, of the same one else; so are the initial states. Answers that
//          differ are an error, as is whatever nobody asked for. That no answer was taken for that
//          to another question is made sure before every checkpoint and at the end.
// Threads  One Expander a thread. Each has a copy of the program; no more than --copies run at once.
//          The copies are started by a thread of their own that lives as long as the problem, so that
//          they die with the process and not with whichever thread asked first.
// Memory   A request of 64 KiB and one state, an answer as it streams by: see pipe_answer.hpp. The
//          programs' own memory is not the job's.
// Fails    kUsage: the words. kInvalid: the program cannot be started, ends, is silent for the
//          time-out, answers nonsense, or not the same twice. One line, with its exit status and the
//          last line it wrote on standard error.
#pragma once

#include <memory>

#include "core/result.hpp"
#include "expand/problem/problem.hpp"

namespace spillway::expand {

[[nodiscard]] Result<std::unique_ptr<Problem>> make_pipe(const ProblemArguments& arguments,
                                                         const ProblemContext& context = {});

}  // namespace spillway::expand

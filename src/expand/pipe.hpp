// A problem that the user's own program answers: `pipe [--copies N] [--timeout 30s] [--format
// frames|json] -- CMD ARGS...`.
//
// The program reads requests on its standard input and writes answers on its standard output
// (docs/plugins.md):
//   frames  request: u32 count, then count times u32 length and the bytes; count 0 asks for the
//   initial states.
//           answer, a state (once for count 0): u32 n, then n times u32 length and the bytes.
//           Little-endian.
//   json    request: a line with one JSON value, a state, or null for the initial states. Answer: a
//   line with an array.
// One copy of the program serves one Expander. A state's bytes (for json: its compact text) are its
// identity.
//
// Threads  One Expander a thread, each with its own process, killed and reaped with it.
// Memory   Answers are parsed as they come; an answer above 16 MiB is refused.
// Fails    kInvalid: the program cannot be started, ends, hangs, answers nonsense, or answers the
// same state differently
//          (every 1,000th state is asked twice). The message has its exit status and the last line
//          it said on stderr.
#pragma once

#include <memory>

#include "core/result.hpp"
#include "expand/problem.hpp"

namespace spillway::expand {

[[nodiscard]] Result<std::unique_ptr<Problem>> make_pipe(const ProblemArguments& arguments);

}  // namespace spillway::expand

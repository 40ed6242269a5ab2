// What a problem is made from, beside its words: how much memory it may take, when to stop, and the
// text files it reads.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <stop_token>
#include <string>

#include "core/bytes.hpp"
#include "core/result.hpp"

namespace spillway::expand {

struct ProblemContext {
  Bytes memory = 1_GiB;  // --memory of the run that it is made for
  std::stop_token stop;

  // What the tables of a problem may take of it: half, so that they can grow by copying.
  Bytes room() const { return memory / 2 < 8_MiB ? memory / 8 : memory / 2 - 7_MiB; }
};

// Reads a file, pipe or device from its beginning to its end, in pieces of at most 64 KiB.
//
// Memory   One piece.
// Stops    Within 0.1 s, also while a pipe has no writer: kCancelled.
// Fails    kNotFound, kIo; kInvalid for gzip data, named; with what `take` fails.
[[nodiscard]] Result<void> read_input(
    const std::string& path, std::stop_token stop,
    const std::function<Result<void>(std::span<const uint8_t>)>& take);

}  // namespace spillway::expand

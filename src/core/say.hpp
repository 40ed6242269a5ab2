// What a person is told, on stderr, whole: the lines of two threads never mix.
//
// Threads  Any. Waits for a reader that does not read for `patience` at most: then it is not said, as
//          a terminal that is held must not hold the job, nor its stop.
#pragma once

#include <chrono>
#include <string_view>

namespace spillway {

void say(std::string_view text,
         std::chrono::milliseconds patience = std::chrono::milliseconds(300));

}  // namespace spillway

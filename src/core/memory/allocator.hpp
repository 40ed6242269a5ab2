// The process's allocator: jemalloc, or the C library's where it is not linked.
//
// Threads  Any.
#pragma once

#include <chrono>

namespace spillway {

// How long freed memory may stay with the process (docs/decisions/005).
constexpr std::chrono::milliseconds kAllocatorDecay{1000};

// Sets that for all arenas, those to come included.
void tune_allocator();

// Asks the allocator to give what it keeps for later back to the system.
void purge_allocator();

}  // namespace spillway

// What the system says about this process and this machine.
//
// Cost     About 15 us a call (it reads /proc/self/status).
// Threads  Any.
#pragma once

#include <string>

#include "core/bytes.hpp"

namespace spillway {

struct ProcessMemory {
  Bytes anonymous;  // RssAnon
  Bytes file;       // RssFile: mapped files, not counted against --memory
  Bytes shared;     // RssShmem
  Bytes counted() const { return anonymous + shared; }
};
// `status`: a text as /proc/PID/status has it, of any length. Zeros when it cannot be read.
ProcessMemory process_memory(const std::string& status);
inline ProcessMemory process_memory() { return process_memory("/proc/self/status"); }

// Open files and threads of this process. Cost: about 1 us a descriptor.
struct ProcessCounts {
  uint64_t descriptors = 0, threads = 0;
};
ProcessCounts process_counts();

struct MemoryLimit {
  Bytes bytes;
  std::string source;  // "70 % of the cgroup's 2 GiB", ...
};
// So many percent of the least of: cgroup v2 memory.max on the path to the root, cgroup v1 limit,
// the machine's memory.
MemoryLimit memory_limit(double percent = 70);

unsigned default_threads();  // processors this process may use

}  // namespace spillway

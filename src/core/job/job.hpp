// What every job is started with: the options that all commands share (--memory, --threads,
// --scratch, ...).
#pragma once

#include <optional>
#include <string>

#include "core/bytes.hpp"

namespace spillway {

enum class ProgressMode { kAuto, kPlain, kJson, kNone };

struct JobOptions {
  Bytes
      memory;  // the limit on RssAnon + RssShmem; the CLI fills in the default and says its source
  std::string memory_source;  // "--memory", "cgroup v2", "cgroup v1", "70 % of RAM"
  unsigned threads = 1;       // worker threads, >= 1
  std::string scratch;  // folder for scratch; empty: the job's own work folder beside the output
  std::optional<Bytes> scratch_limit;  // none: 90 % of the free space
  ProgressMode progress = ProgressMode::kAuto;
  std::string report;  // extra report file (.json or .html); empty: only the job's own report.json
  bool explain_memory = false;  // print the memory plan and exit
};

}  // namespace spillway

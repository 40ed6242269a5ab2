// What every job is started with: the options that all commands share.
#pragma once

#include <optional>
#include <string>

#include "core/bytes.hpp"

namespace spillway {

enum class ProgressMode { kAuto, kPlain, kJson, kNone };

struct JobOptions {
  Bytes memory;               // the limit on RssAnon + RssShmem, never 0
  std::string memory_source;  // where it comes from: "--memory", "70 % of the cgroup's 2 GiB"
  unsigned threads = 1;       // worker threads, >= 1
  std::string scratch;        // folder for scratch; empty: the job's own folder beside the output
  std::optional<Bytes> scratch_limit;  // none: 90 % of the free space
  ProgressMode progress = ProgressMode::kAuto;
  std::string report;           // a further report file (.json or .html)
  bool overwrite = false;       // files that stand at the output's names may go
  bool explain_memory = false;  // print the memory plan and exit
};

}  // namespace spillway

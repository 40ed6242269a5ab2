// What a job tells people while it runs: one live line, or JSON lines, on stderr.
//
// The job publishes a Snapshot whenever it likes (cheap, any thread); one thread of the Progress
// draws it: on a terminal ten times a second in place, in plain mode a line every five seconds, in
// JSON mode an object a second.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "core/job.hpp"

namespace spillway {

struct ProgressSnapshot {
  std::string phase;  // "depth 9", "merge"
  std::string
      text;  // the job's own figures, already formatted: "12.1 M states/s  frontier 9,981,073"
  double fraction = -1;  // of the phase, 0..1; < 0: unknown (no ETA)
  Bytes spilled;         // on scratch now
  std::string json;      // the same as members of a JSON object, without braces: "\"depth\":9,..."
};

class Progress {
 public:
  // `pull` is called on the drawing thread, a few times a second; it must be cheap and take no lock
  // for long. Memory used and the limit are read from the system and put on the line by this class.
  static std::unique_ptr<Progress> start(ProgressMode mode, Bytes limit,
                                         std::function<ProgressSnapshot()> pull);
  virtual ~Progress() = default;  // clears the live line and joins
  // A line of its own above the live line (notices, warnings). Any thread.
  virtual void note(const std::string& line) = 0;
};

}  // namespace spillway

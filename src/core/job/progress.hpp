// What a job tells people while it runs: one live line, or JSON lines, on stderr.
//
// The job publishes a Snapshot whenever it likes (cheap, any thread); one thread of the Progress
// draws it: on a terminal ten times a second in place, in plain mode a line every five seconds, in
// JSON mode an object a second.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/clock.hpp"
#include "core/job/job.hpp"
#include "core/memory/procstat.hpp"

namespace spillway {

struct ProgressSnapshot {
  std::string phase;  // "depth 9", "merge"
  std::string
      text;  // the job's own figures, already formatted: "12.1 M states/s  frontier 9,981,073"
  double fraction = -1;  // of the phase, 0..1; < 0: unknown (no ETA)
  Bytes spilled;         // on scratch now
  std::string json;      // the same as members of a JSON object, without braces: "\"depth\":9,..."
};

// How fast a count grows, since the first look at it: a resumed job begins where it was left.
class Rate {
 public:
  explicit Rate(const Clock& clock = Clock::real()) : clock_(clock) {}
  // None in the first half second, when no rate is known yet.
  std::optional<double> per_second(uint64_t count);

 private:
  const Clock& clock_;
  std::optional<Clock::Time> begin_;
  uint64_t from_ = 0;
};

// A rate's text, "1,234" or, with `unit` 1e6 and two digits, "12.34"; "-" while it is unknown.
std::string rate_text(std::optional<double> per_second, double unit = 1, int digits = 0);
// The same for JSON: null while it is unknown.
std::string rate_json(std::optional<double> per_second);

// The texts that Progress shows; begins to count seconds when made. One thread.
class ProgressLines {
 public:
  struct Sources {
    const Clock* clock = &Clock::real();
    std::function<ProcessMemory()> memory = [] { return process_memory(); };
  };
  ProgressLines(Bytes limit, Sources sources);
  explicit ProgressLines(Bytes limit) : ProgressLines(limit, Sources()) {}

  // "1:23  depth 9 40 %  12 states  memory 30 MiB of 64 MiB  scratch 0 B  phase ends in 2:05"
  std::string text(const ProgressSnapshot& now);
  // One JSON object, without a line end.
  std::string json(const ProgressSnapshot& now) const;
  static std::string json_note(std::string_view note);
  // The first `columns` characters, never a part of one; no control characters.
  static std::string fitted(std::string_view line, size_t columns);

 private:
  double seconds() const;
  std::string eta(const ProgressSnapshot& now);

  const Bytes limit_;
  const Sources sources_;
  const Clock::Time begin_;
  std::string phase_;
  Clock::Time phase_begin_;
  double phase_from_ = 0;
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
  // What the live line says now, whatever the mode. Any thread; `pull` is never called twice at once.
  virtual std::string line() = 0;
};

}  // namespace spillway

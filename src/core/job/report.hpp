// The report of a job: JSON for programs, one self-contained HTML page for people.
//
// Holds what may differ from run to run (times, peaks, waits, machine); results that must repeat
// are never here only. A sampler thread keeps the memory ledger over time: at most 2,000 points,
// thinned by halves, so it is bounded.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/clock.hpp"
#include "core/job/job.hpp"
#include "core/memory/budget.hpp"
#include "core/memory/procstat.hpp"

namespace spillway {

struct ReportTable {
  std::string title;
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> rows;
  bool on_page = true;  // else in the JSON only, since a picture shows it
};
struct ReportPicture {
  std::string title;
  std::string html;  // one element (<svg>, <div>), trusted: it goes into the page as it is
  bool above_tables = false;
};
struct ReportSeries {  // drawn as one line over time
  std::string title, unit;
  std::vector<std::pair<double, double>> points;  // seconds, value
};

class Report {
 public:
  struct Sources {  // tests put theirs here
    const Clock* clock = &Clock::real();
    std::function<ProcessMemory()> memory = [] { return process_memory(); };
    std::chrono::milliseconds every{50};  // doubled each time the points are thinned
  };
  // Starts sampling /proc/self and `budget` (which must outlive the Report).
  static std::unique_ptr<Report> start(std::string command, const JobOptions& options,
                                       const Budget& budget, Sources sources);
  static std::unique_ptr<Report> start(std::string command, const JobOptions& options,
                                       const Budget& budget) {
    return start(std::move(command), options, budget, Sources());
  }
  virtual ~Report() = default;

  // Figures under "job" in the JSON and at the top of the page, in this order. `json_value` is a
  // JSON literal.
  virtual void fact(const std::string& key, const std::string& json_value) = 0;
  virtual void table(ReportTable table) = 0;
  virtual void picture(ReportPicture picture) = 0;  // on the page only, below the tables
  virtual void series(ReportSeries series) = 0;
  // The job's rates and spill, sampled with the ledger: cumulative counters. Any thread.
  virtual void count(uint64_t units_done, Bytes spilled_now) = 0;

  // One sample, as the thread takes it. For tests.
  virtual void sample() = 0;

  // Stops sampling. The process's peaks are final after this.
  virtual void finish() = 0;
  virtual Bytes peak() const = 0;  // of RssAnon + RssShmem, as sampled
  virtual std::string json() const = 0;
  virtual std::string html() const = 0;
};

}  // namespace spillway

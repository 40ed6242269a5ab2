// What every job runs in, from its plan to its report: budget, scratch, report, live line, governor,
// and the one stop that the user's and the governor's make. A job is: options -> memory plan ->
// runtime -> run(body) -> summary; its own files hold the body.
//
// Reports  One at every end, marked with how it ended ("finished", "interrupted", "failed"): at
//          --report, and at `own_report` when the run finished or can be resumed.
// Stop     stop() is asked by the user's token and by the governor when the process outgrows
//          --memory; run() then returns the governor's error, not what followed from it.
// Errors   A full disk and a stop get "what to do next" behind them: whether the same command goes
//          on, as can_resume() says.
// Threads  One owner. note(), stop(): any. The governor, the sampler and the live line have their own.
// Memory   No leases of its own.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "core/disk/scratch.hpp"
#include "core/job/memory_plan.hpp"
#include "core/job/outputs.hpp"
#include "core/job/progress.hpp"
#include "core/job/report.hpp"
#include "core/memory/budget.hpp"
#include "core/memory/governor.hpp"
#include "core/mutex.hpp"

namespace spillway {

class JobRuntime {
 public:
  struct Options {
    std::string command;  // as the report names it
    JobOptions job;
    MemoryPlan plan;
    std::string scratch_folder;  // of the job; --scratch comes first
    std::string own_report;      // empty: none but --report
    std::stop_token stop;        // the user's
    std::string keeps;           // what a stop leaves to go on from, "a checkpoint"; empty: nothing
  };
  // Fails as ScratchSpace::create() does.
  [[nodiscard]] static Result<std::unique_ptr<JobRuntime>> start(Options options);
  ~JobRuntime();

  Budget& budget() { return *budget_; }
  const MemoryPlan& plan() const { return options_.plan; }
  [[nodiscard]] Result<Account> open(std::string_view account) {
    return options_.plan.open(*budget_, account);
  }
  const std::shared_ptr<ScratchSpace>& space() const { return space_; }
  Report& report() { return *report_; }
  std::stop_token stop() const { return ending_.get_token(); }
  void note(const std::string& line);
  // Units done, for the report's curve. Any thread.
  void count(uint64_t units_done) { report_->count(units_done, space_->used()); }

  struct Body {
    std::function<ProgressSnapshot()> snapshot;  // as Progress::start() wants it
    std::function<Result<void>()> work;
    std::function<bool()> can_resume = [] { return false; };
    std::function<void(Report&)> describe = [](Report&) {};  // facts, before any report
  };
  // The work, watched. Once.
  [[nodiscard]] Result<void> run(const Body& body);
  // For the end of `work`: stops sampling and writes the reports of a finished run.
  [[nodiscard]] Result<void> finish_report();

  // For the thread that takes signals: what it says to the first SIGINT, and to SIGUSR1, which asks
  // where the job is and who holds the memory. Any thread, also when no job runs.
  static std::string stop_notice();
  static std::string status();
  // Whether a stop is for one of these to take: there may be something to keep. Any thread.
  static bool is_any_running();

 private:
  explicit JobRuntime(Options options) : options_(std::move(options)) {}
  [[nodiscard]] Result<void> write_reports(bool own);
  void tell(Pressure level, Bytes held);
  void describe_pressure();
  Error explained(Error error, const Body& body) const;
  std::string status_text();

  const Options options_;
  std::stop_source ending_;
  std::optional<std::stop_callback<std::function<void()>>> forward_;
  std::unique_ptr<Budget> budget_;
  std::shared_ptr<ScratchSpace> space_;
  std::unique_ptr<Report> report_;
  StandingFile standing_report_;  // at --report
  const Body* body_ = nullptr;    // while it runs, as the governor
  Governor* governor_ = nullptr;
  Governor::PressureCounts pressed_{};
  bool reported_ = false;
  Mutex mutex_;
  std::unique_ptr<Progress> progress_ GUARDED_BY(mutex_);
  std::optional<Error> exceeded_ GUARDED_BY(mutex_);
};

}  // namespace spillway

#include <fmt/format.h>

#include <atomic>

#include "core/disk/work_folder.hpp"
#include "core/file/folders.hpp"
#include "core/file/output.hpp"
#include "core/job/outputs.hpp"
#include "core/job/runtime.hpp"
#include "core/json.hpp"
#include "expand/engine/checkpoint.hpp"
#include "expand/engine/search.hpp"
#include "expand/job/earlier_run.hpp"
#include "expand/job/expand.hpp"
#include "expand/job/plan.hpp"
#include "expand/job/results.hpp"
#include "expand/job/states_table.hpp"

namespace spillway::expand {
namespace {

// One search from start or checkpoint to its end; kOverflow asks for another go.
class Job {
 public:
  Job(Problem& problem, const ExpandOptions& options, std::string out, WorkFolder& work)
      : problem_(problem),
        options_(options),
        out_(std::move(out)),
        work_(work),
        configured_(configuration(problem, options)) {}

  Result<ExpandSummary> run(std::stop_token stop);
  bool has_checkpoint() const { return has_checkpoint_; }

 private:
  Result<void> prepare(std::stop_token stop);
  Result<void> begin();
  Result<void> save(const std::string& search) const;
  ProgressSnapshot snapshot();
  Result<void> work();
  Result<void> finish();
  void describe(Report& report) const;

  Problem& problem_;
  const ExpandOptions& options_;
  std::string out_;
  WorkFolder& work_;
  std::string configured_;
  std::unique_ptr<JobRuntime> runtime_;
  Lease own_;  // the problem's
  std::unique_ptr<Search> search_;
  Rate rate_;  // the progress thread's, once that runs
  bool resumed_ = false;
  bool has_checkpoint_ = false;
  std::atomic<bool> has_begun_{false};  // the search has its state
  ExpandSummary summary_;
};

Result<void> Job::prepare(std::stop_token stop) {
  ExpandPlan plan = TRY(plan_search(problem_, options_));
  runtime_ = TRY(JobRuntime::start({.command = "expand",
                                    .job = options_.job,
                                    .plan = std::move(plan.memory),
                                    .scratch_folder = work_.path(),
                                    .own_report = out_ + "/report.json",
                                    .stop = std::move(stop),
                                    .keeps = "a checkpoint"}));
  Account problem = TRY(runtime_->open("problem"));
  own_ = std::move(*problem.try_acquire(problem.floor()));
  SearchOptions options;
  options.identity = options_.identity;
  options.threads = options_.job.threads;
  options.max_depth = options_.max_depth;
  options.keep_layers = options_.states != StatesOutput::kNone;
  options.checkpoint = options_.checkpoint;
  options.work_folder = work_.path();
  options.on_round = [this] { runtime_->count(search_->progress().generated); };
  search_ = TRY(Search::create(problem_, options, runtime_->budget(), runtime_->space()));
  return {};
}

// From the checkpoint that is there, or from nothing.
Result<void> Job::begin() {
  const std::string checkpoint = TRY(read_checkpoint(work_, configured_, out_));
  if (checkpoint.empty() || checkpoint == "null") {
    TRY(work_.clear());
    TRY(save("null"));
  } else {
    has_checkpoint_ = true;
    TRY(search_->restore(checkpoint, runtime_->stop()));
    resumed_ = true;
    runtime_->note(
        fmt::format("resuming {} at depth {}", out_, search_->state().layers.size() - 1));
  }
  has_begun_ = true;
  return {};
}

Result<void> Job::save(const std::string& search) const {
  return write_durably(work_.anchor(),
                       checkpoint_text({configured_, packing_of(problem_), search}));
}

ProgressSnapshot Job::snapshot() {
  ProgressSnapshot snapshot;
  if (!has_begun_) {
    snapshot.phase = "begin";
    snapshot.text = "looking at what an earlier run left";
    return snapshot;
  }
  const SearchProgress now = search_->progress();
  runtime_->count(now.generated);
  snapshot.phase = fmt::format("depth {} {}", now.depth, now.phase);
  snapshot.text =
      fmt::format("{} states  {} M/s generated  frontier {}", grouped(now.states),
                  rate_text(rate_.per_second(now.generated), 1e6, 1), grouped(now.layer_states));
  if (now.layer_states > 0) {
    snapshot.fraction = static_cast<double>(now.layer_done) / static_cast<double>(now.layer_states);
  }
  snapshot.spilled = runtime_->space()->used();
  snapshot.json =
      fmt::format("\"depth\":{},\"states\":{},\"generated\":{},\"frontier\":{},\"done\":{}",
                  now.depth, now.states, now.generated, now.layer_states, now.layer_done);
  return snapshot;
}

Result<ExpandSummary> Job::run(std::stop_token stop) {
  TRY(prepare(std::move(stop)));
  TRY(runtime_->run({.snapshot = [this] { return snapshot(); },
                     .work = [this] { return work(); },
                     .can_resume = [this] { return has_checkpoint_; },
                     .describe = [this](Report& report) { describe(report); }}));
  search_.reset();
  TRY(work_.remove());
  return summary_;
}

Result<void> Job::work() {
  TRY(begin());
  TRY(search_->run(runtime_->stop(), [&](const std::string& text) {
    has_checkpoint_ = true;
    return save(text);
  }));
  return finish();
}

void Job::describe(Report& report) const {
  report.fact("configuration", configured_);
  report.fact("problem", OrderedJson(problem_.name()).dump());
  report.fact("arguments", problem_.arguments_json());
  if (!has_begun_) return;
  const Sums sums = sum_up(search_->state());
  report.fact("states", fmt::format("{}", sums.states));
  report.fact("generated", fmt::format("{}", sums.generated));
  report.fact("duplicates", fmt::format("{}", sums.duplicates));
  report.fact("depth", fmt::format("{}", search_->state().layers.size() - 1));
  report.fact("resumed", resumed_ ? "true" : "false");
  for (const auto& [key, value] : search_->figures()) report.fact(key, value);
  // Without it when it cannot be read: what else reads the rows says so.
  if (auto table = layers_table(search_->state())) report.table(std::move(*table));
}

Result<void> Job::finish() {
  const SearchState& state = search_->state();
  const Sums sums = sum_up(state);
  TRY(check_balance(state, sums));
  if (options_.states != StatesOutput::kNone) {
    search_->retire();
    TRY(write_states(problem_, options_.states, *search_, out_ + "/states", runtime_->budget(),
                     runtime_->space(), runtime_->stop()));
  }
  TRY(write_layers_csv(out_ + "/layers.csv", state));
  const std::string result = result_json(problem_, options_, state, sums, search_->complete());
  TRY(write_checksums(out_, result, runtime_->stop()));  // may be stopped; what follows is not
  TRY(runtime_->finish_report());
  TRY(write_durably(out_ + "/result.json", result));
  summary_.states = sums.states;
  summary_.generated = sums.generated;
  summary_.duplicates = sums.duplicates;
  summary_.frontier = state.frontier;
  summary_.depth = static_cast<uint32_t>(state.layers.size() - 1);
  summary_.complete = search_->complete();
  summary_.out = out_;
  summary_.peak_memory = runtime_->report().peak();
  summary_.best_drawing = best_drawing(problem_, state);
  return {};
}

Result<WorkFolder> work_folder(const std::string& out) {
  return WorkFolder::inside(out, "checkpoint.json", "result.json");
}

std::string out_folder(const Problem& problem, const ExpandOptions& options) {
  return options.out.empty() ? "./" + problem.name() + "-expand" : options.out;
}

}  // namespace

Result<ExpandSummary> run(Problem& problem, const ExpandOptions& options, std::stop_token stop) {
  if (options.identity == Identity::kExact && problem.traits().own_identity) {
    return fail(Code::kUsage, fmt::format("--identity exact compares the bytes of states, and {} "
                                          "tells them apart by keys of its own; use fp128",
                                          problem.name()));
  }
  const std::string out = out_folder(problem, options);
  const OutputName report{"--report", options.job.report, is_own_report, out};
  std::vector<std::string> own;
  for (const char* const name : {"result.json", "layers.csv", "SHA256SUMS", "states", ".spillway"})
    own.push_back(out + "/" + name);
  TRY(check_outputs({&report, 1}, {options.inputs, own, options.job.overwrite}));
  if (options.resume == Resume::kAuto) {
    if (auto done = TRY(finished(out, configuration(problem, options)))) {
      if (TRY(exists(out + "/.spillway"))) TRY(TRY(work_folder(out)).remove());
      return *done;
    }
  }
  WorkFolder work = TRY(work_folder(out));
  if (options.resume == Resume::kNever) TRY(work.clear());
  TRY(widen_like_checkpoint(problem, work));
  const bool fresh = !TRY(work.has_anchor());
  while (true) {
    Job job(problem, options, out, work);
    auto summary = job.run(stop);
    if (summary) return summary;
    if (summary.error().code() != Code::kOverflow) {
      // Nothing to resume: leave nothing behind.
      if (fresh && !job.has_checkpoint()) TRY(work.leave_nothing(out));
      return summary;
    }
    TRY(problem.widen());
    TRY(work.clear());
  }
}

}  // namespace spillway::expand

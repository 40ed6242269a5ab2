#include "transform/job/apply.hpp"

#include <fmt/format.h>

#include "core/disk/work_folder.hpp"
#include "core/file/folders.hpp"
#include "core/file/sha256.hpp"
#include "core/job/outputs.hpp"
#include "core/job/runtime.hpp"
#include "core/json.hpp"
#include "core/printable.hpp"
#include "format/parquet/parquet_footer.hpp"
#include "transform/job/apply_journal.hpp"
#include "transform/job/apply_output.hpp"
#include "transform/job/apply_step.hpp"
#include "transform/job/earlier_run.hpp"
#include "transform/job/plan.hpp"
#include "transform/job/run_texts.hpp"
#include "transform/records/name_stream.hpp"

namespace spillway::transform {
namespace {

class Job {
 public:
  Job(const Chemistry& chemistry, const ApplyOptions& options)
      : chemistry_(chemistry), options_(options) {}
  ~Job();

  Result<ApplySummary> run(std::stop_token stop);

 private:
  Result<void> prepare(std::stop_token stop);
  Result<void> begin();
  Result<void> look_at_inputs();
  Result<void> look_at_outputs() const;
  std::vector<OutputName> reports() const;
  OutputRules output_rules() const;
  Result<void> work();
  RecordShape shape() const { return shape_of(options_); }
  // Whether the same command goes on from what is in the folder: before the journal is open, from an
  // earlier run's.
  bool can_resume() const { return journal_ ? journal_->has_entries() : was_begun_; }
  ProgressSnapshot snapshot();
  void describe(Report& report) const;

  const Chemistry& chemistry_;
  const ApplyOptions& options_;
  std::optional<WorkFolder> work_;
  bool was_begun_ = true, resumed_ = false, is_over_ = false, was_finished_ = false;
  ApplyPlan plan_;
  std::unique_ptr<JobRuntime> runtime_;
  Account read_;
  InputFiles inputs_;
  std::string configuration_, checksum_, rejects_sha256_;
  std::optional<ApplyJournal> journal_;
  std::optional<ApplyOutput> output_;
  std::unique_ptr<ApplySteps> steps_;
  Counts counts_;
  LiveCounts live_;
  ApplyProgress progress_;
};

Job::~Job() {
  if (!work_) return;
  const bool keeps = can_resume() && !is_over_;
  journal_.reset();
  if (keeps) return;
  const auto ignored = work_->remove();  // what cannot be removed now is cleared by the next run
  (void)ignored;
}

Result<void> Job::prepare(std::stop_token stop) {
  // The columns are not known before the inputs were seen, and those are read within the budget.
  inputs_.paths = TRY(expand_paths(options_.inputs, format::RowReader::suffixes()));
  plan_ = TRY(plan_apply(options_, inputs_.paths));
  TRY(must_be_parquet_name(options_.out));
  if (!TRY(is_folder(folder_of(options_.out))))
    return fail(Code::kUsage, fmt::format("--out {}: there is no folder {}", options_.out,
                                          folder_of(options_.out)));
  work_.emplace(TRY(WorkFolder::beside(options_.out, "journal")));
  was_begun_ = TRY(work_->has_anchor());  // another run's, until it is known whose
  runtime_ = TRY(JobRuntime::start({.command = "transform",
                                    .job = options_.job,
                                    .plan = plan_.memory,
                                    .scratch_folder = work_->path(),
                                    .own_report = report_beside(options_.out),
                                    .stop = std::move(stop),
                                    .keeps = "the last durable run"}));
  plan_.sort_options.stop = plan_.parent_options.stop = runtime_->stop();
  read_ = TRY(runtime_->open("read"));
  return check_outputs(reports(), output_rules());  // they are written at every end
}

// The inputs as they are, and what an earlier run left.
Result<void> Job::begin() {
  TRY(look_at_inputs());
  if (options_.resume && !options_.job.overwrite && !was_begun_) {
    auto finished =
        TRY(finished_counts(chemistry_, options_, configuration_, read_, runtime_->stop()));
    if (finished) {
      counts_ = std::move(*finished);
      was_finished_ = true;
      return {};
    }
  }
  if (!options_.resume) {
    TRY(look_at_outputs());
    TRY(work_->clear());
  }
  journal_.emplace(
      TRY(ApplyJournal::open(*work_, configuration_, options_.steps, chemistry_.rules.size())));
  resumed_ = journal_->has_entries();
  TRY(look_at_outputs());
  counts_ = Counts(chemistry_.rules.size());
  const Account steps = TRY(runtime_->open("steps"));
  const Account write = TRY(runtime_->open("write"));
  StandingFile out = TRY(StandingFile::look(options_.out));
  StandingFile rejects = TRY(StandingFile::look(options_.rejects));
  output_.emplace(ApplyOutput::Options{.chemistry = chemistry_,
                                       .apply = options_,
                                       .inputs = inputs_,
                                       .work = *work_,
                                       .shape = shape(),
                                       .parent_options = plan_.parent_options,
                                       .steps = steps,
                                       .write = write,
                                       .space = runtime_->space(),
                                       .live = live_,
                                       .stop = runtime_->stop(),
                                       .out = std::move(out),
                                       .rejects = std::move(rejects)});
  steps_ = TRY(ApplySteps::create({.chemistry = chemistry_,
                                   .apply = options_,
                                   .inputs = inputs_,
                                   .work = *work_,
                                   .plan = plan_,
                                   .runtime = *runtime_,
                                   .journal = *journal_,
                                   .output = *output_,
                                   .shape = shape(),
                                   .live = live_,
                                   .read = read_,
                                   .steps = steps}));
  if (!chemistry_.note.empty()) runtime_->note(chemistry_.note);
  if (resumed_) runtime_->note(fmt::format("resuming {} from {}", options_.out, work_->path()));
  return {};
}

// What the output depends on.
Result<void> Job::look_at_inputs() {
  inputs_ = TRY(survey_inputs(std::move(inputs_.paths), options_.rows, read_, chemistry_.is_smiles,
                              runtime_->stop()));
  for (const std::string& note : inputs_.notes) runtime_->note(note);
  std::vector<std::pair<std::string, std::string>> known;
  for (const std::string& path : options_.known) {
    TRY(check_known(path, known_rows(options_.rows), read_));
    known.emplace_back(path, TRY(open_source(path))->identity());
  }
  configuration_ = configuration_text(chemistry_, options_, inputs_, known);
  return {};
}

// None of the inputs is where an output goes, nor anything else that is not this job's: its result of
// before, or what it wrote itself just before it was killed.
Result<void> Job::look_at_outputs() const {
  const auto is_own = [this](const std::string&) {
    return resumed_ || is_result_of(options_.out, configuration_);
  };
  const auto is_own_rejects = [this](const std::string& path) {
    return resumed_ || is_rejects_of(options_.out, configuration_, path);
  };
  std::vector<OutputName> outputs{{"--out", options_.out, is_own},
                                  {"--rejects", options_.rejects, is_own_rejects}};
  for (OutputName& report : reports()) outputs.push_back(std::move(report));
  return check_outputs(outputs, output_rules());
}

std::vector<OutputName> Job::reports() const {
  return {{"--report", options_.job.report, is_own_report},
          {"the report", report_beside(options_.out), is_own_report}};
}

OutputRules Job::output_rules() const {
  std::vector<std::string> read = inputs_.paths;
  read.insert(read.end(), options_.known.begin(), options_.known.end());
  read.push_back(chemistry_.rules_source);
  return {.inputs = std::move(read), .own = {work_->path()}, .overwrite = options_.job.overwrite};
}

Result<ApplySummary> Job::run(std::stop_token stop) {
  TRY(prepare(std::move(stop)));
  const auto done = runtime_->run({.snapshot = [this] { return snapshot(); },
                                   .work = [this] { return work(); },
                                   .can_resume = [this] { return can_resume(); },
                                   .describe = [this](Report& report) { describe(report); }});
  if (!done) {
    is_over_ = done.error().code() == Code::kInternal;  // it would only be met again
    return fail(done.error().clone());
  }
  is_over_ = true;
  ApplySummary summary;
  summary.counts = counts_;
  summary.was_finished = was_finished_;
  summary.out = options_.out;
  summary.rows_written = counts_.total().unique;
  if (was_finished_) return summary;
  summary.known_unread = steps_->known_unread();
  summary.known_too_long = steps_->known_too_long();
  summary.peak_memory = runtime_->report().peak();
  summary.resumed = resumed_;
  return summary;
}

Result<void> Job::work() {
  TRY(begin());
  if (was_finished_) return {};
  for (unsigned step = 1; step <= options_.steps; ++step) {
    live_.step = step;
    if (!journal_->is_done(step)) TRY(steps_->run(step));
    counts_.add(journal_->done(step).counts);
  }
  if (!steps_->is_direct()) {
    TRY(journal_->begin_output());
    TRY(output_->write_table(journal_->all_done(), counts_));
  }
  if (!options_.rejects.empty()) {
    TRY(output_->write_refusals(journal_->all_done()));
    rejects_sha256_ = TRY(sha256_of_file(options_.rejects, runtime_->stop()));
  }
  checksum_ = TRY(seal_of(options_.out, read_));
  auto reported = runtime_->finish_report();
  if (reported) return {};
  return fail(std::move(reported).error().with(options_.out + " is whole, but its report is not"));
}

ProgressSnapshot Job::snapshot() {
  runtime_->count(live_.products);
  ProgressSnapshot now = progress_.snapshot(live_, options_.steps);
  now.spilled = runtime_->space()->used();
  return now;
}

void Job::describe(Report& report) const {
  if (!steps_) return;  // it ended before it began
  report.fact("configuration", configuration_);
  transform::describe(report, chemistry_, options_, counts_, output_->examples(), live_.refusals);
  if (!checksum_.empty()) report.fact("checksum", Json(checksum_).dump());
  if (!options_.rejects.empty())
    report.fact("rejects", Json(printable(options_.rejects, kMostPath)).dump());
  if (!rejects_sha256_.empty()) report.fact("rejects_sha256", Json(rejects_sha256_).dump());
  report.fact("resumed", resumed_ ? "true" : "false");
  const OrderedJson ways{{"rows_flat", live_.rows_flat.load()},
                         {"rows_rdkit", live_.rows_rdkit.load()},
                         {"sites_flat", live_.sites_flat.load()},
                         {"sites_edited", live_.sites_edited.load()},
                         {"sites_reacted", live_.sites_reacted.load()},
                         {"made_both_ways", live_.made_both_ways.load()}};
  report.fact("ways", ways.dump());
  report.fact("known_unread", fmt::format("{}", steps_->known_unread()));
  report.fact("known_too_long", fmt::format("{}", steps_->known_too_long()));
}

}  // namespace

Result<ApplySummary> apply(const Chemistry& chemistry, const ApplyOptions& options,
                           std::stop_token stop) {
  Job job(chemistry, options);
  return job.run(std::move(stop));
}

}  // namespace spillway::transform

#include "transform/job/apply.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "core/disk/work_folder.hpp"
#include "core/file/folders.hpp"
#include "core/job/outputs.hpp"
#include "core/job/runtime.hpp"
#include "core/printable.hpp"
#include "format/parquet/parquet_footer.hpp"
#include "transform/job/apply_journal.hpp"
#include "transform/job/apply_output.hpp"
#include "transform/job/plan.hpp"
#include "transform/job/run_texts.hpp"
#include "transform/job/step.hpp"
#include "transform/records/record_file.hpp"

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
  Result<void> open_accounts();
  Result<void> look_at_inputs();
  Result<void> look_at_outputs() const;
  Result<void> work();
  Result<void> run_step(unsigned step);
  Result<std::unique_ptr<MoleculeSource>> source_of(unsigned step);
  Result<AntiJoin> known_before(unsigned step);
  Result<void> join(Step& step, unsigned number);
  Result<void> begin_output();
  Result<std::unique_ptr<RecordFile::Reader>> open_file(const DurableRun& run);
  std::string file(const std::string& name) const { return work_->path() + "/" + name; }
  bool direct() const { return options_.steps == 1 && options_.order == OutputOrder::kKey; }
  RecordShape shape() const {
    return {options_.transform.descriptors, options_.transform.inchikey};
  }
  ProgressSnapshot snapshot();
  void describe(Report& report) const;

  const Chemistry& chemistry_;
  const ApplyOptions& options_;
  std::optional<WorkFolder> work_;
  bool keep_work_ = false;  // there is something to resume
  bool resumed_ = false;
  ApplyPlan plan_;
  std::unique_ptr<JobRuntime> runtime_;
  Account read_, units_, sort_, known_, steps_, write_;
  InputFiles inputs_;
  std::string configuration_;
  std::optional<ApplyJournal> journal_;
  std::optional<ApplyOutput> output_;
  Counts counts_;
  uint64_t known_unread_ = 0;
  LiveCounts live_;
  Rate molecules_rate_, products_rate_;
};

Job::~Job() {
  if (!work_) return;
  journal_.reset();
  if (keep_work_) return;
  const auto ignored = work_->remove();  // what cannot be removed now is cleared by the next run
  (void)ignored;
}

Result<void> Job::prepare(std::stop_token stop) {
  // The columns are not known before the inputs were seen, and those are read within the budget.
  const size_t own = ProductTable::columns({.record = shape(), .files = {"", ""}}).size();
  plan_ = TRY(plan_apply(options_, own + options_.rows.carry.size()));
  work_.emplace(TRY(WorkFolder::beside(options_.out, "journal")));
  keep_work_ = true;  // an earlier run's, until it is known whose
  keep_work_ = TRY(work_->has_anchor());
  runtime_ = TRY(JobRuntime::start({.command = "transform",
                                    .job = options_.job,
                                    .plan = plan_.memory,
                                    .scratch_folder = work_->path(),
                                    .own_report = report_beside(options_.out),
                                    .stop = std::move(stop),
                                    .keeps = "the last durable run"}));
  plan_.sort_options.stop = plan_.parent_options.stop = runtime_->stop();
  TRY(open_accounts());
  TRY(look_at_inputs());
  if (!options_.resume) TRY(work_->clear());
  journal_.emplace(
      TRY(ApplyJournal::open(*work_, configuration_, options_.steps, chemistry_.rules.size())));
  resumed_ = keep_work_ = journal_->has_entries();
  TRY(look_at_outputs());
  counts_ = Counts(chemistry_.rules.size());
  output_.emplace(ApplyOutput::Options{.chemistry = chemistry_,
                                       .apply = options_,
                                       .inputs = inputs_,
                                       .work = *work_,
                                       .shape = shape(),
                                       .parent_options = plan_.parent_options,
                                       .steps = steps_,
                                       .write = write_,
                                       .space = runtime_->space(),
                                       .live = live_,
                                       .stop = runtime_->stop()});
  return {};
}

Result<void> Job::open_accounts() {
  read_ = TRY(runtime_->open("read"));
  units_ = TRY(runtime_->open("units"));
  sort_ = TRY(runtime_->open("sort"));
  steps_ = TRY(runtime_->open("steps"));
  known_ = TRY(runtime_->open("known"));
  write_ = TRY(runtime_->open("write"));
  return {};
}

// What the output depends on.
Result<void> Job::look_at_inputs() {
  inputs_ = TRY(
      survey_inputs(options_.inputs, options_.rows, read_, chemistry_.is_smiles, runtime_->stop()));
  std::vector<std::string> known;
  for (const std::string& path : options_.known)
    known.push_back(path + " " + TRY(open_source(path))->identity());
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
  std::vector<std::string> read = inputs_.paths;
  read.insert(read.end(), options_.known.begin(), options_.known.end());
  const std::vector<OutputName> outputs{{"--out", options_.out, is_own},
                                        {"--rejects", options_.rejects, is_own_rejects},
                                        {"--report", options_.job.report, is_own_report},
                                        {"the report", report_beside(options_.out), is_own_report}};
  return check_outputs(outputs, read, options_.job.overwrite);
}

Result<ApplySummary> Job::run(std::stop_token stop) {
  TRY(prepare(std::move(stop)));
  std::string resuming;
  if (resumed_) resuming = fmt::format("resuming {} from {}", options_.out, work_->path());
  const auto done = runtime_->run({.snapshot = [this] { return snapshot(); },
                                   .work = [this] { return work(); },
                                   .can_resume = [this] { return keep_work_; },
                                   .describe = [this](Report& report) { describe(report); },
                                   .resuming = std::move(resuming)});
  if (!done) {
    keep_work_ = keep_work_ && done.error().code() != Code::kInternal;
    return fail(done.error().clone());
  }
  keep_work_ = false;
  ApplySummary summary;
  summary.counts = counts_;
  summary.rows_written = output_->rows();
  summary.peak_memory = runtime_->report().peak();
  summary.out = options_.out;
  summary.resumed = resumed_;
  return summary;
}

Result<void> Job::work() {
  for (unsigned step = 1; step <= options_.steps; ++step) {
    live_.step = step;
    if (!journal_->is_done(step)) TRY(run_step(step));
    counts_.add(journal_->done(step).counts);
  }
  if (!direct()) {
    TRY(begin_output());
    TRY(output_->write_table(journal_->all_done(), counts_));
  }
  if (!options_.rejects.empty()) TRY(output_->write_refusals(journal_->all_done()));
  auto reported = runtime_->finish_report();
  if (reported) return {};
  return fail(std::move(reported).error().with(options_.out + " is whole, but its report is not"));
}

Result<std::unique_ptr<RecordFile::Reader>> Job::open_file(const DurableRun& run) {
  return RecordFile::Reader::open(file(run.file), run, steps_, runtime_->space());
}

// The molecules that step `step` is applied to.
Result<std::unique_ptr<MoleculeSource>> Job::source_of(unsigned step) {
  if (step == 1) return rows_of(inputs_, options_.rows, read_);
  auto sort = TRY(ExternalSort::create(plan_.parent_options, steps_, runtime_->space()));
  const DurableRun& parents = journal_->done(step - 1).molecules;
  auto reader = TRY(open_file(parents));
  RecordMaker maker(shape());
  while (const auto record = TRY(reader->next())) {
    TRY(sort->input(0).add(maker.by_ordinal(*record)));
    if (runtime_->stop().stop_requested()) return fail(Code::kCancelled, "stopped");
  }
  reader.reset();
  auto stream = TRY(sort->stream());
  return parents_of(std::move(sort), std::move(stream), parents.records, shape());
}

Result<void> Job::run_step(unsigned number) {
  live_.phase = 0;
  live_.read = 0;
  const std::string runs = ApplyJournal::runs_folder(*work_, number);
  TRY(make_folders(runs));
  StepOptions options;
  options.step = number;
  options.threads = options_.job.threads;
  options.shape = shape();
  options.keep_inputs = number == 1;
  options.keep_refusals = !options_.rejects.empty();
  options.sort = plan_.sort_options;
  options.sort.folder = runs;
  options.sort_account = sort_;
  options.units_account = units_;
  options.space = runtime_->space();
  options.journal = [this, number](const DurableRun* run, const RangeSet& batches,
                                   const Counts& counts) -> Result<void> {
    TRY(journal_->add_run(number, run, batches, counts));
    keep_work_ = true;
    return {};
  };
  auto source = TRY(source_of(number));
  Step step(chemistry_, std::move(options), live_);
  TRY(step.run(*source, journal_->under_way(number), runtime_->stop()));
  source.reset();
  TRY(join(step, number));
  return remove_tree(runs);
}

// What a product of step `number` must not be: known, an input, a product of an earlier step.
Result<AntiJoin> Job::known_before(unsigned number) {
  AntiJoin known(runtime_->stop());
  const auto transformer = TRY(chemistry_.make());
  for (const std::string& path : options_.known) {
    KnownNames names =
        TRY(open_known({path, [&](std::string_view text) { return transformer->canonical(text); },
                        runtime_->space(), runtime_->stop()},
                       known_));
    if (number == 1) known_unread_ += names.unread;
    TRY(known.add(std::move(names.names)));
  }
  for (unsigned before = 1; before < number; ++before) {
    const StepFiles& files = journal_->done(before);
    if (before == 1) TRY(known.add(names_of(TRY(open_file(files.inputs)))));
    TRY(known.add(names_of(TRY(open_file(files.molecules)))));
  }
  return known;
}

Result<void> Job::join(Step& step, unsigned number) {
  live_.phase = 1;
  AntiJoin known = TRY(known_before(number));
  const auto writer = [&](const char* name) {
    return RecordFile::Writer::create(file(fmt::format("{}-{}", name, number)), steps_,
                                      runtime_->space());
  };
  Step::Outputs outputs;
  std::unique_ptr<ProductTable> table;
  std::unique_ptr<RecordFile::Writer> molecules, refusals, inputs;
  if (direct()) {
    table = TRY(output_->create_table());
    outputs.survivor = [&](Record, const MoleculeView& view) { return output_->put(*table, view); };
  } else {
    molecules = TRY(writer("molecules"));
    outputs.survivor = [&](Record record, const MoleculeView&) { return molecules->add(record); };
  }
  if (options_.steps > 1 && number == 1) {
    inputs = TRY(writer("inputs"));
    outputs.input = [&](Record record) { return inputs->add(record); };
  }
  if (!options_.rejects.empty()) {
    refusals = TRY(writer("refusals"));
    outputs.refusal = [&](Record record) { return refusals->add(record); };
  }
  TRY(step.merge(known, outputs, runtime_->stop()));
  StepFiles files;
  if (molecules) files.molecules = TRY(molecules->finish());
  if (inputs) files.inputs = TRY(inputs->finish());
  if (refusals) files.refusals = TRY(refusals->finish());
  files.counts = step.counts();
  if (table) {
    TRY(begin_output());
    TRY(output_->close_table(std::move(table), files.counts));
  }
  keep_work_ = true;
  return journal_->finish_step(number, std::move(files), !direct());
}

Result<void> Job::begin_output() {
  TRY(journal_->begin_output());
  keep_work_ = true;
  return {};
}

ProgressSnapshot Job::snapshot() {
  const uint64_t molecules = live_.molecules, products = live_.products;
  runtime_->count(products);
  ProgressSnapshot now;
  now.spilled = runtime_->space()->used();
  const char* const phases[] = {"apply", "merge", "write"};
  const int phase = live_.phase;
  now.phase = options_.steps > 1 ? fmt::format("step {} {}", live_.step.load(), phases[phase])
                                 : phases[phase];
  now.text = fmt::format("{} molecules ({}/s)  {} products ({}/s)", grouped(molecules),
                         rate_text(molecules_rate_.per_second(molecules)), grouped(products),
                         rate_text(products_rate_.per_second(products)));
  const uint64_t merged = live_.merged, to_merge = live_.to_merge;
  const uint64_t written = live_.written, to_write = live_.to_write;
  const uint64_t unique = live_.unique;
  if (phase > 0) now.text += fmt::format("  {} unique so far", grouped(unique));
  if (phase == 0) now.fraction = live_.read;
  if (phase == 1 && to_merge > 0)
    now.fraction = static_cast<double>(merged) / static_cast<double>(to_merge);
  if (phase == 2 && to_write > 0)
    now.fraction = static_cast<double>(written) / static_cast<double>(to_write);
  now.json = fmt::format("\"step\":{},\"molecules\":{},\"products\":{},\"unique\":{}",
                         live_.step.load(), molecules, products, unique);
  return now;
}

void Job::describe(Report& report) const {
  report.fact("configuration", configuration_);
  transform::describe(report, chemistry_, options_, counts_, output_->examples());
  if (!options_.rejects.empty())
    report.fact("rejects", nlohmann::json(printable(options_.rejects, kMostPath)).dump());
  report.fact("resumed", resumed_ ? "true" : "false");
  report.fact("known_unread", fmt::format("{}", known_unread_));
}

}  // namespace

Result<ApplySummary> apply(const Chemistry& chemistry, const ApplyOptions& options,
                           std::stop_token stop) {
  Job job(chemistry, options);
  return job.run(std::move(stop));
}

}  // namespace spillway::transform

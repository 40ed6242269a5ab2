#include "transform/job/apply.hpp"

#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "core/disk/durable_file.hpp"
#include "core/disk/journal.hpp"
#include "core/disk/work_folder.hpp"
#include "core/job/progress.hpp"
#include "core/job/report.hpp"
#include "core/memory/governor.hpp"
#include "transform/job/plan.hpp"
#include "transform/job/run_texts.hpp"
#include "transform/job/step.hpp"
#include "transform/records/product_table.hpp"
#include "transform/records/record_file.hpp"
#include "transform/records/refusals_file.hpp"

namespace spillway::transform {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

Json run_json(const DurableRun& run) { return {run.file, run.bytes, run.frames, run.records}; }
DurableRun run_of(const Json& json) {
  return {json.at(0).get<std::string>(), json.at(1), json.at(2), json.at(3)};
}

// What a finished step left in the work folder.
struct StepFiles {
  DurableRun molecules, refusals, inputs;
  Counts counts;
};

class Job {
 public:
  Job(const Chemistry& chemistry, const ApplyOptions& options, std::stop_token stop)
      : chemistry_(chemistry), options_(options), outer_(std::move(stop)) {}
  ~Job();

  Result<ApplySummary> run();

 private:
  Result<void> prepare();
  Result<void> open_journal();
  Result<void> replay(std::string_view entry);
  Result<void> steps();
  Result<void> run_step(unsigned step);
  Result<std::unique_ptr<MoleculeSource>> source_of(unsigned step);
  Result<void> join(Step& step, unsigned number);
  Result<void> write_table();
  Result<void> write_by_key(ProductTable& table);
  Result<void> write_by_ordinal(ProductTable& table);
  Result<void> write_refusals();
  Result<void> put(ProductTable& table, const MoleculeView& view);
  Result<std::unique_ptr<ProductTable>> create_table();
  Result<void> close_table(std::unique_ptr<ProductTable> table);
  Result<std::unique_ptr<RecordFile::Reader>> open_file(const DurableRun& run);
  std::string file(const std::string& name) const { return work_->path() + "/" + name; }
  // The folder of a step's sorted runs.
  std::string runs(unsigned step) const { return file(fmt::format("step-{}-runs", step)); }
  Result<void> make_runs(unsigned step) const {
    std::error_code error;
    fs::create_directory(runs(step), error);
    if (error) return fail(Code::kIo, fmt::format("creating {}: {}", runs(step), error.message()));
    return sync_folder(work_->path());
  }
  bool direct() const { return options_.steps == 1 && options_.order == OutputOrder::kKey; }
  TableShape table_shape() const;
  RecordShape shape() const {
    return {options_.transform.descriptors, options_.transform.inchikey};
  }
  ProgressSnapshot snapshot();
  Result<ApplySummary> finish();

  const Chemistry& chemistry_;
  const ApplyOptions& options_;
  std::stop_token outer_;
  std::stop_source ending_;
  std::unique_ptr<Budget> budget_;
  Plan plan_;
  Account read_, units_, sort_, known_, steps_, write_;
  std::optional<WorkFolder> work_;
  bool keep_work_ = false;  // there is something to resume
  std::shared_ptr<ScratchSpace> space_;
  std::optional<Journal> journal_;
  InputFiles inputs_;
  std::string configuration_;
  std::map<unsigned, StepState> under_way_;  // of the journal
  std::map<unsigned, StepFiles> done_;
  Counts counts_;
  uint64_t rows_written_ = 0;
  uint64_t known_unread_ = 0;
  bool resumed_ = false;
  LiveCounts live_;
  Rate molecules_rate_, products_rate_;
  std::map<size_t, RuleExampleRow> examples_;  // one a rule, by position
  std::unique_ptr<Report> report_;
  std::unique_ptr<Progress> progress_;
};

Job::~Job() {
  if (!work_) return;
  journal_.reset();
  if (keep_work_) return;
  // What cannot be removed now is cleared by the next run.
  const auto ignored = work_->remove();
  (void)ignored;
}

Result<void> Job::prepare() {
  // The columns are not known before the inputs were seen, and those are read within the budget.
  const size_t own = ProductTable::columns({.record = shape(), .files = {"", ""}}).size();
  plan_ = TRY(Plan::make(options_, own + options_.rows.carry.size()));
  budget_ = Budget::create(options_.job.memory - plan_.program);
  read_ = TRY(budget_->open({"read", 10, plan_.read, std::nullopt}));
  units_ = TRY(budget_->open({"units", 20, plan_.units, std::nullopt}));
  sort_ = TRY(budget_->open({"sort", 30, plan_.sort, std::nullopt}));
  steps_ = TRY(budget_->open({"steps", 40, plan_.steps, std::nullopt}));
  known_ = TRY(budget_->open({"known", 50, plan_.known, std::nullopt}));
  write_ = TRY(budget_->open({"write", 60, plan_.write, std::nullopt}));
  inputs_ = TRY(survey_inputs(options_.inputs, options_.rows, read_, chemistry_.is_smiles));
  std::vector<std::string> known;
  for (const std::string& path : options_.known)
    known.push_back(path + " " + TRY(format::open_source(path))->identity());
  configuration_ = configuration_text(chemistry_, options_, inputs_, known);
  counts_ = Counts(chemistry_.rules.size());

  work_.emplace(TRY(WorkFolder::beside(options_.out, "journal")));
  if (!options_.resume) TRY(work_->clear());
  ScratchSpace::Options scratch;
  scratch.folder = options_.job.scratch.empty() ? work_->path() : options_.job.scratch;
  scratch.limit = options_.job.scratch_limit.value_or(Bytes(0));
  space_ = TRY(ScratchSpace::create(scratch));
  return open_journal();
}

Result<void> Job::open_journal() {
  auto opened = Journal::open(work_->anchor(), configuration_,
                              [this](std::string_view entry) { return replay(entry); });
  if (!opened) {
    keep_work_ = true;  // not ours to remove
    Error error = std::move(opened).error();
    if (error.code() != Code::kUsage) return fail(std::move(error));
    return fail(
        Code::kInvalid,
        fmt::format("{}: holds another unfinished run; give the same command, another --out, "
                    "or --resume never",
                    work_->path()));
  }
  journal_.emplace(std::move(*opened));
  resumed_ = keep_work_ = journal_->entries() > 0;
  // Runs that no line names were being written at the kill: their batches are done again.
  for (unsigned step = 1; step <= options_.steps; ++step) {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(runs(step), error)) {
      bool named = false;
      for (const DurableRun& run : under_way_[step].runs)
        named = named || run.file == entry.path().filename().string();
      std::error_code ignored;
      if (!named) fs::remove(entry.path(), ignored);
    }
  }
  return {};
}

Result<void> Job::replay(std::string_view entry) {
  try {
    const Json json = Json::parse(entry);
    const unsigned step = json.at("step");
    const size_t rules = chemistry_.rules.size();
    if (json.contains("done")) {
      const Json& from = json.at("done");
      StepFiles files;
      files.molecules = run_of(from.at(0));
      files.refusals = run_of(from.at(1));
      files.inputs = run_of(from.at(2));
      files.counts = TRY(Counts::from_json(json.at("counts").dump(), rules));
      done_[step] = std::move(files);
      return {};
    }
    auto [at, fresh] = under_way_.try_emplace(step);
    StepState& state = at->second;
    if (fresh) state.counts = Counts(rules);
    if (json.contains("run")) state.runs.push_back(run_of(json.at("run")));
    for (const Json& range : json.at("batches")) state.batches.add(range.at(0), range.at(1));
    state.counts.add(TRY(Counts::from_json(json.at("counts").dump(), rules)));
  } catch (const std::exception& problem) {
    return fail(Code::kCorrupt, fmt::format("{}: {}", work_->anchor(), problem.what()));
  }
  return {};
}

Result<ApplySummary> Job::run() {
  TRY(prepare());
  report_ = Report::start("transform", options_.job, *budget_);
  progress_ =
      Progress::start(options_.job.progress, options_.job.memory, [this] { return snapshot(); });
  if (resumed_) progress_->note(fmt::format("resuming {} from {}", options_.out, work_->path()));
  const std::stop_callback forward(outer_, [this] { ending_.request_stop(); });
  std::optional<Error> exceeded;
  auto governor =
      std::make_unique<Governor>(*budget_, Governor::Options{.limit = options_.job.memory,
                                                             .reserve = plan_.program,
                                                             .exceeded = [&](Error error) {
                                                               exceeded.emplace(std::move(error));
                                                               ending_.request_stop();
                                                             }});
  auto done = steps();
  governor.reset();
  progress_.reset();
  report_->finish();
  if (!done) {
    Error error = exceeded ? std::move(*exceeded) : std::move(done).error();
    keep_work_ = keep_work_ && error.code() != Code::kInternal;
    if (error.code() == Code::kScratchFull || error.code() == Code::kDiskFull) {
      return fail(
          Error(error.code(), error.message() + (keep_work_ ? "; run the same command again when "
                                                              "there is room: it resumes"
                                                            : "")));
    }
    return fail(std::move(error));
  }
  return finish();
}

Result<void> Job::steps() {
  for (unsigned step = 1; step <= options_.steps; ++step) {
    live_.step = step;
    if (done_.count(step) == 0) TRY(run_step(step));
    if (!direct()) counts_.add(done_[step].counts);
  }
  if (!direct()) TRY(write_table());
  if (!options_.rejects.empty()) TRY(write_refusals());
  return {};
}

Result<std::unique_ptr<RecordFile::Reader>> Job::open_file(const DurableRun& run) {
  return RecordFile::Reader::open(file(run.file), run, steps_, space_);
}

// The molecules that step `step` is applied to.
Result<std::unique_ptr<MoleculeSource>> Job::source_of(unsigned step) {
  if (step == 1) return rows_of(inputs_, options_.rows, read_);
  auto sort = TRY(ExternalSort::create(plan_.parent_options, steps_, space_));
  const DurableRun& parents = done_[step - 1].molecules;
  auto reader = TRY(open_file(parents));
  RecordMaker maker(shape());
  while (const auto record = TRY(reader->next()))
    TRY(sort->input(0).add(maker.by_ordinal(*record)));
  reader.reset();
  auto stream = TRY(sort->stream());
  return parents_of(std::move(sort), std::move(stream), parents.records, shape());
}

Result<void> Job::run_step(unsigned number) {
  live_.phase = 0;
  live_.read = 0;
  TRY(make_runs(number));
  StepOptions options;
  options.step = number;
  options.threads = options_.job.threads;
  options.shape = shape();
  options.keep_inputs = number == 1;
  options.keep_refusals = !options_.rejects.empty();
  options.sort = plan_.sort_options;
  options.sort.folder = runs(number);
  options.sort_account = sort_;
  options.units_account = units_;
  options.space = space_;
  options.journal = [this, number](const DurableRun* run, const RangeSet& batches,
                                   const Counts& counts) -> Result<void> {
    Json line;
    line["step"] = number;
    if (run != nullptr) line["run"] = run_json(*run);
    line["batches"] = batches.ranges();
    line["counts"] = Json::parse(counts.to_json());
    TRY(journal_->append(line.dump()));
    keep_work_ = true;
    return {};
  };
  StepState state;
  if (const auto at = under_way_.find(number); at != under_way_.end()) state = at->second;
  if (state.counts.rules.empty()) state.counts = Counts(chemistry_.rules.size());
  auto source = TRY(source_of(number));
  Step step(chemistry_, std::move(options), live_);
  TRY(step.run(*source, std::move(state), ending_.get_token()));
  source.reset();
  return join(step, number);
}

Result<void> Job::join(Step& step, unsigned number) {
  live_.phase = 1;
  AntiJoin known;
  const auto transformer = TRY(chemistry_.make());
  for (const std::string& path : options_.known) {
    KnownNames names = TRY(open_known(
        {path, [&](std::string_view text) { return transformer->canonical(text); }, space_},
        known_));
    known_unread_ = number == 1 ? known_unread_ + names.unread : known_unread_;
    TRY(known.add(std::move(names.names)));
  }
  for (unsigned before = 1; before < number; ++before) {
    if (before == 1) TRY(known.add(names_of(TRY(open_file(done_[1].inputs)))));
    TRY(known.add(names_of(TRY(open_file(done_[before].molecules)))));
  }
  const auto writer = [&](const char* name) {
    return RecordFile::Writer::create(file(fmt::format("{}-{}", name, number)), steps_, space_);
  };
  Step::Outputs outputs;
  std::unique_ptr<ProductTable> table;
  std::unique_ptr<RecordFile::Writer> molecules, refusals, inputs;
  if (direct()) {
    table = TRY(create_table());
    outputs.survivor = [&](Record, const MoleculeView& view) { return put(*table, view); };
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
  TRY(step.merge(known, outputs, ending_.get_token()));
  StepFiles files;
  if (molecules) files.molecules = TRY(molecules->finish());
  if (inputs) files.inputs = TRY(inputs->finish());
  if (refusals) files.refusals = TRY(refusals->finish());
  files.counts = step.counts();
  if (direct()) {
    counts_.add(files.counts);
    TRY(close_table(std::move(table)));
  } else {
    Json line;
    line["step"] = number;
    line["done"] = {run_json(files.molecules), run_json(files.refusals), run_json(files.inputs)};
    line["counts"] = Json::parse(files.counts.to_json());
    TRY(journal_->append(line.dump()));
    keep_work_ = true;
    std::error_code ignored;
    fs::remove_all(runs(number), ignored);
  }
  done_[number] = std::move(files);
  return {};
}

TableShape Job::table_shape() const {
  TableShape table;
  table.record = shape();
  table.files = inputs_.paths;
  for (const Chemistry::RuleName& rule : chemistry_.rules) {
    if (table.rule_names.size() <= rule.position) table.rule_names.resize(rule.position + 1u);
    table.rule_names[rule.position] = rule.name;
  }
  table.carried = inputs_.carried;
  return table;
}

Result<std::unique_ptr<ProductTable>> Job::create_table() {
  return ProductTable::create(options_.out, file("products.partial"), table_shape(), write_,
                              space_);
}

Result<void> Job::put(ProductTable& table, const MoleculeView& view) {
  std::vector<int32_t> atoms;
  const ProductData data = TRY(read_product(view.data, shape(), atoms));
  auto [at, fresh] = examples_.try_emplace(view.ordinal.rule);
  if (fresh) at->second = {std::string(data.source), atoms, std::string(view.text)};
  ++live_.written;
  return table.put(view, data);
}

Result<void> Job::close_table(std::unique_ptr<ProductTable> table) {
  TRY(counts_.balance());
  for (const auto& [key, value] : footer_texts(chemistry_, options_, counts_))
    table->metadata(key, value);
  rows_written_ = table->rows();
  if (rows_written_ != counts_.total().unique) {
    return fail(Code::kInternal, fmt::format("{} rows were written and {} products are unique",
                                             rows_written_, counts_.total().unique));
  }
  return std::move(*table).close();
}

Result<void> Job::write_table() {
  live_.phase = 2;
  live_.written = 0;
  live_.to_write = counts_.total().unique;
  auto table = TRY(create_table());
  if (options_.order == OutputOrder::kKey)
    TRY(write_by_key(*table));
  else
    TRY(write_by_ordinal(*table));
  return close_table(std::move(table));
}

// The steps' survivors are apart from each other and each in key order.
Result<void> Job::write_by_key(ProductTable& table) {
  struct Side {
    std::unique_ptr<RecordFile::Reader> reader;
    std::optional<Record> record;
  };
  std::vector<Side> sides;
  for (const auto& [step, files] : done_) {
    Side side{TRY(open_file(files.molecules)), std::nullopt};
    side.record = TRY(side.reader->next());
    sides.push_back(std::move(side));
  }
  while (true) {
    Side* least = nullptr;
    for (Side& side : sides) {
      if (side.record && (least == nullptr || compare(*side.record, *least->record) < 0))
        least = &side;
    }
    if (least == nullptr) return {};
    TRY(put(table, TRY(read_molecule(*least->record))));
    least->record = TRY(least->reader->next());
    if (ending_.stop_requested()) return fail(Code::kCancelled, "stopped");
  }
}

Result<void> Job::write_by_ordinal(ProductTable& table) {
  auto sort = TRY(ExternalSort::create(plan_.parent_options, steps_, space_));
  RecordMaker maker(shape());
  for (const auto& [step, files] : done_) {
    const auto reader = TRY(open_file(files.molecules));
    while (const auto record = TRY(reader->next()))
      TRY(sort->input(0).add(maker.by_ordinal(*record)));
  }
  auto stream = TRY(sort->stream());
  while (const auto record = TRY(stream.next())) {
    TRY(put(table, TRY(read_molecule(TRY(molecule_of_ordinal(*record))))));
    if (ending_.stop_requested()) return fail(Code::kCancelled, "stopped");
  }
  return {};
}

Result<void> Job::write_refusals() {
  const std::string name = options_.rejects;
  // Beside its final name unless that is in the output's folder: a rename cannot leave a disk.
  const bool beside = fs::path(name).parent_path() == fs::path(options_.out).parent_path();
  auto table = TRY(RefusalsFile::create(name, beside ? file("rejects.partial") : ""));
  const TableShape shape_of_table = table_shape();
  for (const auto& [step, files] : done_) {
    const auto reader = TRY(open_file(files.refusals));
    while (const auto record = TRY(reader->next())) {
      const RecordMaker::Refusal view = TRY(read_refusal(*record));
      RefusalsFile::Line line;
      line.source_file = inputs_.paths.at(view.file);
      line.source_row = view.source_row;
      if (view.of_rule) line.rule = shape_of_table.rule_names.at(view.ordinal.rule);
      line.site_index = view.site;
      line.reason = transform::name(view.reason);
      line.source_smiles = view.source;
      line.message = view.message;
      TRY(table->add(line));
    }
  }
  return std::move(*table).close();
}

ProgressSnapshot Job::snapshot() {
  const uint64_t molecules = live_.molecules, products = live_.products, unique = live_.unique;
  report_->count(products, space_->used());
  ProgressSnapshot now;
  now.spilled = space_->used();
  const char* const phases[] = {"apply", "merge", "write"};
  const int phase = live_.phase;
  now.phase = options_.steps > 1 ? fmt::format("step {} {}", live_.step.load(), phases[phase])
                                 : phases[phase];
  now.text = fmt::format("{} molecules ({:.0f}/s)  {} products ({:.0f}/s)", grouped(molecules),
                         molecules_rate_.per_second(molecules), grouped(products),
                         products_rate_.per_second(products));
  if (phase > 0 && live_.merged > 0) {
    now.text += fmt::format("  {:.0f} % unique", 100.0 * static_cast<double>(unique) /
                                                     static_cast<double>(live_.merged.load()));
  }
  if (phase == 0) now.fraction = live_.read;
  if (phase == 1 && products > 0)
    now.fraction = static_cast<double>(live_.merged) / static_cast<double>(products + molecules);
  if (phase == 2 && live_.to_write > 0)
    now.fraction = static_cast<double>(live_.written) / static_cast<double>(live_.to_write);
  now.json = fmt::format("\"step\":{},\"molecules\":{},\"products\":{},\"unique\":{}",
                         live_.step.load(), molecules, products, unique);
  return now;
}

Result<ApplySummary> Job::finish() {
  describe(*report_, chemistry_, options_, counts_, examples_);
  report_->fact("resumed", resumed_ ? "true" : "false");
  report_->fact("known_unread", fmt::format("{}", known_unread_));
  report_->fact("scratch_peak_bytes", fmt::format("{}", space_->peak().count()));
  report_->fact("scratch_written_bytes", fmt::format("{}", space_->written().count()));
  if (!options_.job.report.empty()) {
    const bool html = options_.job.report.ends_with(".html");
    TRY(write_durably(options_.job.report, html ? report_->html() : report_->json()));
  }
  keep_work_ = false;
  ApplySummary summary;
  summary.counts = counts_;
  summary.rows_written = rows_written_;
  summary.peak_memory = report_->peak();
  summary.out = options_.out;
  summary.resumed = resumed_;
  return summary;
}

}  // namespace

Result<Chemistry> rdkit_chemistry(std::shared_ptr<const RuleSet> selection,
                                  TransformOptions options) {
  Chemistry chemistry;
  for (const Rule& rule : selection->rules())
    chemistry.rules.push_back({rule.name, rule.family, static_cast<uint16_t>(rule.position)});
  chemistry.rules_sha256 = selection->sha256();
  chemistry.make = [selection, options] { return Transformer::create(selection, options); };
  chemistry.is_smiles = [](std::string_view text) { return is_smiles(text); };
  chemistry.smiles_of_record = [](std::string_view record) { return smiles_of_sdf_record(record); };
  chemistry.draw = [](const Depiction& depiction) { return draw_pair(depiction); };
  TRY(chemistry.make());  // refuses what this build cannot do
  return chemistry;
}

Result<ApplySummary> apply(const Chemistry& chemistry, const ApplyOptions& options,
                           std::stop_token stop) {
  Job job(chemistry, options, std::move(stop));
  return job.run();
}

Result<std::string> explain_memory(const ApplyOptions& options) {
  const size_t columns = 14 + options.rows.carry.size();
  const Plan plan = TRY(Plan::make(options, columns));
  std::string text = fmt::format("{:<10} {:>10}  ({})\n", "memory", to_string(options.job.memory),
                                 options.job.memory_source);
  for (const Plan::Item& item : plan.items())
    text += fmt::format("{:<10} {:>10}  {}\n", item.name, to_string(item.bytes), item.purpose);
  return text + fmt::format("{:<10} {:>10}  more for the sort; what does not fit goes to scratch\n",
                            "shared", to_string(options.job.memory - plan.total()));
}

}  // namespace spillway::transform

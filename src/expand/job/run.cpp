#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/disk/durable_file.hpp"
#include "core/disk/scratch.hpp"
#include "core/disk/work_folder.hpp"
#include "core/job/progress.hpp"
#include "core/job/report.hpp"
#include "core/memory/budget.hpp"
#include "core/memory/governor.hpp"
#include "expand/engine/checkpoint.hpp"
#include "expand/engine/search.hpp"
#include "expand/job/expand.hpp"
#include "expand/job/states_table.hpp"

namespace spillway::expand {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

// What the process needs beside its leases: code, libraries, stacks, the allocator's slack, small
// containers.
Bytes reserve_of(Bytes memory) { return std::max(12_MiB, memory / 24); }

const char* name_of(Identity identity) {
  switch (identity) {
    case Identity::kFp128:
      return "fp128";
    case Identity::kExact:
      return "exact";
    case Identity::kFp64:
      return "fp64";
  }
  return "";
}

const char* name_of(StatesOutput states) {
  switch (states) {
    case StatesOutput::kNone:
      return "none";
    case StatesOutput::kIds:
      return "ids";
    case StatesOutput::kAll:
      return "all";
  }
  return "";
}

struct Needs {
  Bytes memory;                         // --memory
  std::vector<MemoryPlan::Item> items;  // what it is made of
};

// The plan for `memory`, or nothing when it is too little.
std::optional<Needs> needs_within(const Problem& problem, const ExpandOptions& options,
                                  Bytes memory) {
  const Bytes reserve = reserve_of(memory);
  const ProblemTraits traits = problem.traits();
  const Bytes own(traits.own_bytes);
  if (memory <= reserve + own) return std::nullopt;
  const unsigned threads = std::max(1u, std::min(options.job.threads, traits.max_expanders));
  const auto plan = MemoryPlan::make(memory - reserve - own, threads, traits, options.identity);
  if (!plan) return std::nullopt;
  // The states are written when the search has given back all but one thread's buffers.
  const Bytes states = states_cost(problem, options.states);
  if (plan->worker + states > memory - reserve - own) return std::nullopt;
  Needs needs{memory, {{"program", reserve, "code, libraries, stacks, small containers"}}};
  if (own > Bytes(0))
    needs.items.push_back({"problem", own, "what " + problem.name() + " itself holds"});
  for (MemoryPlan::Item& item : plan->items(threads)) needs.items.push_back(std::move(item));
  if (states > Bytes(0))
    needs.items.push_back(
        {"states", states, "Parquet, after the search, in the place of the above"});
  return needs;
}

Needs least_needs(const Problem& problem, const ExpandOptions& options) {
  for (Bytes memory = 1_MiB;; memory += 1_MiB) {
    if (auto needs = needs_within(problem, options, memory)) return *needs;
  }
}

Result<Needs> needs_or_refusal(const Problem& problem, const ExpandOptions& options) {
  if (auto needs = needs_within(problem, options, options.job.memory)) return *needs;
  const Needs least = least_needs(problem, options);
  std::string parts;
  for (const MemoryPlan::Item& item : least.items) {
    parts += fmt::format("{}{} {}", parts.empty() ? "" : ", ", item.name, to_string(item.bytes));
  }
  return fail(Code::kMemoryLimit,
              fmt::format("--memory {} is too small: needs at least {}: {}",
                          to_string(options.job.memory), to_string(least.memory), parts));
}

// What a checkpoint must agree with to be continued.
std::string configuration(const Problem& problem, const ExpandOptions& options) {
  Json json;
  json["format"] = 1;
  json["problem"] = problem.name();
  json["arguments"] = Json::parse(problem.arguments_json());
  if (const std::string build = problem.build(); !build.empty()) json["build"] = build;
  json["identity"] = name_of(options.identity);
  json["states"] = name_of(options.states);
  json["max_depth"] = options.max_depth ? Json(*options.max_depth) : Json(nullptr);
  return json.dump();
}

// Whether two configurations differ in nothing but the build of the problem.
bool is_other_build(Json a, Json b) {
  const auto build = [](Json& json) {
    const Json taken = json.is_object() ? json.value("build", Json()) : Json();
    if (json.is_object()) json.erase("build");
    return taken;
  };
  return build(a) != build(b) && a == b;
}

std::string other_build(const std::string& out) {
  return fmt::format(
      "{}: holds a run with another build of the library; choose another folder with --out, or "
      "start again with --resume never",
      out);
}

// What report.json says of the run that left `out`, when it is a finished run of the same
// configuration; kInvalid when it is another; nothing when there is none. (With a checkpoint beside
// it the run was killed before it tidied up.)
Result<std::optional<ExpandSummary>> finished(const std::string& out,
                                              const std::string& configured) {
  std::error_code error;
  if (!fs::exists(out + "/result.json", error)) return std::nullopt;
  if (fs::exists(out + "/.spillway/checkpoint.json", error)) return std::nullopt;
  const Json report =
      Json::parse(TRY(read_small_file(out + "/report.json", uint64_t{1} << 30)), nullptr, false);
  const Json result =
      Json::parse(TRY(read_small_file(out + "/result.json", uint64_t{1} << 30)), nullptr, false);
  const bool same = report.is_object() && report.contains("job") &&
                    report["job"].contains("configuration") &&
                    report["job"]["configuration"].dump() == configured && result.is_object();
  if (!same && report.is_object() && report.contains("job") && report["job"].is_object() &&
      is_other_build(report["job"].value("configuration", Json()), Json::parse(configured))) {
    return fail(Code::kInvalid, other_build(out));
  }
  if (!same) {
    return fail(
        Code::kInvalid,
        fmt::format("{}: holds another finished run; remove it or choose another folder with --out",
                    out));
  }
  ExpandSummary summary;
  summary.states = result.value("states", uint64_t{0});
  summary.generated = result.value("generated", uint64_t{0});
  summary.duplicates = result.value("duplicates", uint64_t{0});
  summary.frontier = result.value("frontier", uint64_t{0});
  summary.depth = result.value("depth", uint32_t{0});
  summary.complete = result.value("complete", false);
  summary.out = out;
  summary.was_finished = true;
  return summary;
}

// The checkpoint in `work`; nothing when there is none.
Result<std::optional<Checkpoint>> stored_checkpoint(const WorkFolder& work) {
  std::error_code error;
  if (!work.has_anchor()) return std::nullopt;
  auto parsed = parse_checkpoint(TRY(read_small_file(work.anchor(), uint64_t{1} << 30)));
  if (!parsed) {
    return fail(parsed.error().code(), fmt::format("{}: {}; run again with --resume never",
                                                   work.anchor(), parsed.error().message()));
  }
  return std::optional<Checkpoint>(std::move(*parsed));
}

// What the search had saved ("null": nothing done yet, "": no checkpoint).
Result<std::string> read_checkpoint(const WorkFolder& work, const std::string& configured,
                                    const std::string& out) {
  const auto stored = TRY(stored_checkpoint(work));
  if (!stored) return std::string();
  if (is_other_build(Json::parse(stored->configuration), Json::parse(configured)))
    return fail(Code::kInvalid, other_build(out));
  if (stored->configuration != configured) {
    return fail(
        Code::kInvalid,
        fmt::format(
            "{}: holds another run ({}); give the same command, another --out, or --resume never",
            out, stored->configuration));
  }
  return stored->search;
}

// How states are stored, which widen() changes.
std::string packing_of(const Problem& problem) {
  const ProblemTraits traits = problem.traits();
  return traits.form == StateForm::kPacked ? fmt::format("bits-{}", traits.key_bits)
                                           : fmt::format("bytes-{}", traits.max_state_bytes);
}

// Widens the problem as far as the run whose checkpoint is in `work` had.
Result<void> widen_like_checkpoint(Problem& problem, const WorkFolder& work) {
  const auto stored = TRY(stored_checkpoint(work));
  if (!stored || stored->search == "null") return {};
  while (packing_of(problem) != stored->packing) {
    if (problem.widen()) continue;
    return fail(Code::kInvalid,
                fmt::format("{}: holds another run; choose another --out, or --resume never",
                            work.anchor()));
  }
  return {};
}

std::string layers_csv(const SearchState& state) {
  std::string csv = "depth,new,generated,duplicate,cumulative\n";
  uint64_t cumulative = 0;
  for (size_t depth = 0; depth < state.layers.size(); ++depth) {
    const LayerRow& row = state.layers[depth];
    cumulative += row.fresh;
    csv +=
        fmt::format("{},{},{},{},{}\n", depth, row.fresh, row.generated, row.duplicate, cumulative);
  }
  return csv;
}

struct Sums {
  uint64_t states = 0, generated = 0, duplicates = 0;
};

// cumulative(last) = initial + generated - duplicates, or the run fails.
Result<Sums> balance(const SearchState& state) {
  Sums sums;
  for (const LayerRow& row : state.layers) {
    sums.states += row.fresh;
    sums.generated += row.generated;
    sums.duplicates += row.duplicate;
  }
  if (sums.states != state.layers.at(0).fresh + sums.generated - sums.duplicates) {
    return fail(
        Code::kInternal,
        fmt::format("the counts do not balance: {} states, {} initial, {} generated, {} duplicates",
                    sums.states, state.layers.at(0).fresh, sums.generated, sums.duplicates));
  }
  return sums;
}

StateView view_of(StateForm form, const std::vector<uint8_t>& bytes) {
  StateView view{0, bytes};
  if (form == StateForm::kPacked) std::memcpy(&view.packed, bytes.data(), 8);
  return view;
}

std::string result_json(const Problem& problem, const ExpandOptions& options,
                        const SearchState& state, const Sums& sums, bool complete) {
  Json json;
  json["problem"] = problem.name();
  json["arguments"] = Json::parse(problem.arguments_json());
  json["identity"] = name_of(options.identity);
  json["states"] = sums.states;
  json["generated"] = sums.generated;
  json["duplicates"] = sums.duplicates;
  json["depth"] = state.layers.size() - 1;
  json["frontier"] = state.frontier;
  json["complete"] = complete;
  json["ids_xor"] = fmt::format("{:016x}", state.ids_xor);
  json["ids_sum"] = fmt::format("{:016x}", state.ids_sum);
  json["best"] = nullptr;
  if (state.has_best) {
    const StateView best = view_of(problem.traits().form, state.best);
    json["best"] = Json::parse(problem.best_json(best, state.best_score));
  }
  return json.dump(2) + "\n";
}

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
  Result<void> prepare();
  ProgressSnapshot snapshot();
  void count() const;
  Result<ExpandSummary> finish();
  void describe_for_report(const Sums& sums);

  Problem& problem_;
  const ExpandOptions& options_;
  std::string out_;
  WorkFolder& work_;
  std::string configured_;
  std::unique_ptr<Budget> budget_;
  Lease own_;  // the problem's
  std::shared_ptr<ScratchSpace> space_;
  std::unique_ptr<Report> report_;
  std::unique_ptr<Search> search_;
  std::unique_ptr<Progress> progress_;
  Rate rate_;  // the progress thread's, once that runs
  bool resumed_ = false;
  bool has_checkpoint_ = false;
};

Result<void> Job::prepare() {
  TRY(needs_or_refusal(problem_, options_));
  budget_ = Budget::create(options_.job.memory - reserve_of(options_.job.memory));
  const Bytes own(problem_.traits().own_bytes);
  Account problem = TRY(budget_->open({"problem", 90, own, own}));
  own_ = std::move(*problem.try_acquire(own));
  ScratchSpace::Options scratch;
  scratch.folder = options_.job.scratch.empty() ? work_.path() : options_.job.scratch;
  scratch.limit = options_.job.scratch_limit.value_or(Bytes(0));
  space_ = TRY(ScratchSpace::create(scratch));
  SearchOptions options;
  options.identity = options_.identity;
  options.threads = options_.job.threads;
  options.max_depth = options_.max_depth;
  options.keep_layers = options_.states != StatesOutput::kNone;
  options.checkpoint = options_.checkpoint;
  options.work_folder = work_.path();
  options.on_round = [this] { count(); };
  search_ = TRY(Search::create(problem_, options, *budget_, space_));
  return {};
}

void Job::count() const {
  if (report_) report_->count(search_->progress().generated, space_->used());
}

ProgressSnapshot Job::snapshot() {
  const SearchProgress now = search_->progress();
  count();
  ProgressSnapshot snapshot;
  snapshot.phase = fmt::format("depth {} {}", now.depth, now.phase);
  snapshot.text = fmt::format("{} states  {:.1f} M/s generated  frontier {}", grouped(now.states),
                              rate_.per_second(now.generated) / 1e6, grouped(now.layer_states));
  if (now.layer_states > 0) {
    snapshot.fraction = static_cast<double>(now.layer_done) / static_cast<double>(now.layer_states);
  }
  snapshot.spilled = space_->used();
  snapshot.json =
      fmt::format("\"depth\":{},\"states\":{},\"generated\":{},\"frontier\":{},\"done\":{}",
                  now.depth, now.states, now.generated, now.layer_states, now.layer_done);
  return snapshot;
}

Result<ExpandSummary> Job::run(std::stop_token stop) {
  TRY(prepare());
  report_ = Report::start("expand", options_.job, *budget_);
  const std::string checkpoint = TRY(read_checkpoint(work_, configured_, out_));
  const auto save = [&](const std::string& text) {
    return write_durably(work_.anchor(),
                         checkpoint_text({configured_, packing_of(problem_), text}));
  };
  if (checkpoint.empty() || checkpoint == "null") {
    TRY(work_.clear());
    TRY(save("null"));
  } else {
    TRY(search_->restore(checkpoint));
    resumed_ = has_checkpoint_ = true;
  }
  rate_.per_second(search_->progress().generated);  // what earlier runs did does not count
  progress_ =
      Progress::start(options_.job.progress, options_.job.memory, [this] { return snapshot(); });
  if (resumed_)
    progress_->note(
        fmt::format("resuming {} at depth {}", out_, search_->state().layers.size() - 1));
  // The user's stop, or the governor's.
  std::stop_source ending;
  const std::stop_callback forward(stop, [&] { ending.request_stop(); });
  std::optional<Error> exceeded;
  auto governor = std::make_unique<Governor>(
      *budget_, Governor::Options{.limit = options_.job.memory,
                                  .reserve = reserve_of(options_.job.memory),
                                  .exceeded = [&](Error error) {
                                    exceeded.emplace(std::move(error));
                                    ending.request_stop();
                                  }});
  auto searched = search_->run(ending.get_token(), [&](const std::string& text) {
    has_checkpoint_ = true;
    return save(text);
  });
  governor.reset();
  progress_.reset();
  report_->finish();
  if (!searched) {
    Error error = exceeded ? std::move(*exceeded) : std::move(searched).error();
    if (error.code() == Code::kScratchFull || error.code() == Code::kDiskFull) {
      return fail(
          Error(error.code(),
                error.message() + "; run the same command again when there is room: it resumes"));
    }
    return fail(std::move(error));
  }
  return finish();
}

void Job::describe_for_report(const Sums& sums) {
  report_->fact("configuration", configured_);
  report_->fact("problem", Json(problem_.name()).dump());
  report_->fact("arguments", problem_.arguments_json());
  report_->fact("states", fmt::format("{}", sums.states));
  report_->fact("generated", fmt::format("{}", sums.generated));
  report_->fact("duplicates", fmt::format("{}", sums.duplicates));
  report_->fact("depth", fmt::format("{}", search_->state().layers.size() - 1));
  report_->fact("resumed", resumed_ ? "true" : "false");
  report_->fact("scratch_peak_bytes", fmt::format("{}", space_->peak().count()));
  report_->fact("scratch_written_bytes", fmt::format("{}", space_->written().count()));
  for (const auto& [key, value] : search_->figures()) report_->fact(key, value);
  ReportTable table{"Layers", {"depth", "new", "generated", "duplicate"}, {}};
  for (size_t depth = 0; depth < search_->state().layers.size(); ++depth) {
    const LayerRow& row = search_->state().layers[depth];
    table.rows.push_back({fmt::format("{}", depth), fmt::format("{}", row.fresh),
                          fmt::format("{}", row.generated), fmt::format("{}", row.duplicate)});
  }
  report_->table(std::move(table));
}

Result<ExpandSummary> Job::finish() {
  const SearchState& state = search_->state();
  const Sums sums = TRY(balance(state));
  if (options_.states != StatesOutput::kNone) {
    search_->retire();
    TRY(write_states(problem_, options_.states, *search_, out_ + "/states", *budget_, space_));
  }
  describe_for_report(sums);
  TRY(write_durably(out_ + "/report.json", report_->json()));
  if (!options_.job.report.empty()) {
    const bool html = options_.job.report.ends_with(".html");
    TRY(write_durably(options_.job.report, html ? report_->html() : report_->json()));
  }
  TRY(write_durably(out_ + "/layers.csv", layers_csv(state)));
  TRY(write_durably(out_ + "/result.json",
                    result_json(problem_, options_, state, sums, search_->complete())));
  ExpandSummary summary;
  summary.states = sums.states;
  summary.generated = sums.generated;
  summary.duplicates = sums.duplicates;
  summary.frontier = state.frontier;
  summary.depth = static_cast<uint32_t>(state.layers.size() - 1);
  summary.complete = search_->complete();
  summary.out = out_;
  summary.peak_memory = report_->peak();
  if (state.has_best)
    summary.best_drawing = problem_.draw(view_of(problem_.traits().form, state.best));
  search_.reset();
  TRY(work_.remove());
  return summary;
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
  if (options.resume == Resume::kAuto) {
    if (auto done = TRY(finished(out, configuration(problem, options)))) {
      std::error_code error;
      if (fs::exists(out + "/.spillway", error)) TRY(TRY(work_folder(out)).remove());
      return *done;
    }
  }
  WorkFolder work = TRY(work_folder(out));
  if (options.resume == Resume::kNever) TRY(work.clear());
  TRY(widen_like_checkpoint(problem, work));
  const bool fresh = !work.has_anchor();
  while (true) {
    Job job(problem, options, out, work);
    auto summary = job.run(stop);
    if (summary) return summary;
    if (summary.error().code() != Code::kOverflow) {
      // Nothing to resume: leave nothing behind.
      std::error_code error;
      if (fresh && !job.has_checkpoint()) {
        TRY(work.remove());
        if (fs::is_empty(out, error)) fs::remove(out, error);
      }
      return summary;
    }
    TRY(problem.widen());
    TRY(work.clear());
  }
}

Result<std::string> explain_memory(Problem& problem, const ExpandOptions& options) {
  const Needs needs = TRY(needs_or_refusal(problem, options));
  std::string text =
      fmt::format("{:<10} {:>10}  ({})\n{:<10} {:>10}  for this job with {} threads\n", "memory",
                  to_string(options.job.memory), options.job.memory_source, "least",
                  to_string(least_needs(problem, options).memory), options.job.threads);
  Bytes free = options.job.memory;
  for (const MemoryPlan::Item& item : needs.items) {
    text += fmt::format("{:<10} {:>10}  {}\n", item.name, to_string(item.bytes), item.purpose);
    if (item.name != "states") free -= item.bytes;
  }
  return text +
         fmt::format("{:<10} {:>10}  candidates and stores; what does not fit goes to scratch\n",
                     "shared", to_string(free));
}

}  // namespace spillway::expand

#include "transform/job/apply_journal.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "core/disk/corrupt.hpp"
#include "core/file/folders.hpp"
#include "core/json.hpp"
#include "transform/job/other_run.hpp"

namespace spillway::transform {
namespace {

OrderedJson run_json(const DurableRun& run) {
  return {run.file, run.bytes, run.frames, run.records};
}
DurableRun run_of(const OrderedJson& json) {
  return {json.at(0).get<std::string>(), json.at(1), json.at(2), json.at(3)};
}

}  // namespace

std::string ApplyJournal::runs_folder(const WorkFolder& work, unsigned step) {
  return fmt::format("{}/step-{}-runs", work.path(), step);
}

Result<ApplyJournal> ApplyJournal::open(const WorkFolder& work, const std::string& configuration,
                                        unsigned steps, size_t rules) {
  ApplyJournal made(work.anchor(), rules);
  auto opened = Journal::open(work.anchor(), configuration,
                              [&](std::string_view entry) { return made.replay(entry); });
  if (!opened) {
    Error error = std::move(opened).error();
    if (error.code() != Code::kUsage) return fail(std::move(error));
    const Journal::Head head = TRY(Journal::head_of(work.anchor()));
    return fail(other_run(work.path(), head.configuration, configuration));
  }
  made.journal_.emplace(std::move(*opened));
  for (unsigned step = 1; step <= steps; ++step) {
    TRY(remove_other_runs(runs_folder(work, step), made.under_way(step).runs));
  }
  return made;
}

Result<void> ApplyJournal::replay(std::string_view entry) {
  try {
    const OrderedJson json = OrderedJson::parse(entry);
    if (json.contains("output")) return {};
    const unsigned step = json.at("step");
    if (json.contains("done")) {
      const OrderedJson& from = json.at("done");
      StepFiles files;
      files.molecules = run_of(from.at(0));
      files.refusals = run_of(from.at(1));
      files.inputs = run_of(from.at(2));
      files.counts = TRY(Counts::from_json(json.at("counts").dump(), rules_));
      done_[step] = std::move(files);
      return {};
    }
    auto [at, fresh] = under_way_.try_emplace(step);
    StepState& state = at->second;
    if (fresh) state.counts = Counts(rules_);
    if (json.contains("run")) state.runs.push_back(run_of(json.at("run")));
    for (const OrderedJson& range : json.at("batches")) state.batches.add(range.at(0), range.at(1));
    state.counts.add(TRY(Counts::from_json(json.at("counts").dump(), rules_)));
  } catch (const std::exception& problem) {
    return fail_corrupt(fmt::format("{}: {}", anchor_, problem.what()));
  }
  return {};
}

StepState ApplyJournal::under_way(unsigned step) const {
  const auto at = under_way_.find(step);
  StepState state = at == under_way_.end() ? StepState() : at->second;
  if (state.counts.rules.empty()) state.counts = Counts(rules_);
  return state;
}

Result<void> ApplyJournal::add_run(unsigned step, const DurableRun* run, const RangeSet& batches,
                                   const Counts& counts) {
  OrderedJson line;
  line["step"] = step;
  if (run != nullptr) line["run"] = run_json(*run);
  line["batches"] = batches.ranges();
  line["counts"] = OrderedJson::parse(counts.to_json());
  return journal_->append(line.dump());
}

Result<void> ApplyJournal::begin_output() {
  return journal_->append(OrderedJson{{"output", true}}.dump());
}

Result<void> ApplyJournal::finish_step(unsigned step, StepFiles files, bool keep) {
  if (keep) {
    OrderedJson line;
    line["step"] = step;
    line["done"] = {run_json(files.molecules), run_json(files.refusals), run_json(files.inputs)};
    line["counts"] = OrderedJson::parse(files.counts.to_json());
    TRY(journal_->append(line.dump()));
  }
  done_[step] = std::move(files);
  return {};
}

}  // namespace spillway::transform

#include "cli/expand_command.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>

#include "core/memory/procstat.hpp"
#include "core/nearest.hpp"

namespace spillway::cli {
namespace {

constexpr const char* kDescription =
    "Breadth-first search of a state space, every state met exactly once, in the memory you give.\n"
    "The result is that of a plain first-in first-out search, whatever the memory and the threads.";

constexpr const char* kFooter = R"(Examples:
  spillway expand pancake 10 --memory 64MiB
  spillway expand puzzle 3x3 --states all --out puzzle
  spillway expand petri net.pnml --max-depth 40 --report net.html
  spillway expand ortho book.txt --memory 4GiB
  spillway expand pipe -- python3 my_problem.py

Results, in the output folder: layers.csv, result.json, SHA256SUMS, report.json, states/ with --states. A run that is interrupted,
killed or out of disk is continued by the same command.
Sizes are written like 64MiB or 4GiB. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 a limit was reached, 130 interrupted.)";

std::string problem_help() {
  std::string text = "Problems:\n";
  for (const expand::ProblemKind& kind : expand::problem_kinds()) {
    text += fmt::format("  {}\n      {}\n", kind.synopsis, kind.summary);
    std::string line = "     ";
    std::string_view rest = kind.help;
    while (!rest.empty()) {
      const size_t end = std::min(rest.find(' '), rest.size());
      if (line.size() + end > 110) {
        text += line + "\n";
        line = "     ";
      }
      line += ' ' + std::string(rest.substr(0, end));
      rest.remove_prefix(std::min(rest.size(), end + 1));
    }
    text += line + "\n";
  }
  return text;
}

}  // namespace

void ExpandCommand::add_to(CLI::App& app) {
  common_.job.threads = default_threads();
  app_ = app.add_subcommand("expand", kDescription);
  app_->allow_extras();
  app_->add_option("PROBLEM", problem_, "what to search, then its own arguments (see below)")
      ->required();
  app_->add_option("--out", out_, "output folder (default: ./<problem>-expand)")->type_name("DIR");
  app_->add_option("--identity", identity_,
                   "how states are told apart: 128-bit fingerprint, the bytes, 64-bit fingerprint")
      ->type_name("fp128|exact|fp64")
      ->check(CLI::IsMember({"fp128", "exact", "fp64"}));
  app_->add_option(
          "--states", states_,
          "also write every state, in discovery order, as Parquet: ids, or ids and contents")
      ->type_name("none|ids|all")
      ->check(CLI::IsMember({"none", "ids", "all"}));
  app_->add_option("--max-depth", max_depth_,
                   "stop when this depth is reached; its states are counted, not expanded")
      ->type_name("D");
  app_->add_option("--checkpoint", checkpoint_, "how often to make the work safe (default: 60s)")
      ->type_name("DURATION");
  app_->add_option(
          "--resume", resume_,
          "continue what a stopped run left in the folder (auto), or throw it away (never)")
      ->type_name("auto|never")
      ->check(CLI::IsMember({"auto", "never"}));
  common_.add_to(*app_);
  app_->footer(problem_help() + "\n" + kFooter);
}

// A word like --memry is most likely ours and misspelt, unless the problem knows it.
Result<void> ExpandCommand::check_extras(const std::vector<std::string>& extras) const {
  std::string known;
  for (const expand::ProblemKind& kind : expand::problem_kinds()) {
    if (kind.name == problem_) known = std::string(kind.synopsis) + " " + std::string(kind.help);
  }
  const std::vector<std::string> options = long_options(*app_);
  for (const std::string& word : extras) {
    if (!word.starts_with("--") || word.size() < 4) continue;
    const std::string name = word.substr(0, word.find('='));
    if (known.find(name) != std::string::npos) continue;
    const std::string near = nearest(name, options);
    if (!near.empty())
      return fail(Code::kUsage, fmt::format("unknown option '{}'; did you mean '{}'?", name, near));
  }
  return {};
}

// In `expand --copies 2 pipe` the 2 was taken for the problem.
Result<void> ExpandCommand::check_place(const std::vector<std::string>& extras) const {
  if (extras.empty() || !extras[0].starts_with("--")) return {};
  const std::string option = extras[0].substr(0, extras[0].find('='));
  for (const expand::ProblemKind& kind : expand::problem_kinds()) {
    if (kind.name == problem_) return {};
  }
  for (const expand::ProblemKind& kind : expand::problem_kinds()) {
    const bool named = std::find(extras.begin(), extras.end(), kind.name) != extras.end();
    if (!named || kind.synopsis.find(option) == std::string_view::npos) continue;
    return fail(Code::kUsage, fmt::format("{} is an option of {} and follows its name: expand {}",
                                          option, kind.name, kind.synopsis));
  }
  return {};
}

Result<void> ExpandCommand::run(const std::vector<std::string>& after_dashes, bool had_dashes,
                                std::stop_token stop) {
  std::vector<std::string> words = app_->remaining();
  TRY(check_place(words));
  if (problem_ != "plugin") TRY(check_extras(words));  // a plugin's words are its own
  if (had_dashes) {
    words.emplace_back("--");
    words.insert(words.end(), after_dashes.begin(), after_dashes.end());
  }
  expand::ExpandOptions options;
  options.job = TRY(common_.finish());
  options.out = out_;
  options.identity = identity_ == "exact"  ? expand::Identity::kExact
                     : identity_ == "fp64" ? expand::Identity::kFp64
                                           : expand::Identity::kFp128;
  options.states = states_ == "ids"   ? expand::StatesOutput::kIds
                   : states_ == "all" ? expand::StatesOutput::kAll
                                      : expand::StatesOutput::kNone;
  options.max_depth = max_depth_;
  auto checkpoint = parse_duration(checkpoint_);
  if (!checkpoint) return fail(std::move(checkpoint).error().with("--checkpoint"));
  options.checkpoint = *checkpoint;
  options.resume = resume_ == "never" ? expand::Resume::kNever : expand::Resume::kAuto;

  for (const std::string& word : words) {
    options.inputs.push_back(word);
    options.inputs.push_back(word.substr(word.find('=') + 1));  // of --option=FILE
  }
  const auto problem = TRY(expand::make_problem(problem_, words, {options.job.memory, stop}));
  if (options.job.explain_memory) {
    fmt::print("{}", TRY(expand::explain_memory(*problem, options)));
    return {};
  }
  say_memory_limit(options.job);
  const auto begin = std::chrono::steady_clock::now();
  const expand::ExpandSummary summary = TRY(expand::run(*problem, options, stop));
  print(summary, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  return {};
}

void ExpandCommand::print(const expand::ExpandSummary& summary, double seconds) const {
  fmt::print("{} states, {} generated, {} duplicates, depth {}{}\n", grouped(summary.states),
             grouped(summary.generated), grouped(summary.duplicates), summary.depth,
             summary.complete ? "" : " (stopped there: --max-depth)");
  if (summary.was_finished) {
    fmt::print("finished before; results and report in {} (--resume never does it again)\n",
               summary.out);
  } else {
    fmt::print("{:.2f} s, peak memory {}; results in {}\n", seconds, to_string(summary.peak_memory),
               summary.out);
  }
  if (!summary.best_drawing.empty()) {
    fmt::print("\n{}{}", summary.best_drawing, summary.best_drawing.ends_with('\n') ? "" : "\n");
  }
}

}  // namespace spillway::cli

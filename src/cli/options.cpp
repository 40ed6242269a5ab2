#include "cli/options.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>

#include "core/printable.hpp"
#include "core/say.hpp"

namespace spillway::cli {
namespace {

// Text as troff wants it: no line starts with a control character, hyphens stay hyphens.
std::string troff(const std::string& text) {
  std::string out;
  bool line_start = true;
  for (const char c : text) {
    if (line_start && (c == '.' || c == '\'')) out += "\\&";
    if (c == '\\')
      out += "\\\\";
    else if (c == '-')
      out += "\\-";
    else
      out += c;
    line_start = c == '\n';
  }
  return out;
}

std::vector<const CLI::Option*> shown_options(const CLI::App& app) {
  std::vector<const CLI::Option*> shown;
  for (const CLI::Option* option : app.get_options()) {
    if (!option->get_lnames().empty() && !option->get_group().empty()) shown.push_back(option);
  }
  return shown;
}

// The commands below `app` and, behind each, those below it: "transform", "transform apply", ...
std::vector<std::pair<std::string, const CLI::App*>> commands_of(const CLI::App& app,
                                                                 const std::string& prefix) {
  std::vector<std::pair<std::string, const CLI::App*>> all;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    all.emplace_back(prefix + command->get_name(), command);
    for (auto& nested : commands_of(*command, all.back().first + " "))
      all.push_back(std::move(nested));
  }
  return all;
}

}  // namespace

void CommonOptions::add_to(CLI::App& app) {
  const std::string group = "Options of every job";
  app.add_option(
         "--memory", memory,
         "limit on the process's memory, RssAnon + RssShmem, as a size or as a share of the "
         "least of cgroup limit and RAM (default: 70%)")
      ->type_name("SIZE|P%")
      ->group(group);
  app.add_option("--threads", job.threads, "worker threads (default: all processors)")
      ->type_name("N")
      ->check(CLI::Range(1u, 256u))
      ->group(group);
  app.add_option(
         "--scratch", job.scratch,
         "folder on a disk for what may be lost (default: in the output folder); what a rerun "
         "continues from stays there")
      ->type_name("DIR")
      ->group(group);
  app.add_option("--scratch-limit", scratch_limit,
                 "most disk that scratch may use (default: 90 % of what is free)")
      ->type_name("SIZE")
      ->group(group);
  app.add_option("--progress", progress,
                 "live line (auto), a line every 5 s (plain), JSON lines (json), or none")
      ->type_name("auto|plain|json|none")
      ->check(CLI::IsMember({"auto", "plain", "json", "none"}))
      ->group(group);
  app.add_option("--report", job.report, "also write the report here, as JSON or as a page (.html)")
      ->type_name("FILE")
      ->group(group);
  app.add_flag("--overwrite", job.overwrite,
               "replace files that stand where results go and are not this job's own (never an "
               "input, never "
               "a folder of another run: that is --resume never)")
      ->group(group);
  app.add_flag("--explain-memory", job.explain_memory,
               "print who would get how much memory, and the least that works; then exit")
      ->group(group);
}

Result<JobOptions> CommonOptions::finish() const {
  JobOptions made = job;
  auto limit = parse_memory(memory);
  if (!limit) return fail(std::move(limit).error().with("--memory"));
  made.memory = limit->bytes;
  made.memory_source = limit->source;
  if (!scratch_limit.empty()) {
    auto parsed = parse_bytes(scratch_limit);
    if (!parsed) return fail(std::move(parsed).error().with("--scratch-limit"));
    made.scratch_limit = *parsed;
  }
  made.progress = progress == "plain"  ? ProgressMode::kPlain
                  : progress == "json" ? ProgressMode::kJson
                  : progress == "none" ? ProgressMode::kNone
                                       : ProgressMode::kAuto;
  if (!made.report.empty() && !made.report.ends_with(".json") && !made.report.ends_with(".html")) {
    return fail(Code::kUsage,
                fmt::format("--report {}: wants a name that ends in .json or .html", made.report));
  }
  return made;
}

Result<MemoryLimit> parse_memory(std::string_view text) {
  if (text.empty()) return memory_limit();
  if (!text.ends_with('%')) return MemoryLimit{TRY(parse_bytes(text)), "--memory"};
  double percent = 0;
  const char* const end = text.data() + text.size() - 1;
  const auto parsed = std::from_chars(text.data(), end, percent);
  if (parsed.ec != std::errc() || parsed.ptr != end || !(percent > 0 && percent <= 100)) {
    return fail(Code::kUsage,
                fmt::format("'{}' is not a share; write it like 70%, up to 100%", text));
  }
  return memory_limit(percent);
}

void say_memory_limit(const JobOptions& job) {
  if (job.memory_source == "--memory" || job.progress == ProgressMode::kNone) return;
  say(fmt::format("spillway: memory limit {} ({})\n", to_string(job.memory), job.memory_source));
}

Result<void> check_utf8(const std::vector<std::string>& words) {
  for (const std::string& word : words) {
    if (is_utf8(word)) continue;
    return fail(
        Code::kUsage,
        fmt::format("'{}': byte {} is not UTF-8, as words and names of files have to be here "
                    "(they stand in journals and reports); rename the file",
                    printable(word), utf8_length(word)));
  }
  return {};
}

Result<void> check_empty_values(const CLI::App& app, const std::vector<std::string>& words) {
  std::vector<std::string> options;
  for (const auto& [name, command] : commands_of(app, "")) {
    for (std::string& option : long_options(*command)) options.push_back(std::move(option));
  }
  const auto is_option = [&](std::string_view word) {
    return std::find(options.begin(), options.end(), word) != options.end();
  };
  for (size_t i = 0; i < words.size() && words[i] != "--"; ++i) {
    const std::string& word = words[i];
    const bool ends_empty = word.ends_with('=') && is_option(word.substr(0, word.size() - 1));
    const bool is_empty = word.empty() && i > 0 && is_option(words[i - 1]);
    if (!ends_empty && !word.empty()) continue;
    if (!ends_empty && !is_empty)
      return fail(Code::kUsage,
                  fmt::format("word {} is empty; a variable of the shell that is not set?", i + 1));
    return fail(Code::kUsage,
                fmt::format("{}: has an empty value; give one or leave the option out",
                            ends_empty ? word.substr(0, word.size() - 1) : words[i - 1]));
  }
  return {};
}

Result<std::chrono::milliseconds> parse_duration(std::string_view text) {
  double value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  const std::string_view unit(parsed.ptr,
                              static_cast<size_t>(text.data() + text.size() - parsed.ptr));
  const double factor = unit == "ms"                   ? 1
                        : unit == "s" || unit.empty()  ? 1e3
                        : unit == "m" || unit == "min" ? 6e4
                        : unit == "h"                  ? 3.6e6
                                                       : 0;
  // Asked this way round because from_chars reads "nan" too, which no comparison holds for.
  const bool in_range = value >= 0 && value * factor <= 1e12;
  if (parsed.ec != std::errc() || factor == 0 || !in_range) {
    return fail(Code::kUsage,
                fmt::format("'{}' is not a duration; write it like 60s, 500ms or 2m", text));
  }
  return std::chrono::milliseconds(static_cast<int64_t>(value * factor));
}

std::vector<std::string> long_options(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

std::string man_page(const CLI::App& app) {
  std::string page = fmt::format(
      ".TH SPILLWAY 1 \"\" \"spillway {}\" \"User Commands\"\n.SH NAME\nspillway \\- {}\n.SH "
      "SYNOPSIS\n",
      SPILLWAY_VERSION, troff("datasets bigger than your memory, in the memory you give"));
  for (const auto& [name, command] : commands_of(app, ""))
    page += fmt::format(".B spillway {}\n[OPTIONS] ...\n.br\n", name);
  page += fmt::format(".SH DESCRIPTION\n{}\n", troff(app.get_description()));
  for (const auto& [name, command] : commands_of(app, "")) {
    page += fmt::format(".SH SPILLWAY {}\n.nf\n{}\n.fi\n", name, troff(command->get_description()));
    for (const CLI::Option* option : shown_options(*command)) {
      page += fmt::format(".TP\n.B {} {}\n{}\n", troff("--" + option->get_lnames().front()),
                          option->get_expected_max() > 0 ? troff(option->get_type_name()) : "",
                          troff(option->get_description()));
    }
    page += fmt::format(".PP\n.nf\n{}\n.fi\n", troff(command->get_footer()));
  }
  return page +
         ".SH EXIT STATUS\n0 done, 1 failed, 2 wrong usage, 3 a limit was reached, 130 "
         "interrupted.\n";
}

std::string bash_completion(const CLI::App& app) {
  std::string commands, cases;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    commands += command->get_name() + " ";
    std::string words;
    for (const std::string& option : long_options(*command)) words += option + " ";
    for (const auto& [name, nested] : commands_of(*command, "")) {
      words += name + " ";
      for (const std::string& option : long_options(*nested)) {
        if (option != "--help") words += option + " ";
      }
    }
    if (command->get_name() == "expand") words += "$(spillway help problems 2>/dev/null)";
    cases += fmt::format("    {}) words=\"{}\" ;;\n", command->get_name(), words);
  }
  return fmt::format(R"(# bash completion for spillway
_spillway() {{
  local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD-1]}} words=
  case $prev in
    --out|--scratch) COMPREPLY=($(compgen -d -- "$cur")); return ;;
    --report) COMPREPLY=($(compgen -f -- "$cur")); return ;;
    --identity) COMPREPLY=($(compgen -W "fp128 exact fp64" -- "$cur")); return ;;
    --states) COMPREPLY=($(compgen -W "none ids all" -- "$cur")); return ;;
    --resume) COMPREPLY=($(compgen -W "auto never" -- "$cur")); return ;;
    --order) COMPREPLY=($(compgen -W "key input" -- "$cur")); return ;;
    --fragments) COMPREPLY=($(compgen -W "keep matched" -- "$cur")); return ;;
    --chemistry) COMPREPLY=($(compgen -W "flat rdkit" -- "$cur")); return ;;
    --descriptors) COMPREPLY=($(compgen -W "none basic all" -- "$cur")); return ;;
    --progress) COMPREPLY=($(compgen -W "auto plain json none" -- "$cur")); return ;;
  esac
  case ${{COMP_WORDS[1]}} in
{}    *) words="{}help --help --version" ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$cur") $(compgen -f -- "$cur"))
}}
complete -o filenames -F _spillway spillway
)",
                     cases, commands);
}

}  // namespace spillway::cli

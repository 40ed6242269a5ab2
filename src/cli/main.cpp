#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>
#include <stop_token>
#include <system_error>
#include <thread>

#include "cli/expand_command.hpp"
#include "cli/export_command.hpp"
#include "cli/options.hpp"
#include "cli/transform_command.hpp"
#include "core/job/runtime.hpp"
#include "core/nearest.hpp"
#include "core/printable.hpp"
#include "core/say.hpp"
#include "expand/problem/problem.hpp"

namespace spillway::cli {
namespace {

// The first SIGINT, SIGTERM or SIGHUP asks the job to stop, the second ends the process at once;
// SIGUSR1 asks where it is and who holds the memory. A process that was started to ignore one of them
// (nohup) does. Signals are blocked in every thread and taken by one, so that nothing runs in a
// signal handler. Where no job runs that could keep something (what is asked for is looked at, or
// printed to nobody), the process ends by itself soon after, later than what names whose fault it is.
class Signals {
 public:
  Signals() {
    std::signal(SIGPIPE, SIG_IGN);
    std::signal(SIGXFSZ, SIG_IGN);
    sigemptyset(&set_);
    for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGUSR1}) {
      struct sigaction now {};
      const bool is_ignored = sigaction(number, nullptr, &now) == 0 && now.sa_handler == SIG_IGN;
      if (!is_ignored || number == SIGUSR1) sigaddset(&set_, number);
    }
    pthread_sigmask(SIG_BLOCK, &set_, nullptr);
    thread_ = std::jthread([this](const std::stop_token& end) { wait(end); });
  }
  ~Signals() {
    thread_.request_stop();
    pthread_kill(thread_.native_handle(), SIGUSR1);
  }
  std::stop_token token() const { return source_.get_token(); }

 private:
  void wait(const std::stop_token& end) {
    while (true) {
      const timespec patience{1, 750'000'000};
      const int number = source_.stop_requested() ? sigtimedwait(&set_, nullptr, &patience)
                                                  : sigwaitinfo(&set_, nullptr);
      if (end.stop_requested()) return;
      if (number == SIGUSR1) {
        if (isatty(STDERR_FILENO) != 0) say("\r\x1b[K");  // over the live line
        say(JobRuntime::status());
      } else if (number > 0 && source_.stop_requested()) {
        say("\nspillway: stopped at once; the same command goes on from what was saved\n");
        _exit(130);
      } else if (number > 0) {
        say(fmt::format("\nspillway: {}\n", JobRuntime::stop_notice()));
        source_.request_stop();
      } else if (source_.stop_requested() && errno == EAGAIN && !JobRuntime::is_any_running()) {
        say("spillway: stopped\n");
        _exit(130);
      }
    }
  }
  sigset_t set_{};
  std::stop_source source_;
  std::jthread thread_;
};

// RDKit's recursion over a molecule takes some 700 bytes an atom; `ulimit -s` decides otherwise, and
// where it is unlimited a thread gets 2 MiB.
void give_threads_stack() {
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes) != 0) return;
  if (pthread_attr_setstacksize(&attributes, size_t{8} << 20) == 0)
    (void)pthread_setattr_default_np(&attributes);
  pthread_attr_destroy(&attributes);
}

// Failures are results, all but two: no memory or no thread from the system, within a ulimit say. Then
// the process ends at once, as by kill -9, which every job survives, but says why.
[[noreturn]] void say_why_and_end() {
  int code = 1;
  try {
    if (const auto thrown = std::current_exception()) std::rethrow_exception(thrown);
    std::abort();
  } catch (const std::bad_alloc&) {
    std::fputs(
        "spillway: the system gave no memory, though --memory allows it (ulimit -v, ulimit -d?); "
        "the "
        "same command continues\n",
        stderr);
    code = exit_code(Code::kMemoryLimit);
  } catch (const std::system_error& error) {
    std::fprintf(stderr,
                 "spillway: the system refused: %s (a thread? ulimit -v, -d, -u; try --threads 1); "
                 "the same command continues\n",
                 error.what());
    code = exit_code(Code::kMemoryLimit);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "spillway: internal error: %s\n", error.what());
  }
  _exit(code);
}

int report(const Error& error) {
  std::string line = error.message();
  for (char& c : line) {
    if (c == '\n') c = ' ';
  }
  if (error.code() == Code::kInternal) {
    say(fmt::format("spillway: internal error: {}\n", line));
  } else {
    say(fmt::format("spillway: {}\n", line));
  }
  return exit_code(error.code());
}

int usage_error(const CLI::App& app, const std::vector<std::string>& words,
                const CLI::ParseError& error) {
  std::string line = error.what();
  // As far as the words name commands: of which there may be more to name.
  const CLI::App* at = &app;
  std::string path = "spillway";
  size_t named = 0;
  for (; named < words.size(); ++named) {
    const auto next = at->get_subcommands(
        [&](const CLI::App* command) { return command->get_name() == words[named]; });
    if (next.empty()) break;
    at = next[0];
    path += " " + words[named];
  }
  std::vector<std::string> commands;
  for (const CLI::App* command : at->get_subcommands([](const CLI::App*) { return true; }))
    commands.push_back(command->get_name());
  const bool has_word = named < words.size() && !words[named].starts_with("-");
  if (named == 0) commands.emplace_back("help");
  if (!commands.empty() && at->get_require_subcommand_min() > 0 && named == words.size()) {
    line = fmt::format("which command? {}; see {} --help", fmt::join(commands, ", "), path);
  } else if (!commands.empty() && has_word &&
             (named == 0 || at->get_require_subcommand_min() > 0)) {
    const std::string near = nearest(words[named], commands);
    line = fmt::format(
        "unknown command '{}'{}", words[named],
        near.empty() ? fmt::format("; see {} --help", path) : "; did you mean '" + near + "'?");
  } else if (named == 0 && !words.empty()) {
    const std::vector<std::string> options{"--help", "--version"};
    const std::string near = nearest(words[0], options);
    line = fmt::format("unknown option '{}'{}", words[0],
                       near.empty() ? "; see spillway --help" : "; did you mean '" + near + "'?");
  }
  for (char& c : line) {
    if (c == '\n') c = ' ';
  }
  say(fmt::format("spillway: {}\n", without_controls(without_secrets(line))));
  return 2;
}

int help_text(const CLI::App& app, const std::vector<std::string>& words) {
  const std::string topic = words.size() > 1 ? words[1] : "";
  if (topic == "man") {
    fmt::print("{}", man_page(app));
  } else if (topic == "completion") {
    fmt::print("{}", bash_completion(app));
  } else if (topic == "problems") {
    for (const expand::ProblemKind& kind : expand::problem_kinds()) fmt::print("{}\n", kind.name);
  } else if (topic.empty()) {
    fmt::print("{}", app.help());
  } else {
    for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
      if (command->get_name() != topic) continue;
      fmt::print("{}", command->help());
      return 0;
    }
    fmt::print(stderr,
               "spillway: no help on '{}'; try: spillway help [COMMAND|man|completion|problems]\n",
               topic);
    return 2;
  }
  return 0;
}

int run(std::vector<std::string> words) {
  CLI::App app("spillway: datasets bigger than your memory, in the memory you give.", "spillway");
  app.set_version_flag("--version", std::string("spillway ") + SPILLWAY_VERSION);
  app.require_subcommand(1);
  app.get_formatter()->column_width(34);
  app.footer(
      "spillway COMMAND --help tells more. spillway help man | completion prints the man page or "
      "the bash completion.\n"
      "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 a limit was reached, 130 interrupted.");
  ExpandCommand expand;
  expand.add_to(app);
  TransformCommand transform;
  transform.add_to(app);
  ExportCommand export_command;
  export_command.add_to(app);
  if (auto checked = check_utf8(words); !checked) return report(checked.error());
  if (!words.empty() && words[0] == "help") return help_text(app, words);

  std::vector<std::string> after;
  const auto dashes = std::find(words.begin(), words.end(), "--");
  const bool had_dashes = dashes != words.end();
  if (had_dashes) {
    after.assign(dashes + 1, words.end());
    words.erase(dashes, words.end());
  }
  try {
    std::vector<std::string> reversed(words.rbegin(), words.rend());
    app.parse(reversed);
  } catch (const CLI::Success& wanted) {
    return app.exit(wanted);
  } catch (const CLI::ParseError& error) {
    return usage_error(app, words, error);
  }
  if (auto checked = check_empty_values(app, words); !checked) return report(checked.error());
  give_threads_stack();
  Signals signals;
  const auto run_chosen = [&] {
    if (transform.chosen()) return transform.run(signals.token());
    if (export_command.chosen()) return export_command.run(signals.token());
    return expand.run(after, had_dashes, signals.token());
  };
  auto done = run_chosen();
  // Here, where a stop still ends a wait for who should read it.
  if (std::fflush(stdout) != 0 && errno != EPIPE && done)
    done = fail(Error::from_errno("writing to stdout", errno));
  return done ? 0 : report(done.error());
}

}  // namespace
}  // namespace spillway::cli

int main(int argc, char** argv) {
  std::set_terminate(spillway::cli::say_why_and_end);
  return spillway::cli::run({argv + 1, argv + argc});
}

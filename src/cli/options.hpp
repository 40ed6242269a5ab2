// What all commands share on the command line: the common options, suggestions, and the texts made
// from them.
//
// The help text, the man page and the shell completion all come from the CLI11 description of the
// commands, so that they cannot drift apart.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "core/job/job.hpp"
#include "core/memory/procstat.hpp"
#include "core/result.hpp"

namespace CLI {
class App;
}

namespace spillway::cli {

// --memory, --threads, --scratch, --scratch-limit, --progress, --report, --overwrite,
// --explain-memory. Sizes stay text until finish().
struct CommonOptions {
  std::string memory, scratch_limit, progress = "auto";
  JobOptions job;

  void add_to(CLI::App& app);
  [[nodiscard]] Result<JobOptions> finish() const;
};

// "64MiB", or "70%" of the least of cgroup limit and RAM; "" for the default, 70%.
[[nodiscard]] Result<MemoryLimit> parse_memory(std::string_view text);

// Says what the limit is where the user did not.
void say_memory_limit(const JobOptions& job);

// "60s", "500ms", "2m", "1h".
[[nodiscard]] Result<std::chrono::milliseconds> parse_duration(std::string_view text);

// Words and names of files stand in journals and reports: kUsage, with the byte that is not UTF-8.
[[nodiscard]] Result<void> check_utf8(const std::vector<std::string>& words);
// An option of `app` or of a command below it that is given an empty value: always a mistake, such
// as a shell variable that is not set.
[[nodiscard]] Result<void> check_empty_values(const CLI::App& app,
                                              const std::vector<std::string>& words);

// All long options of a command ("--memory"), in help order.
std::vector<std::string> long_options(const CLI::App& app);

std::string man_page(const CLI::App& app);
std::string bash_completion(const CLI::App& app);

}  // namespace spillway::cli

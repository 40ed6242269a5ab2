// `spillway expand`: flags -> ExpandOptions -> expand::run().
#pragma once

#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "cli/options.hpp"
#include "expand/job/expand.hpp"

namespace spillway::cli {

class ExpandCommand {
 public:
  void add_to(CLI::App& app);
  // `after_dashes`: the words behind "--", for the problem.
  [[nodiscard]] Result<void> run(const std::vector<std::string>& after_dashes, bool had_dashes,
                                 std::stop_token stop);

 private:
  Result<void> check_extras(const std::vector<std::string>& extras) const;
  [[nodiscard]] Result<void> check_place(const std::vector<std::string>& extras) const;
  void print(const expand::ExpandSummary& summary, double seconds) const;

  CLI::App* app_ = nullptr;
  CommonOptions common_;
  std::string problem_, out_, identity_ = "fp128", states_ = "none", checkpoint_ = "60s",
                              resume_ = "auto";
  std::optional<uint32_t> max_depth_;
};

}  // namespace spillway::cli

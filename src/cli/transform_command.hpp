// `spillway transform apply|merge|rules|stats|verify`: flags -> options -> transform::...
#pragma once

#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "cli/options.hpp"

namespace spillway::cli {

class TransformCommand {
 public:
  TransformCommand();
  ~TransformCommand();
  void add_to(CLI::App& app);
  bool chosen() const;
  [[nodiscard]] Result<void> run(std::stop_token stop);

 private:
  struct Words;  // what the user wrote
  Result<void> apply(std::stop_token stop);
  Result<void> merge(std::stop_token stop);
  Result<void> rules();
  Result<void> stats(const std::stop_token& stop);
  Result<void> verify(std::stop_token stop);

  CLI::App* app_ = nullptr;
  CLI::App *apply_ = nullptr, *merge_ = nullptr, *rules_ = nullptr, *stats_ = nullptr,
           *verify_ = nullptr;
  std::unique_ptr<Words> words_;
};

}  // namespace spillway::cli

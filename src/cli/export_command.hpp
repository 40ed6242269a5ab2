// `spillway export`: flags -> ExportOptions -> exporter::run().
#pragma once

#include <optional>
#include <stop_token>
#include <string>

#include "cli/options.hpp"
#include "export/job/export.hpp"

namespace spillway::cli {

class ExportCommand {
 public:
  void add_to(CLI::App& app);
  bool chosen() const;
  [[nodiscard]] Result<void> run(std::stop_token stop);

 private:
  Result<exporter::ExportOptions> options() const;
  exporter::MappingFormat mapping_format() const;
  void add_run_options(CLI::App& app, bool is_remap);
  void add_voxel_options(CLI::App& app);
  void add_mapping_options(CLI::App& app, const char* what);
  Result<void> run_export(std::stop_token stop);
  Result<void> run_verify(std::stop_token stop);
  Result<void> print_spec() const;

  CLI::App *app_ = nullptr, *run_ = nullptr, *plan_ = nullptr, *verify_ = nullptr,
           *remap_ = nullptr, *make_spec_ = nullptr;
  CommonOptions common_;
  std::string source_, spec_, out_, mapping_,
      mapping_format_ = "auto", scale_ = "0", to_ = "arrow", payload_, axes_ = "zyx", shape_,
      dtype_, on_error_ = "stop", on_duplicate_ = "error", resume_ = "auto", missing_;
  std::optional<uint64_t> batch_size_, expect_blocks_;
  std::optional<unsigned> gzip_level_;
  std::string resolution_, target_shard_ = "1GiB";
  unsigned scales_ = 1;
  bool keep_empty_ = false;
};

}  // namespace spillway::cli

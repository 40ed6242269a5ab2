#include "cli/export_command.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <chrono>
#include <cstdio>

#include "core/procstat.hpp"

namespace spillway::cli {
namespace {

constexpr const char* kDescription =
    "Labelled volumes to Arrow shards or neuroglancer precomputed, in the memory you give.\n"
    "Any number of blocks and shards, any input order; the same bytes whatever the memory and the "
    "threads.";

constexpr const char* kFooter = R"(Examples:
  spillway export run blocks.bin --spec info.json --out shards --mapping bodies.txt --memory 1GiB
  curl -s http://host/api/node/.../blocks/... | spillway export run - --spec info.json --out shards
  spillway export run blocks.bin --spec info.json --out volume --to precomputed

Results, in the output folder: s<S>/<x>_<y>_<z>.arrow and .csv (or info and <key>/), manifest.json, report.json. A run
that is interrupted, killed or out of disk is continued by the same command.
Sizes are written like 64MiB or 4GiB. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 a limit was reached, 130 interrupted.)";

}  // namespace

void ExportCommand::add_run_options(CLI::App& app) {
  app.add_option("SOURCE", source_, "a blocks stream: a file, or - for stdin")->required();
  app.add_option("--spec", spec_, "the volume: a neuroglancer info JSON")
      ->type_name("FILE")
      ->required();
  app.add_option("--out", out_, "output folder")->type_name("DIR")->required();
  app.add_option("--mapping", mapping_,
                 "supervoxel to body: text, Parquet, or binary pairs; none: ids stay")
      ->type_name("FILE");
  app.add_option("--mapping-format", mapping_format_, "auto tells text and Parquet by content")
      ->type_name("auto|binary")
      ->check(CLI::IsMember({"auto", "binary"}));
  app.add_option("--scale", scale_, "index in the spec's scales of what the source holds")
      ->type_name("S");
  app.add_option("--to", to_, "what to write")
      ->type_name("arrow|precomputed")
      ->check(CLI::IsMember({"arrow", "precomputed"}));
  app.add_option("--batch-size", batch_size_,
                 "rows a record batch (default: the spec's batch_size, else 1)")
      ->type_name("N")
      ->check(CLI::Range(uint64_t{1}, uint64_t{1} << 20));
  app.add_option("--payload", payload_, "what the stream's payloads are, when not label blocks")
      ->type_name("lz4|raw")
      ->check(CLI::IsMember({"lz4", "raw"}));
  app.add_flag("--keep-empty", keep_empty_, "keep blocks whose mapped labels are all 0");
  app.add_option("--on-error", on_error_, "a bad block stops the run, or goes to rejects.csv")
      ->type_name("stop|reject")
      ->check(CLI::IsMember({"stop", "reject"}));
  app.add_option("--on-duplicate", on_duplicate_, "the same block twice with different content")
      ->type_name("error|first|last")
      ->check(CLI::IsMember({"error", "first", "last"}));
  app.add_option("--resume", resume_,
                 "keep the shards that a stopped run finished (auto), or begin anew (never)")
      ->type_name("auto|never")
      ->check(CLI::IsMember({"auto", "never"}));
  common_.add_to(app);
}

void ExportCommand::add_to(CLI::App& app) {
  common_.job.threads = default_threads();
  app_ = app.add_subcommand("export", kDescription);
  app_->require_subcommand(1);
  app_->footer(kFooter);
  run_ = app_->add_subcommand("run", "write the volume");
  add_run_options(*run_);
}

bool ExportCommand::chosen() const { return app_->parsed(); }

Result<exporter::ExportOptions> ExportCommand::options() const {
  using namespace exporter;
  ExportOptions options;
  options.job = TRY(common_.finish());
  options.source = source_;
  options.spec = spec_;
  options.out = out_;
  while (options.out.size() > 1 && options.out.ends_with('/')) options.out.pop_back();
  options.mapping = mapping_;
  options.mapping_format =
      mapping_format_ == "binary" ? MappingFormat::kBinary : MappingFormat::kAuto;
  const auto [end, error] =
      std::from_chars(scale_.data(), scale_.data() + scale_.size(), options.scale);
  if (error != std::errc() || end != scale_.data() + scale_.size())
    return fail(Code::kUsage, fmt::format("--scale {}: must be a number", scale_));
  options.to = to_ == "arrow" ? Target::kArrow : Target::kPrecomputed;
  options.batch_size = batch_size_;
  options.payload = payload_ == "lz4"   ? Payload::kLz4
                    : payload_ == "raw" ? Payload::kRaw
                                        : Payload::kByContent;
  options.keep_empty = keep_empty_;
  options.reject = on_error_ == "reject";
  options.duplicates = on_duplicate_ == "first"  ? Duplicates::kFirst
                       : on_duplicate_ == "last" ? Duplicates::kLast
                                                 : Duplicates::kError;
  options.resume = resume_ == "never" ? Resume::kNever : Resume::kAuto;
  return options;
}

Result<void> ExportCommand::run(std::stop_token stop) {
  const exporter::ExportOptions options = TRY(this->options());
  if (options.job.explain_memory) {
    fmt::print("{}", TRY(exporter::explain_memory(options)));
    return {};
  }
  if (options.job.memory_source != "--memory" && options.job.progress != ProgressMode::kNone)
    fmt::print(stderr, "spillway: memory limit {} ({})\n", to_string(options.job.memory),
               options.job.memory_source);
  const auto begin = std::chrono::steady_clock::now();
  const exporter::ExportSummary done = TRY(exporter::run(options, stop));
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  fmt::print("{} blocks in: {} written, {} empty, {} rejected, {} duplicates; {} shards\n",
             grouped(done.blocks_in), grouped(done.written), grouped(done.empty),
             grouped(done.rejected), grouped(done.duplicates), grouped(done.shards));
  if (done.was_finished) {
    fmt::print("finished before; results in {} (--resume never does it again)\n", done.out);
    return {};
  }
  fmt::print("{:.2f} s, {:.0f} blocks/s, {} written, peak memory {}; results in {}\n", seconds,
             static_cast<double>(done.blocks_in) / seconds, to_string(Bytes(done.bytes)),
             to_string(done.peak_memory), done.out);
  if (done.shards_skipped > 0)
    fmt::print("{} shards stood there already\n", grouped(done.shards_skipped));
  return {};
}

}  // namespace spillway::cli

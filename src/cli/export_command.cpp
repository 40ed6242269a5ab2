#include "cli/export_command.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <chrono>
#include <cstdio>

#include "core/memory/procstat.hpp"
#include "export/job/make_spec.hpp"
#include "export/job/plan.hpp"
#include "export/job/source.hpp"
#include "export/job/verify.hpp"

namespace spillway::cli {
namespace {

constexpr const char* kDescription =
    "Labelled volumes to Arrow shards or neuroglancer precomputed, in the memory you give.\n"
    "Any number of blocks and shards, any input order; the same bytes whatever the memory and the "
    "threads.";

constexpr const char* kFooter = R"(Examples:
  spillway export run blocks.bin --spec info.json --out shards --mapping bodies.txt --memory 1GiB
  spillway export run http://host/api/node/.../blocks/... --spec info.json --out shards
  spillway export run precomputed://https://host/volume --spec info.json --out shards --scale all
  spillway export run blocks.bin --spec info.json --out volume --to precomputed

Results, in the output folder: s<S>/<x>_<y>_<z>.arrow and .csv (or info and <key>/), manifest.json, report.json. A run
that is interrupted, killed or out of disk is continued by the same command.
Sizes are written like 64MiB or 4GiB. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 a limit was reached, 130 interrupted.)";

}  // namespace

void ExportCommand::add_voxel_options(CLI::App& app) {
  app.add_option("--axes", axes_, ".npy: what its axes are, first to last")
      ->type_name("zyx|xyz")
      ->check(CLI::IsMember({"zyx", "xyz"}));
  app.add_option("--shape", shape_, "raw voxels, x fastest: how many along x, y, z")
      ->type_name("X,Y,Z");
  app.add_option("--dtype", dtype_, "raw voxels: their type")
      ->type_name("uint8|uint16|uint32|uint64|int8|...");
}

void ExportCommand::add_mapping_options(CLI::App& app, const char* what) {
  app.add_option("--mapping", mapping_, what)->type_name("FILE");
  app.add_option("--mapping-format", mapping_format_,
                 "auto tells text and Parquet by content; binary: pairs of u64, binary32: of u32")
      ->type_name("auto|binary|binary32")
      ->check(CLI::IsMember({"auto", "binary", "binary32"}));
}

void ExportCommand::add_run_options(CLI::App& app, bool is_remap) {
  app.add_option("SOURCE", source_,
                 is_remap ? "the folder of an export to Arrow shards"
                          : "a blocks stream (a file, - for stdin, or an http(s) address), .npy, "
                            "NIfTI, raw voxels with --shape, a folder of Arrow shards, or a "
                            "precomputed volume (its folder, or precomputed://ADDRESS)")
      ->required();
  auto* const spec = app.add_option("--spec", spec_,
                                    is_remap ? "the volume (default: the folder's spec.json)"
                                             : "the volume: a neuroglancer info JSON")
                         ->type_name("FILE");
  if (!is_remap) {
    spec->required();
    add_voxel_options(app);
  }
  app.add_option("--out", out_, "output folder")->type_name("DIR");
  add_mapping_options(app, "supervoxel to body: text, Parquet, or binary pairs; none: ids stay");
  app.add_option("--scale", scale_,
                 "index in the spec's scales of what the source holds; all: the source has "
                 "scale 0, the others are built from it")
      ->type_name("S|all");
  app.add_option("--to", to_, "what to write")
      ->type_name("arrow|precomputed")
      ->check(CLI::IsMember({"arrow", "precomputed"}));
  app.add_option("--batch-size", batch_size_,
                 "rows a record batch (default: the spec's batch_size, else 1)")
      ->type_name("N")
      ->check(CLI::Range(uint64_t{1}, uint64_t{1} << 20));
  app.add_option(
         "--gzip-level", gzip_level_,
         "precomputed chunks with \"data_encoding\": \"gzip\": 1 fastest (default), 9 smallest")
      ->type_name("1..9")
      ->check(CLI::Range(1u, 9u));
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
  app.add_option("--missing", missing_,
                 "chunks of a precomputed source, or shards of an export, that are not there "
                 "(default: zero for chunks, error for shards)")
      ->type_name("zero|error")
      ->check(CLI::IsMember({"zero", "error"}));
  app.add_option("--expect-blocks", expect_blocks_,
                 "fail unless the source has exactly so many blocks")
      ->type_name("N");
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
  add_run_options(*run_, false);
  plan_ = app_->add_subcommand("plan", "say what run would write, and in what memory");
  add_run_options(*plan_, false);
  remap_ = app_->add_subcommand(
      "remap", "write Arrow shards again with another mapping; the blocks are copied as they are");
  add_run_options(*remap_, true);
  verify_ = app_->add_subcommand(
      "verify",
      "check what a run wrote: hashes, totals, CSV, Arrow, zstd, label blocks and labels");
  verify_->add_option("DIR", source_, "the folder of an export")->required();
  add_mapping_options(*verify_, "the run's mapping: then every label is checked against it");
  verify_->add_option("--memory", common_.memory, "limit on the process's memory, as for run")
      ->type_name("SIZE");
  verify_->add_option("--scratch", common_.job.scratch, "folder where a mapping is sorted")
      ->type_name("DIR");
  verify_->add_option("--scratch-limit", common_.scratch_limit, "most disk that it may use")
      ->type_name("SIZE");
  make_spec_ = app_->add_subcommand(
      "spec", "print an info JSON for a precomputed, .npy, NIfTI or raw volume");
  make_spec_->add_option("SOURCE", source_, "the volume")->required();
  add_voxel_options(*make_spec_);
  make_spec_->add_option("--scales", scales_, "how many, each half of the one before")
      ->check(CLI::Range(1u, 30u));
  make_spec_->add_option("--target-shard-size", target_shard_, "default: 1GiB")->type_name("SIZE");
  make_spec_
      ->add_option("--resolution", resolution_, "nm a voxel (default: the NIfTI header's, else 1)")
      ->type_name("x,y,z");
}

bool ExportCommand::chosen() const { return app_->parsed(); }

namespace {

template <class T>
Result<std::array<T, 3>> three(const std::string& text, const char* option) {
  std::array<T, 3> values{};
  const char *at = text.data(), *const end = text.data() + text.size();
  for (size_t i = 0; i < 3; ++i) {
    const auto [next, error] = std::from_chars(at, end, values[i]);
    if (error != std::errc() || !(values[i] > 0) ||
        (i < 2 ? next == end || *next != ',' : next != end))
      return fail(Code::kUsage,
                  fmt::format("{} {}: must be three numbers above 0 with commas", option, text));
    at = next + 1;
  }
  return values;
}

}  // namespace

exporter::MappingFormat ExportCommand::mapping_format() const {
  return mapping_format_ == "binary"     ? exporter::MappingFormat::kBinary
         : mapping_format_ == "binary32" ? exporter::MappingFormat::kBinary32
                                         : exporter::MappingFormat::kAuto;
}

Result<exporter::ExportOptions> ExportCommand::options() const {
  using namespace exporter;
  ExportOptions options;
  options.job = TRY(common_.finish());
  options.source = source_;
  options.spec = remap_->parsed() && spec_.empty() ? source_ + "/spec.json" : spec_;
  options.axes = axes_ == "xyz" ? Axes::kXyz : Axes::kZyx;
  if (!shape_.empty()) options.shape = TRY(three<int64_t>(shape_, "--shape"));
  options.dtype = dtype_;
  options.out = out_;
  while (options.out.size() > 1 && options.out.ends_with('/')) options.out.pop_back();
  options.mapping = mapping_;
  options.mapping_format = mapping_format();
  options.all_scales = scale_ == "all";
  if (!options.all_scales) {
    const auto [end, error] =
        std::from_chars(scale_.data(), scale_.data() + scale_.size(), options.scale);
    if (error != std::errc() || end != scale_.data() + scale_.size())
      return fail(Code::kUsage, fmt::format("--scale {}: must be a number or all", scale_));
  }
  options.to = to_ == "arrow" ? Target::kArrow : Target::kPrecomputed;
  options.batch_size = batch_size_;
  options.gzip_level = gzip_level_;
  options.payload = payload_ == "lz4"   ? Payload::kLz4
                    : payload_ == "raw" ? Payload::kRaw
                                        : Payload::kByContent;
  options.keep_empty = keep_empty_;
  options.reject = on_error_ == "reject";
  options.duplicates = on_duplicate_ == "first"  ? Duplicates::kFirst
                       : on_duplicate_ == "last" ? Duplicates::kLast
                                                 : Duplicates::kError;
  if (!missing_.empty()) options.missing = missing_ == "zero" ? Missing::kZero : Missing::kError;
  options.expect_blocks = expect_blocks_;
  options.resume = resume_ == "never" ? Resume::kNever : Resume::kAuto;
  return options;
}

Result<void> ExportCommand::print_spec() const {
  exporter::ExportOptions source;
  source.source = source_;
  source.axes = axes_ == "xyz" ? exporter::Axes::kXyz : exporter::Axes::kZyx;
  if (!shape_.empty()) source.shape = TRY(three<int64_t>(shape_, "--shape"));
  source.dtype = dtype_;
  const exporter::SourceKind kind = TRY(exporter::source_kind(source));
  if (kind == exporter::SourceKind::kBlockStream || kind == exporter::SourceKind::kArrowShards)
    return fail(Code::kUsage,
                source_ +
                    ": only precomputed, .npy, NIfTI and raw volumes (with --shape) say "
                    "their size");
  exporter::SpecOptions options;
  if (kind == exporter::SourceKind::kPrecomputed) {
    const exporter::Scale scale = TRY(exporter::Source::look(source)).volume()->scales.front();
    exporter::VoxelLayout layout;
    layout.size = scale.size;
    layout.resolution = scale.resolution;
    options.layout = layout;
    options.voxel_offset = scale.voxel_offset;
  }
  options.source = exporter::voxel_options(source, kind);
  options.scales = scales_;
  options.target_shard = TRY(parse_bytes(target_shard_));
  if (!resolution_.empty()) options.resolution = TRY(three<double>(resolution_, "--resolution"));
  fmt::print("{}", TRY(exporter::make_spec(options)));
  return {};
}

Result<void> ExportCommand::run(std::stop_token stop) {
  if (verify_->parsed()) return run_verify(stop);
  if (make_spec_->parsed()) return print_spec();
  if (plan_->parsed()) {
    fmt::print("{}", TRY(exporter::plan(TRY(options()), stop)));
    return {};
  }
  if (out_.empty()) return fail(Code::kUsage, "--out is required");
  return run_export(stop);
}

namespace {

void print_link(const exporter::ExportSummary& done) {
  if (done.link) fmt::print("to look at it: {}\n{}\n", done.link->serve, done.link->url);
}

}  // namespace

Result<void> ExportCommand::run_verify(std::stop_token stop) {
  exporter::VerifyOptions options;
  options.folder = source_;
  while (options.folder.size() > 1 && options.folder.ends_with('/')) options.folder.pop_back();
  options.mapping = mapping_;
  options.mapping_format = mapping_format();
  options.job = TRY(common_.finish());
  const auto found = TRY(exporter::verify(options, stop));
  fmt::print("{} shards, {} {}: all right\n", grouped(found.shards), grouped(found.rows),
             found.is_precomputed ? "chunks" : "rows");
  if (!found.has_manifest)
    fmt::print("no manifest.json: hashes, totals{} and what may be missing were not checked\n",
               found.is_precomputed ? "" : ", the order of rows");
  if (!found.is_precomputed && !found.checked_mapping)
    fmt::print("labels were not compared with a mapping (--mapping FILE does it)\n");
  if (found.strangers > 0)
    fmt::print("{} files that are no export's were not looked at ({}{})\n",
               grouped(found.strangers), found.stranger, found.strangers > 1 ? ", ..." : "");
  return {};
}

Result<void> ExportCommand::run_export(std::stop_token stop) {
  const exporter::ExportOptions options = TRY(this->options());
  if (options.job.explain_memory) {
    fmt::print("{}", TRY(exporter::explain_memory(options)));
    return {};
  }
  say_memory_limit(options.job);
  const auto begin = std::chrono::steady_clock::now();
  const exporter::ExportSummary done = TRY(exporter::run(options, stop));
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  fmt::print("{} blocks in: {} written, {} empty, {} rejected, {} duplicates; {} shards\n",
             grouped(done.blocks_in), grouped(done.written), grouped(done.empty),
             grouped(done.rejected), grouped(done.duplicates), grouped(done.shards));
  for (const exporter::ScaleSummary& scale : done.scales) {
    if (!options.all_scales) break;
    fmt::print("  scale {}: {} blocks {}: {} written, {} empty; {} shards\n", scale.scale,
               grouped(scale.blocks_in), scale.scale == 0 ? "in" : "built", grouped(scale.written),
               grouped(scale.empty), grouped(scale.shards));
  }
  if (done.missing > 0)
    fmt::print("{} chunks or shards of the source are not there: read as 0\n",
               grouped(done.missing));
  if (done.was_finished) {
    fmt::print("finished before; results and report in {} (--resume never does it again)\n",
               done.out);
    print_link(done);
    return {};
  }
  fmt::print("{:.2f} s, {:.0f} blocks/s, {} written, peak memory {}; results in {}\n", seconds,
             static_cast<double>(done.blocks_in) / seconds, to_string(Bytes(done.bytes)),
             to_string(done.peak_memory), done.out);
  if (done.scales_left > 0)
    fmt::print(
        "coarser scales of the source that were not asked for: {} (--scale all takes them)\n",
        done.scales_left);
  if (done.shards_skipped > 0)
    fmt::print("{} shards stood there already\n", grouped(done.shards_skipped));
  print_link(done);
  return {};
}

}  // namespace spillway::cli

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/memory/governor.hpp"
#include "export/block/gzip.hpp"
#include "export/job/checks.hpp"
#include "export/job/old_results.hpp"
#include "export/job/run_job.hpp"
#include "export/spec/sha256.hpp"
#include "net/address.hpp"

namespace spillway::exporter {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr uint64_t kMostSpec = uint64_t{16} << 20;

const char* name_of(Duplicates duplicates) {
  return duplicates == Duplicates::kError   ? "error"
         : duplicates == Duplicates::kFirst ? "first"
                                            : "last";
}

MemoryPlan::Needs memory_needs(const ExportOptions& options, const Source& source,
                               uint64_t batch_rows, bool downscales) {
  const Bytes floor = source.floor();
  return {.target = options.to,
          .from_voxels = downscales || source.needs_encoder(),
          .has_mapping = !options.mapping.empty(),
          .downscales = downscales,
          .batch_rows = batch_rows,
          .read_floor = downscales ? std::max(floor, downscale_floor()) : floor};
}

// What the output depends on.
Json configuration(const ExportOptions& options, const VolumeSpec& spec, uint64_t batch_rows,
                   const std::string& mapping_sha) {
  Sha256 hash;
  hash.add({reinterpret_cast<const uint8_t*>(spec.json.data()), spec.json.size()});
  Json json;
  json["version"] = SPILLWAY_VERSION;
  json["to"] = options.to == Target::kArrow ? "arrow" : "precomputed";
  json["source"] = net::identity(options.source);
  json["spec_sha256"] = hash.hex();
  json["mapping_sha256"] = mapping_sha.empty() ? Json(nullptr) : Json(mapping_sha);
  json["scale"] = options.all_scales ? Json("all") : Json(options.scale);
  if (options.to == Target::kArrow) json["batch_size"] = batch_rows;
  if (options.to == Target::kPrecomputed && writes_gzip(options, spec))
    json["gzip_level"] = options.gzip_level.value_or(Gzip::kFastest);
  json["payload"] = options.payload == Payload::kLz4   ? "lz4"
                    : options.payload == Payload::kRaw ? "raw"
                                                       : "by content";
  json["keep_empty"] = options.keep_empty;
  json["on_error"] = options.reject ? "reject" : "stop";
  json["on_duplicate"] = name_of(options.duplicates);
  return json;
}

}  // namespace

// The scale that is worked on next.
Result<void> ExportJob::plan_scale(uint32_t index) {
  const Scale& scale = spec_.scales[index];
  scale_ = index;
  plan_.grid = TRY(Grid::of(scale, index));
  plan_.sharding = scale.sharding;
  plan_.size = scale.size;
  if (options_.to == Target::kArrow) plan_.cells = Cells(plan_.grid, *scale.sharding);
  is_built_ = index > first_scale_ && !origin_->has_scale(spec_, index);
  builds_next_ = index + 1 < end_scale_ && !origin_->has_scale(spec_, index + 1);
  if (is_built_) step_in_ = TRY(scale_step(spec_, index - 1, options_.spec));
  if (builds_next_) step_out_ = TRY(scale_step(spec_, index, options_.spec));
  plan_.chunk = origin_->chunk_format(scale);
  // A precomputed scale is built of mapped ids.
  const bool is_mapped = is_built_ && options_.to == Target::kPrecomputed;
  plan_.mapping = is_mapped ? identity_.get() : mapping_.get();
  plan_.pictures = index == first_scale_ ? pictures_.get() : nullptr;
  return {};
}

Result<void> ExportJob::prepare(const std::stop_token& stop) {
  spec_ = TRY(VolumeSpec::parse(TRY(read_small_file(options_.spec, kMostSpec)), options_.spec));
  TRY(check_output(options_, spec_));
  first_scale_ = options_.scale;
  end_scale_ = options_.all_scales ? spec_.scales_to_write() : first_scale_ + 1;
  plan_.target = options_.to;
  plan_.keep_empty = options_.keep_empty;
  plan_.reject = options_.reject;
  plan_.last_wins = options_.duplicates == Duplicates::kLast;
  plan_.order_matters = options_.duplicates != Duplicates::kError;
  plan_.payload = options_.payload;
  plan_.gzip_level = options_.gzip_level.value_or(Gzip::kFastest);
  plan_.source = options_.source == "-" ? "stdin" : net::redacted(options_.source);
  origin_.emplace(TRY(Source::look(options_, stop)));
  bool downscales = false;
  for (uint32_t s = end_scale_; s-- > first_scale_;) {  // all are looked at before anything is done
    TRY(plan_scale(s));
    downscales |= builds_next_;
  }
  batch_rows_ = options_.batch_size.value_or(spec_.batch_size.value_or(1));
  memory_ =
      TRY(MemoryPlan::make_or_refuse(options_.job.memory, options_.job.threads,
                                     memory_needs(options_, *origin_, batch_rows_, downscales)));
  budget_ = Budget::create(options_.job.memory - memory_.reserve);
  ScratchSpace::Options scratch;
  scratch.folder = options_.job.scratch.empty() ? work_.path() : options_.job.scratch;
  scratch.limit = options_.job.scratch_limit.value_or(Bytes(0));
  space_ = TRY(ScratchSpace::create(scratch));
  read_account_ =
      TRY(budget_->open({"read", 1, memory_.read,
                         memory_.read + Bytes(BlockSource::kChunkBytes * 3 * memory_.threads)}));
  fetch_account_ = TRY(
      budget_->open({"fetch", 1, Bytes(0), std::min(origin_->wish(), options_.job.memory / 4)}));
  sort_account_ = TRY(budget_->open({"sort", 2, memory_.sort, std::nullopt}));
  if (downscales) {
    for (Account& account : part_accounts_)
      account = TRY(budget_->open({"parts", 2, memory_.parts, std::nullopt}));
  }
  work_account_ = TRY(budget_->open({"work", 3, memory_.work, memory_.work}));
  publish_account_ = TRY(budget_->open({"publish", 4, memory_.publish, memory_.publish}));
  Account mapping = TRY(budget_->open({"mapping", 3, memory_.mapping, std::nullopt}));
  Account table = TRY(budget_->open({"table", 3, Bytes(0), std::nullopt}));
  mapping_ = TRY(Mapping::load({.path = options_.mapping,
                                .format = options_.mapping_format,
                                .sort = mapping,
                                .table = table,
                                .space = space_,
                                .most_table_bytes = memory_.most_table_bytes},
                               stop));
  identity_ = TRY(Mapping::load({.sort = mapping, .table = table, .space = space_}, stop));
  budget_->retire(mapping);
  if (wants_page(options_)) {
    const bool opens_frames = TRY(source_kind(options_)) == SourceKind::kArrowShards;
    pictures_ = SlicePictures::create(
        {.size = spec_.scales[first_scale_].size, .opens_frames = opens_frames},
        TRY(budget_->open({"pictures", 3, Bytes(0), std::nullopt})));
  }
  config_ = configuration(options_, spec_, batch_rows_, mapping_->sha256()).dump();
  TRY(plan_scale(first_scale_));
  source_ = TRY(open_scale());
  glance_ = TRY(glance_at(options_.source));
  return open_publisher();
}

Result<void> ExportJob::open_publisher() {
  publisher_.reset();
  publisher_ =
      TRY(ShardPublisher::open(options_.out, work_.path(), config_, publish_account_, space_));
  return same_input("glance", glance_, "its size, its beginning or its end differ");
}

// Shards of one input and shards of another must never stand side by side.
Result<void> ExportJob::same_input(const std::string& what, const std::string& value,
                                   const char* how) {
  return publisher_->same_as_before(what, value, other_input(how));
}

std::string ExportJob::other_input(const char* how) const {
  return fmt::format(
      "{}: is not what the run read that is to be continued in {} ({}); give that again, or begin "
      "anew with --resume never",
      plan_.source, options_.out, how);
}

Result<void> ExportJob::same_glance() const {
  if (TRY(glance_at(options_.source)) == glance_) return {};
  return fail(Code::kInvalid, options_.source + ": was changed while it was read");
}

// ---- scale by scale --------------------------------------------------------------------------------

// Where the blocks of the scale in work come from.
Result<std::unique_ptr<BlockSource>> ExportJob::open_scale() {
  if (is_built_)
    return open_downscaled(std::move(parts_), std::move(part_file_), step_in_, plan_.grid,
                           read_account_);
  return origin_->open(spec_, scale_, plan_.grid, read_account_, fetch_account_, space_);
}

// Blocks in to shards written, of one scale, and the parts of the next.
Result<void> ExportJob::run_scale(uint32_t scale, const std::stop_token& stop) {
  if (scale > first_scale_) {
    TRY(plan_scale(scale));
    auto source = TRY(open_scale());
    MutexLock lock(source_mutex_);
    source_ = std::move(source);
  }
  ScaleSummary before{.written = counts_.written,
                      .empty = counts_.empty,
                      .rejected = counts_.rejected,
                      .duplicates = counts_.duplicates,
                      .shards = publisher_->shards()};
  TRY(ingest(stop));
  TRY(write(stop));
  const uint64_t blocks = source_->blocks();
  scales_.push_back({.scale = scale,
                     .blocks_in = blocks,
                     .written = counts_.written - before.written,
                     .empty = counts_.empty - before.empty,
                     .rejected = counts_.rejected - before.rejected,
                     .duplicates = counts_.duplicates - before.duplicates,
                     .shards = publisher_->shards() - before.shards});
  sort_runs_ += sort_->runs_written();
  sort_.reset();
  large_.reset();
  MutexLock lock(source_mutex_);
  source_.reset();
  blocks_before_ += blocks;
  return {};
}

Result<ExportSummary> ExportJob::run(std::stop_token stop) {
  TRY(prepare(stop));
  report_ = Report::start("export", options_.job, *budget_);
  progress_ =
      Progress::start(options_.job.progress, options_.job.memory, [this] { return snapshot(); });
  std::stop_source ending;
  const std::stop_callback forward(stop, [&] { ending.request_stop(); });
  std::optional<Error> exceeded;
  auto governor =
      std::make_unique<Governor>(*budget_, Governor::Options{.limit = options_.job.memory,
                                                             .reserve = memory_.reserve,
                                                             .exceeded = [&](Error error) {
                                                               exceeded.emplace(std::move(error));
                                                               ending.request_stop();
                                                             }});
  auto rewritten = rewrite(ending.get_token());
  Result<void> done;
  if (!rewritten) {
    done = fail(std::move(rewritten).error());
  } else if (!*rewritten) {
    for (uint32_t s = first_scale_; s < end_scale_ && done; ++s)
      done = run_scale(s, ending.get_token());
  }
  if (!done && publisher_) {  // what is whole is kept; the first error is the one to tell
    if (output_) (void)output_->save();
    (void)publisher_->flush();
  }
  governor.reset();
  progress_.reset();
  report_->finish();
  if (!done) {
    Error error = exceeded ? std::move(*exceeded) : std::move(done).error();
    if (error.code() == Code::kScratchFull || error.code() == Code::kDiskFull)
      return fail(Error(error.code(), error.message() +
                                          "; run the same command again when there is room: "
                                          "finished shards are kept"));
    return fail(std::move(error));
  }
  return finish();
}

namespace {

// A finished run of the same configuration: nothing is done again.
Result<std::optional<ExportSummary>> finished(const ExportOptions& options) {
  std::error_code error;
  if (!fs::exists(options.out + "/manifest.json", error) ||
      fs::exists(options.out + "/.spillway", error))
    return std::nullopt;
  const Manifest manifest = TRY(read_manifest(options.out + "/manifest.json", {}));
  const VolumeSpec spec =
      TRY(VolumeSpec::parse(TRY(read_small_file(options.spec, kMostSpec)), options.spec));
  const std::string mapping_sha =
      options.mapping.empty() ? "" : TRY(sha256_of_file(options.mapping));
  const Json config = configuration(
      options, spec, options.batch_size.value_or(spec.batch_size.value_or(1)), mapping_sha);
  if (manifest.options != config.dump())
    return fail(Code::kInvalid,
                fmt::format("{}: holds another finished run; remove it or choose another folder "
                            "with --out",
                            options.out));
  const auto changed = last_change(options.source);
  const bool is_newer =
      changed && *changed > fs::last_write_time(options.out + "/manifest.json", error);
  if (is_newer || manifest.glance != TRY(glance_at(options.source)))
    return fail(Code::kUsage,
                fmt::format("{}: was changed since the run that finished in {}; choose another "
                            "folder with --out, or do it again with --resume never",
                            options.source, options.out));
  ExportSummary summary;
  summary.blocks_in = manifest.blocks_in;
  summary.written = manifest.written;
  summary.empty = manifest.empty;
  summary.rejected = manifest.rejected;
  summary.duplicates = manifest.duplicates;
  summary.shards = manifest.shards;
  summary.scales = manifest.scales;
  summary.was_finished = true;
  if (options.to == Target::kPrecomputed && options.scale < spec.scales.size())
    summary.link = neuroglancer_link(options.out, spec.scales[options.scale]);
  summary.out = options.out;
  return summary;
}

}  // namespace

Result<ExportSummary> run(const ExportOptions& options, std::stop_token stop) {
  if (options.resume == Resume::kAuto) {
    if (auto done = TRY(finished(options))) return *done;
  }
  std::error_code error;
  const bool fresh = !fs::exists(options.out + "/.spillway", error);
  WorkFolder work = TRY(WorkFolder::inside(options.out, "journal", "manifest.json"));
  if (options.resume == Resume::kNever) {
    TRY(remove_old_results(options.out));
    TRY(work.clear());
  }
  ExportJob job(options, work);
  auto summary = job.run(stop);
  if (!summary && fresh) {
    const Code code = summary.error().code();
    if (code == Code::kUsage || code == Code::kMemoryLimit || code == Code::kNotFound) {
      TRY(work.remove());
      if (fs::is_empty(options.out, error)) fs::remove(options.out, error);
    }
  }
  return summary;
}

Result<std::string> explain_memory(const ExportOptions& options) {
  const Source source = TRY(Source::look(options));
  const auto needs =
      memory_needs(options, source, options.batch_size.value_or(1), options.all_scales);
  const MemoryPlan plan =
      TRY(MemoryPlan::make_or_refuse(options.job.memory, options.job.threads, needs));
  std::string text = fmt::format("{:<10} {:>10}  ({})\n", "memory", to_string(options.job.memory),
                                 options.job.memory_source);
  Bytes free = options.job.memory;
  for (const MemoryPlan::Item& item : plan.items()) {
    text += fmt::format("{:<10} {:>10}  {}\n", item.name, to_string(item.bytes), item.purpose);
    free -= item.bytes;
  }
  return text + fmt::format("{:<10} {:>10}  the mapping's table, and rows before they spill\n",
                            "shared", to_string(free));
}

}  // namespace spillway::exporter

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <tuple>

#include "core/budget.hpp"
#include "core/durable_file.hpp"
#include "core/governor.hpp"
#include "core/mutex.hpp"
#include "core/pipeline.hpp"
#include "core/progress.hpp"
#include "core/report.hpp"
#include "core/scratch.hpp"
#include "core/work_folder.hpp"
#include "export/export.hpp"
#include "export/histogram.hpp"
#include "export/input_mark.hpp"
#include "export/manifest.hpp"
#include "export/memory_plan.hpp"
#include "export/neuroglancer_link.hpp"
#include "export/old_results.hpp"
#include "export/rewrite.hpp"
#include "export/sha256.hpp"
#include "export/shard_output.hpp"
#include "export/shard_publisher.hpp"
#include "export/slice_pictures.hpp"
#include "export/source.hpp"

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

// How many scales --scale all writes.
uint32_t scales_of(const VolumeSpec& spec) {
  return static_cast<uint32_t>(
      std::min<uint64_t>(spec.scales.size(), spec.num_scales.value_or(spec.scales.size())));
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
  json["source"] = options.source;
  json["spec_sha256"] = hash.hex();
  json["mapping_sha256"] = mapping_sha.empty() ? Json(nullptr) : Json(mapping_sha);
  json["scale"] = options.all_scales ? Json("all") : Json(options.scale);
  if (options.to == Target::kArrow) json["batch_size"] = batch_rows;
  json["payload"] = options.payload == Payload::kLz4   ? "lz4"
                    : options.payload == Payload::kRaw ? "raw"
                                                       : "by content";
  json["keep_empty"] = options.keep_empty;
  json["on_error"] = options.reject ? "reject" : "stop";
  json["on_duplicate"] = name_of(options.duplicates);
  return json;
}

std::string page_of(const NeuroglancerLink& link) {
  std::string url, serve;
  for (const auto& [from, to] : {std::pair(&link.url, &url), std::pair(&link.serve, &serve)}) {
    for (const char c : *from)
      *to += c == '<' ? "&lt;" : c == '&' ? "&amp;" : c == '"' ? "&quot;" : std::string(1, c);
  }
  return fmt::format(
      "<p>Serve the folder, with byte ranges and for other origins: <code "
      "style=\"display:block;overflow-x:auto;white-space:"
      "nowrap;padding:.3rem 0\">{}</code>then open "
      "<a "
      "href=\"{}\">this volume in neuroglancer</a>.</p>",
      serve, url);
}

bool wants_page(const ExportOptions& options) { return options.job.report.ends_with(".html"); }

struct Counts {
  std::atomic<uint64_t> written{0}, empty{0}, rejected{0}, duplicates{0}, merged{0};
  std::atomic<uint64_t> rewritten{0}, rewritten_bytes{0};  // blocks that were not sorted
};

class Job {
 public:
  Job(const ExportOptions& options, WorkFolder& work) : options_(options), work_(work) {}
  Result<ExportSummary> run(std::stop_token stop);

 private:
  Result<void> prepare(const std::stop_token& stop);
  Result<bool> rewrite(const std::stop_token& stop);
  Result<void> plan_scale(uint32_t scale);
  Result<std::unique_ptr<BlockSource>> open_scale();
  Result<void> run_scale(uint32_t scale, const std::stop_token& stop);
  Result<void> ingest(std::stop_token stop);
  Result<void> write(const std::stop_token& stop);
  Result<void> write_reject(const RowHead& head, std::span<const uint8_t> reason);
  Result<void> write_info();
  Manifest manifest() const;
  Result<ExportSummary> finish();
  uint64_t blocks_in() const;
  ProgressSnapshot snapshot();
  void describe();
  Result<void> show_pictures();
  Result<void> open_publisher();
  Result<void> same_input(const std::string& what, const std::string& value, const char* how);
  std::string other_input(const char* how) const;
  Result<void> same_glance() const;

  const ExportOptions& options_;
  WorkFolder& work_;
  VolumeSpec spec_;
  std::optional<Source> origin_;
  uint32_t first_scale_ = 0, end_scale_ = 0;  // those that are written
  uint32_t scale_ = 0;                        // the one in work
  bool is_built_ = false;                     // from the scale before
  bool builds_next_ = false;
  WorkPlan plan_;
  MemoryPlan memory_;
  uint64_t batch_rows_ = 1;
  std::string config_;
  std::string glance_;
  ContentSum content_, seen_;  // of the first scale's blocks, of those of the scale in work
  std::unique_ptr<Budget> budget_;
  Account read_account_, work_account_, sort_account_, publish_account_, mapping_account_;
  std::array<Account, 2> part_accounts_;  // of the parts of even and odd scales
  std::shared_ptr<ScratchSpace> space_;
  std::unique_ptr<Mapping> mapping_, identity_;
  Mutex source_mutex_;                   // source_, beside the progress line
  std::unique_ptr<BlockSource> source_;  // of the scale in work
  std::unique_ptr<ExternalSort> parts_;  // of the next scale
  std::unique_ptr<PartFile> part_file_;
  ScaleStep step_in_, step_out_;  // to the scale in work, and to the next
  std::unique_ptr<ExternalSort> sort_;
  std::unique_ptr<LargeRoom> large_;
  std::unique_ptr<ShardPublisher> publisher_;
  std::unique_ptr<Report> report_;
  std::unique_ptr<Progress> progress_;
  struct Rates {
    Rate blocks, bytes;
  };
  std::array<Rates, 2> rates_;  // while reading, while writing
  std::unique_ptr<SlicePictures> pictures_;
  Counts counts_;
  std::atomic<uint64_t> blocks_before_{0};  // of the scales that are done
  uint64_t sort_runs_ = 0, mapping_pairs_ = 0;
  std::vector<ScaleSummary> scales_;  // done
  std::atomic<bool> writing_{false};

  // While writing:
  std::unique_ptr<ShardOutput> output_;
  OutputFigures output_figures_;
  std::unique_ptr<DurableFile> rejects_;
  Histogram sizes_in_{Histogram::Unit::kBytes};
};

// The scale that is worked on next.
Result<void> Job::plan_scale(uint32_t index) {
  const Scale& scale = spec_.scales[index];
  scale_ = index;
  plan_.grid = TRY(Grid::of(scale, index));
  plan_.sharding = scale.sharding;
  plan_.size = scale.size;
  if (options_.to == Target::kArrow) {
    const std::string where = fmt::format("{}: scales[{}] ({})", options_.spec, index, scale.key);
    if (!scale.sharding) return fail(Code::kUsage, where + ": Arrow shards need \"sharding\"");
    if (scale.sharding->hash != ShardHash::kIdentity)
      return fail(Code::kUsage,
                  where + ": Arrow shards need the hash \"identity\", not murmurhash3_x86_128");
    plan_.cells = Cells(plan_.grid, *scale.sharding);
  }
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

Result<void> Job::prepare(const std::stop_token& stop) {
  spec_ = TRY(VolumeSpec::parse(TRY(read_small_file(options_.spec, kMostSpec)), options_.spec));
  if (options_.scale >= spec_.scales.size())
    return fail(Code::kUsage, fmt::format("--scale {}: {} has {} scales, from 0", options_.scale,
                                          options_.spec, spec_.scales.size()));
  first_scale_ = options_.scale;
  end_scale_ = options_.all_scales ? scales_of(spec_) : first_scale_ + 1;
  plan_.target = options_.to;
  plan_.keep_empty = options_.keep_empty;
  plan_.reject = options_.reject;
  plan_.last_wins = options_.duplicates == Duplicates::kLast;
  plan_.order_matters = options_.duplicates != Duplicates::kError;
  plan_.payload = options_.payload;
  plan_.source = options_.source == "-" ? "stdin" : options_.source;
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
  if (wants_page(options_))
    pictures_ = SlicePictures::create(
        {.size = spec_.scales[first_scale_].size,
         .opens_frames = TRY(source_kind(options_)) == SourceKind::kArrowShards},
        TRY(budget_->open({"pictures", 3, Bytes(0), std::nullopt})));
  config_ = configuration(options_, spec_, batch_rows_, mapping_->sha256()).dump();
  TRY(plan_scale(first_scale_));
  source_ = TRY(open_scale());
  glance_ = TRY(glance_at(options_.source));
  return open_publisher();
}

Result<void> Job::open_publisher() {
  publisher_.reset();
  publisher_ =
      TRY(ShardPublisher::open(options_.out, work_.path(), config_, publish_account_, space_));
  return same_input("glance", glance_, "its size, its beginning or its end differ");
}

// Shards of one input and shards of another must never stand side by side.
Result<void> Job::same_input(const std::string& what, const std::string& value, const char* how) {
  return publisher_->same_as_before(what, value, other_input(how));
}

std::string Job::other_input(const char* how) const {
  return fmt::format(
      "{}: is not what the run read that is to be continued in {} ({}); give that again, or begin "
      "anew with --resume never",
      plan_.source, options_.out, how);
}

Result<void> Job::same_glance() const {
  if (TRY(glance_at(options_.source)) == glance_) return {};
  return fail(Code::kInvalid, options_.source + ": was changed while it was read");
}

// ---- shards to the same shards with another mapping ------------------------------------------------

// False when the source is none that can be rewritten shard by shard, or the place in it of each block
// makes a difference.
Result<bool> Job::rewrite(const std::stop_token& stop) {
  if (options_.all_scales || TRY(source_kind(options_)) != SourceKind::kArrowShards ||
      options_.to != Target::kArrow || plan_.order_matters)
    return false;
  const ShardRewrite::Options how{
      .plan = plan_,
      .scale = spec_.scales[options_.scale],
      .scale_index = options_.scale,
      .batch_rows = batch_rows_,
      .threads = memory_.threads,
      .reader = read_account_,
      .writer = work_account_,
      .more = sort_account_,
      .space = space_,
      .publisher = *publisher_,
      .refusal = other_input("its blocks differ"),
      .counts = {counts_.rewritten, counts_.rewritten_bytes, counts_.written, counts_.empty,
                 output_figures_.bytes, output_figures_.shards_open, output_figures_.shards_done}};
  auto work = TRY(ShardRewrite::open(source_->name(), how, stop));
  if (!work) return false;
  writing_ = true;
  if (TRY(work->run(stop))) {
    content_ = work->seen();
    sizes_in_ = work->sizes_in();
    output_figures_.block_sizes = work->sizes_out();
    output_figures_.rows_a_shard = work->rows_a_shard();
    TRY(same_glance());
    return true;
  }
  // A row is not where the name of its file says: all rows have to be sorted.
  writing_ = false;
  counts_.rewritten = counts_.rewritten_bytes = counts_.written = counts_.empty = 0;
  output_figures_.bytes = output_figures_.shards_open = output_figures_.shards_done = 0;
  TRY(publisher_->retract());
  TRY(open_publisher());
  return false;
}

uint64_t Job::blocks_in() const { return counts_.rewritten + blocks_before_; }

// ---- scale by scale --------------------------------------------------------------------------------

// Where the blocks of the scale in work come from.
Result<std::unique_ptr<BlockSource>> Job::open_scale() {
  if (is_built_)
    return open_downscaled(std::move(parts_), std::move(part_file_), step_in_, plan_.grid,
                           read_account_);
  return origin_->open(spec_, scale_, plan_.grid, read_account_, space_);
}

// Blocks in to shards written, of one scale, and the parts of the next.
Result<void> Job::run_scale(uint32_t scale, const std::stop_token& stop) {
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

// ---- blocks to sorted rows -----------------------------------------------------------------------

Result<void> Job::ingest(std::stop_token stop) {
  sort_ = TRY(ExternalSort::create(memory_.sort_options, sort_account_, space_));
  large_ = TRY(LargeRoom::create(TRY(work_account_.acquire(LargeRoom::room(), stop)), space_));
  const bool voxels = is_built_ || builds_next_ || origin_->needs_encoder();
  if (builds_next_) {
    parts_ = TRY(ExternalSort::create(memory_.part_options, part_accounts_[scale_ % 2], space_));
    part_file_ = std::make_unique<PartFile>();
    part_file_->space = space_;
  }
  struct Seat {
    std::unique_ptr<BlockWorker> worker;
    size_t input;
  };
  struct {
    Mutex mutex;
    std::vector<Seat> free GUARDED_BY(mutex);
  } seats;
  for (size_t i = 0; i < memory_.threads; ++i) {
    Lease lease = TRY(work_account_.acquire(BlockWorker::room(options_.to, voxels), stop));
    std::unique_ptr<PartMaker> parts;
    if (builds_next_) {
      const PartMaker::Options part{
          .step = step_out_, .keep_zero = plan_.keep_empty, .last_wins = plan_.last_wins};
      parts = std::make_unique<PartMaker>(part, *part_file_, parts_->input(i));
    }
    auto worker =
        TRY(BlockWorker::create(plan_, *large_, std::move(lease), voxels, std::move(parts)));
    MutexLock lock(seats.mutex);
    seats.free.push_back({std::move(worker), i});
  }
  Pipeline pipeline(stop);
  auto units = pipeline.source<BlockUnit>(
      {.name = "read", .out = {.items = size_t{2} * memory_.threads}},
      [&](const std::stop_token& token) -> Result<std::optional<Unit<BlockUnit>>> {
        auto unit = TRY(source_->next(token));
        if (!unit) return std::optional<Unit<BlockUnit>>();
        return std::optional(Unit<BlockUnit>{std::move(*unit), Lease()});
      });
  pipeline.sink<BlockUnit>(units,
                           {.name = "work", .threads = memory_.threads, .order = Order::kAny},
                           [&](Unit<BlockUnit> unit, Lease) -> Result<void> {
                             Seat seat;
                             {
                               MutexLock lock(seats.mutex);
                               seat = std::move(seats.free.back());
                               seats.free.pop_back();
                             }
                             auto taken = seat.worker->take(unit.value, sort_->input(seat.input));
                             if (taken) taken = mapping_->status();
                             MutexLock lock(seats.mutex);
                             seats.free.push_back(std::move(seat));
                             return taken;
                           });
  TRY(pipeline.run());
  {
    MutexLock lock(seats.mutex);
    seen_ = ContentSum();
    for (const Seat& seat : seats.free) seen_.join(seat.worker->seen());
  }
  large_->release();
  if (scale_ + 1 == end_scale_) budget_->retire(read_account_);
  return {};
}

// ---- sorted rows to shards -----------------------------------------------------------------------

Result<void> Job::write(const std::stop_token& stop) {
  writing_ = true;
  if (!is_built_) {
    const bool is_first = scale_ == first_scale_;
    if (is_first) content_ = seen_;
    TRY(same_glance());
    TRY(same_input(is_first ? "content" : fmt::format("content of scale {}", scale_), seen_.hex(),
                   "its blocks differ"));
  }
  const ShardOutput::Options how{.plan = plan_,
                                 .scale = spec_.scales[scale_],
                                 .scale_index = scale_,
                                 .batch_rows = batch_rows_,
                                 .threads = memory_.write_threads,
                                 .publisher = *publisher_,
                                 .figures = output_figures_,
                                 .large = *large_,
                                 .space = space_,
                                 .account = work_account_};
  output_ = TRY(ShardOutput::create(how, stop));
  Pages large_row = TRY(Pages::map(TRY(work_account_.acquire(largest_row(), stop))));
  if (options_.to == Target::kPrecomputed && scale_ == first_scale_) TRY(write_info());
  auto stream = TRY(sort_->stream());
  Place last_place{};
  RowHead last;
  bool has_last = false;
  uint64_t taken = 0;
  while (auto record = TRY(stream.next())) {
    if (++taken % 1024 == 0 && stop.stop_requested())
      return fail(Code::kCancelled, "stopped while writing shards");
    counts_.merged.store(blocks_before_ + taken, std::memory_order_relaxed);
    Place place;
    RowHead head;
    std::memcpy(place.data(), record->data(), kPlaceBytes);
    std::memcpy(&head, record->data() + kKeyBytes, sizeof head);
    std::span<const uint8_t> content = record->subspan(kKeyBytes + sizeof head);
    if (group_of(place) == kRejectGroup) {
      TRY(write_reject(head, content));
      continue;
    }
    if (has_last && place == last_place) {
      const bool same = std::equal(head.hash, head.hash + 2, last.hash);
      if (!same && options_.duplicates == Duplicates::kError)
        return fail(Code::kInvalid,
                    fmt::format("{}: block {},{},{} comes twice with different content "
                                "(--on-duplicate first|last chooses)",
                                plan_.source, head.at[0], head.at[1], head.at[2]));
      ++counts_.duplicates;
      continue;
    }
    has_last = true;
    last_place = place;
    last = head;
    if (head.is_empty != 0) {
      ++counts_.empty;
      continue;
    }
    if (head.is_large != 0) {
      CHECK(head.content() <= large_row.size());
      const std::span<uint8_t> room(large_row.data(), head.content());
      TRY(large_->file.read_at(head.offset, room));
      content = room;
    }
    TRY(output_->add(head, place, content));
    ++counts_.written;
    sizes_in_.add(head.block_size);
    if (report_ && taken % 4096 == 0) report_->count(taken, space_->used());
  }
  TRY(output_->finish());
  output_.reset();
  writing_ = false;
  return publisher_->flush();
}

Result<void> Job::write_reject(const RowHead& head, std::span<const uint8_t> reason) {
  if (!rejects_) {
    rejects_ =
        std::make_unique<DurableFile>(TRY(DurableFile::create(options_.out + "/rejects.csv")));
    TRY(rejects_->append(std::string_view("x,y,z,offset,reason\n")));
  }
  ++counts_.rejected;
  std::string text(reinterpret_cast<const char*>(reason.data()), reason.size());
  std::replace(text.begin(), text.end(), ',', ';');
  return rejects_->append(
      fmt::format("{},{},{},{},{}\n", head.at[0], head.at[1], head.at[2], head.offset, text));
}

// The volume's own info: the given one, without our keys, with what the chunks are.
Result<void> Job::write_info() {
  Json info = Json::parse(spec_.json);
  info.erase("batch_size");
  info.erase("num_scales");
  if (!info.contains("@type")) info["@type"] = "neuroglancer_multiscale_volume";
  info["type"] = "segmentation";
  info["data_type"] = "uint64";
  info["num_channels"] = 1;
  for (Json& scale : info["scales"]) {
    scale["encoding"] = "compressed_segmentation";
    scale["compressed_segmentation_block_size"] = {8, 8, 8};
    if (scale.contains("sharding") && scale["sharding"].is_null()) scale.erase("sharding");
  }
  Json kept = Json::array();  // only the scales that are written
  for (uint32_t s = first_scale_; s < end_scale_; ++s) kept.push_back(info["scales"][s]);
  info["scales"] = kept;
  return write_durably(options_.out + "/info", info.dump(2) + "\n");
}

Manifest Job::manifest() const {
  Manifest manifest;
  manifest.options = config_;
  manifest.glance = glance_;
  manifest.content = content_.hex();
  manifest.blocks_in = blocks_in();
  manifest.written = counts_.written;
  manifest.empty = counts_.empty;
  manifest.rejected = counts_.rejected;
  manifest.duplicates = counts_.duplicates;
  manifest.shards = publisher_->shards();
  if (options_.all_scales) manifest.scales = scales_;
  return manifest;
}

void Job::describe() {
  report_->fact("configuration", config_);
  report_->fact("blocks_in", fmt::format("{}", blocks_in()));
  report_->fact("written", fmt::format("{}", counts_.written.load()));
  report_->fact("empty", fmt::format("{}", counts_.empty.load()));
  report_->fact("rejected", fmt::format("{}", counts_.rejected.load()));
  report_->fact("duplicates", fmt::format("{}", counts_.duplicates.load()));
  report_->fact("shards", fmt::format("{}", publisher_->shards()));
  report_->fact("shards_skipped", fmt::format("{}", publisher_->skipped()));
  report_->fact("bytes_written", fmt::format("{}", publisher_->bytes()));
  report_->fact("threads", fmt::format("{}", memory_.threads));
  report_->fact("mapping_pairs", fmt::format("{}", mapping_->pairs()));
  report_->fact("mapping_in_memory", mapping_->is_in_memory() ? "true" : "false");
  report_->fact("sort_runs", fmt::format("{}", sort_runs_));
  report_->fact("scratch_peak_bytes", fmt::format("{}", space_->peak().count()));
  report_->fact("scratch_written_bytes", fmt::format("{}", space_->written().count()));
  const std::array<std::tuple<const Histogram*, const char*, const char*>, 3> histograms{{
      {&sizes_in_, "Block sizes before compression", "blocks"},
      {&output_figures_.block_sizes,
       options_.to == Target::kArrow ? "Block sizes, zstd" : "Chunk sizes", "blocks"},
      {&output_figures_.rows_a_shard, "Blocks a shard", "shards"},
  }};
  for (const auto& [histogram, title, what] : histograms) {
    if (histogram->count() == 0) continue;
    ReportTable table = histogram->table(title, what);
    table.on_page = false;
    report_->table(std::move(table));
    report_->picture({.title = title, .html = histogram->bars()});
  }
}

// After all else: what the rows and the mapping held is free for it.
Result<void> Job::show_pictures() {
  const Scale& scale = spec_.scales[first_scale_];
  if (options_.to == Target::kPrecomputed) {
    const NeuroglancerLink link = neuroglancer_link(options_.out, scale);
    report_->picture(
        {.title = "Look at it in neuroglancer", .html = page_of(link), .above_tables = true});
  }
  if (pictures_)
    report_->picture({.title = "The middle of the volume",
                      .html = TRY(pictures_->html(scale)),
                      .above_tables = true});
  return {};
}

Result<ExportSummary> Job::finish() {
  const uint64_t out = counts_.written + counts_.empty + counts_.rejected + counts_.duplicates;
  if (out != blocks_in())
    return fail(Code::kInternal,
                fmt::format("the counts do not balance: {} blocks in, {} written, {} empty, {} "
                            "rejected, {} duplicates",
                            blocks_in(), counts_.written.load(), counts_.empty.load(),
                            counts_.rejected.load(), counts_.duplicates.load()));
  std::error_code error;
  if (rejects_) {
    TRY(std::move(*rejects_).commit());
  } else {
    fs::remove(options_.out + "/rejects.csv", error);
  }
  describe();
  TRY(write_durably(options_.out + "/report.json", report_->json()));
  sort_.reset();
  large_.reset();
  if (wants_page(options_)) TRY(show_pictures());
  if (!options_.job.report.empty()) {
    TRY(write_durably(options_.job.report,
                      wants_page(options_) ? report_->html() : report_->json()));
  }
  if (options_.to == Target::kArrow) TRY(write_durably(options_.out + "/spec.json", spec_.json));
  TRY(write_manifest(options_.out + "/manifest.json", manifest(), spec_,
                     [&](const auto& take) { return publisher_->entries(take); }));
  ExportSummary summary;
  summary.blocks_in = blocks_in();
  summary.written = counts_.written;
  summary.empty = counts_.empty;
  summary.rejected = counts_.rejected;
  summary.duplicates = counts_.duplicates;
  summary.shards = publisher_->shards();
  summary.shards_skipped = publisher_->skipped();
  summary.bytes = publisher_->bytes();
  summary.peak_memory = report_->peak();
  summary.out = options_.out;
  summary.scales = scales_;
  if (options_.to == Target::kPrecomputed)
    summary.link = neuroglancer_link(options_.out, spec_.scales[first_scale_]);
  publisher_.reset();
  TRY(work_.remove());
  return summary;
}

ProgressSnapshot Job::snapshot() {
  ProgressSnapshot now;
  uint64_t here = 0, bytes = 0, bytes_total = 0;  // of the scale in work
  {
    MutexLock lock(source_mutex_);
    if (source_) {
      here = source_->blocks();
      bytes = source_->bytes_read();
      bytes_total = source_->bytes_total();
    }
  }
  const uint64_t in = blocks_in() + here, rewritten = counts_.rewritten,
                 done = rewritten + counts_.merged.load(std::memory_order_relaxed);
  const bool writing = writing_;
  now.phase = writing ? "write" : "read";
  Rates& rates = rates_[writing ? 1 : 0];
  const double blocks = rates.blocks.per_second(writing ? done : in);
  const double per_second = rates.bytes.per_second(
      writing ? output_figures_.bytes.load(std::memory_order_relaxed) : bytes);
  const uint64_t open = output_figures_.shards_open.load(std::memory_order_relaxed);
  const uint64_t closed = output_figures_.shards_done.load(std::memory_order_relaxed);
  now.text = fmt::format(
      "{} blocks in  {} written  {:.0f} blocks/s  {:.1f} MB/s  shards {} open {} done", grouped(in),
      grouped(counts_.written), blocks, per_second / 1e6, open, grouped(closed));
  if (options_.all_scales) now.text = fmt::format("scale {}  {}", scale_, now.text);
  if (writing && rewritten == 0 && in > 0) {
    now.fraction = static_cast<double>(done) / static_cast<double>(in);
  } else if (bytes_total > 0) {
    now.fraction =
        static_cast<double>(bytes + counts_.rewritten_bytes) / static_cast<double>(bytes_total);
  }
  now.spilled = space_->used();
  now.json = fmt::format(
      "\"blocks_in\":{},\"written\":{},\"blocks_per_second\":{:.0f},\"bytes_per_second\":{:.0f},"
      "\"shards_open\":{},\"shards_done\":{}",
      in, counts_.written.load(), blocks, per_second, open, closed);
  return now;
}

Result<ExportSummary> Job::run(std::stop_token stop) {
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
  Job job(options, work);
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

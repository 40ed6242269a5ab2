#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstring>
#include <deque>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "core/budget.hpp"
#include "core/durable_file.hpp"
#include "core/governor.hpp"
#include "core/mutex.hpp"
#include "core/pipeline.hpp"
#include "core/progress.hpp"
#include "core/report.hpp"
#include "core/scratch.hpp"
#include "core/work_folder.hpp"
#include "export/arrow_shard.hpp"
#include "export/chunk_batch.hpp"
#include "export/export.hpp"
#include "export/memory_plan.hpp"
#include "export/output_file.hpp"
#include "export/precomputed_shard.hpp"
#include "export/rewrite.hpp"
#include "export/sha256.hpp"
#include "export/shard_publisher.hpp"
#include "export/source.hpp"

namespace spillway::exporter {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr uint64_t kMostSpec = uint64_t{16} << 20;

// The output folder while a run owns it.
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
  Result<void> write_row(const RowHead& head, const Place& place, std::span<const uint8_t> content);
  Result<void> write_made(const RowHead& head, const Place& place,
                          std::span<const uint8_t> content);
  Result<void> begin_shard(const Place& place);
  Result<void> end_shard();
  Result<void> publish_hashed(size_t left);
  Result<void> write_reject(const RowHead& head, std::span<const uint8_t> reason);
  Result<void> write_info();
  Result<void> write_manifest();
  Result<ExportSummary> finish();
  uint64_t blocks_in() const;
  ProgressSnapshot snapshot();
  void describe();

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
  Rate rate_;
  Counts counts_;
  std::atomic<uint64_t> blocks_before_{0};  // of the scales that are done
  uint64_t sort_runs_ = 0, mapping_pairs_ = 0;
  std::vector<ScaleSummary> scales_;  // done
  std::atomic<bool> writing_{false};

  // While writing:
  std::unique_ptr<ArrowShardWriter> arrow_;
  std::unique_ptr<PrecomputedShardWriter> shard_;
  std::unique_ptr<ChunkBatch> chunks_;
  std::optional<uint64_t> open_group_;
  std::string open_name_;
  uint64_t open_number_ = 0;
  struct Hashed {
    uint64_t number = 0;
    std::string name;
    ShardFigures figures;
    Result<std::string> sha256 = std::string();
    std::jthread thread;  // which makes it
  };
  std::deque<Hashed> hashed_;  // at most the threads; they stay where they are
  bool skipping_ = false;
  std::unique_ptr<DurableFile> rejects_;
  std::array<uint64_t, 32> size_histogram_{};  // of blocks before compression, by bit width
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
  plan_.payload = options_.payload;
  plan_.source = options_.source == "-" ? "stdin" : options_.source;
  origin_.emplace(TRY(Source::look(options_)));
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
  config_ = configuration(options_, spec_, batch_rows_, mapping_->sha256()).dump();
  TRY(plan_scale(first_scale_));
  source_ = TRY(open_scale());
  publisher_ =
      TRY(ShardPublisher::open(options_.out, work_.path(), config_, publish_account_, space_));
  return {};
}

// ---- shards to the same shards with another mapping ------------------------------------------------

// False when the source is none that can be rewritten shard by shard.
Result<bool> Job::rewrite(const std::stop_token& stop) {
  if (options_.all_scales || TRY(source_kind(options_)) != SourceKind::kArrowShards || options_.to != Target::kArrow)
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
      .counts = {counts_.rewritten, counts_.rewritten_bytes, counts_.written, counts_.empty}};
  auto work = TRY(ShardRewrite::open(source_->name(), how, stop));
  if (!work) return false;
  writing_ = true;
  if (TRY(work->run(stop))) {
    size_histogram_ = work->size_histogram();
    return true;
  }
  // A row is not where the name of its file says: all rows have to be sorted.
  writing_ = false;
  counts_.rewritten = counts_.rewritten_bytes = counts_.written = counts_.empty = 0;
  TRY(publisher_->retract());
  publisher_.reset();
  publisher_ =
      TRY(ShardPublisher::open(options_.out, work_.path(), config_, publish_account_, space_));
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
                             MutexLock lock(seats.mutex);
                             seats.free.push_back(std::move(seat));
                             return taken;
                           });
  TRY(pipeline.run());
  large_->release();
  if (scale_ + 1 == end_scale_) budget_->retire(read_account_);
  return {};
}

// ---- sorted rows to shards -----------------------------------------------------------------------

Result<void> Job::write(const std::stop_token& stop) {
  writing_ = true;
  const Bytes writer_room = options_.to == Target::kArrow ? ArrowShardWriter::room(batch_rows_)
                                                          : PrecomputedShardWriter::room();
  Lease writer_lease = TRY(work_account_.acquire(writer_room, stop));
  Pages large_row = TRY(Pages::map(TRY(work_account_.acquire(largest_row(), stop))));
  if (options_.to == Target::kArrow) {
    arrow_ = TRY(ArrowShardWriter::create(
        batch_rows_, space_, std::move(writer_lease),
        memory_.threads > 1 ? WriteBehind::Hash::kBehind : WriteBehind::Hash::kByCaller));
  } else {
    Lease room = TRY(work_account_.acquire(ChunkBatch::room(memory_.threads), stop));
    chunks_ = TRY(ChunkBatch::create(
        plan_, *large_, memory_.threads, std::move(room),
        [this](const RowHead& head, const Place& place, std::span<const uint8_t> chunk) {
          return write_made(head, place, chunk);
        }));
    if (plan_.sharding) shard_ = TRY(PrecomputedShardWriter::create(*plan_.sharding));
    if (scale_ == first_scale_) TRY(write_info());
  }
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
    TRY(write_row(head, place, content));
    ++counts_.written;
    ++size_histogram_[static_cast<size_t>(std::bit_width(head.block_size))];
    if (report_ && taken % 4096 == 0) report_->count(taken, space_->used());
  }
  if (chunks_) TRY(chunks_->flush());
  TRY(end_shard());
  TRY(publish_hashed(0));
  arrow_.reset();
  chunks_.reset();
  shard_.reset();
  writing_ = false;
  return publisher_->flush();
}

Result<void> Job::write_row(const RowHead& head, const Place& place,
                            std::span<const uint8_t> content) {
  if (head.is_packed != 0) return chunks_->add(head, place, content);
  if (chunks_) TRY(chunks_->flush());
  return write_made(head, place, content);
}

// A row as it stands in its shard.
Result<void> Job::write_made(const RowHead& head, const Place& place,
                             std::span<const uint8_t> content) {
  if (options_.to == Target::kPrecomputed && !plan_.sharding) {  // a file a chunk
    TRY(begin_shard(place));
    if (skipping_) return {};
    OutputFile file(65536);
    const uint64_t number = publisher_->take_number();
    TRY(file.open(publisher_->part(number, "")));
    TRY(file.append(content));
    const std::string sha = TRY(file.close());
    Json entry{{"file", open_name_}, {"rows", 1}, {"bytes", content.size()}, {"sha256", sha}};
    return publisher_->add({number, open_name_, {""}, entry.dump(), content.size()});
  }
  if (open_group_ != group_of(place)) {
    TRY(end_shard());
    TRY(begin_shard(place));
  }
  if (skipping_) return {};
  if (options_.to == Target::kPrecomputed) {
    const uint64_t chunk = uint64_t{part_of(place, 1)} << 32 | part_of(place, 2);
    return shard_->add(part_of(place, 0), chunk, content);
  }
  const size_t table = 8 * size_t{head.labels};
  return arrow_->add({.at = head.at,
                      .labels = head.labels,
                      .block_size = head.block_size,
                      .mapped = content.first(table),
                      .supervoxels = content.subspan(table, table),
                      .frame = content.subspan(2 * table)});
}

Result<void> Job::begin_shard(const Place& place) {
  const Scale& scale = spec_.scales[scale_];
  const uint64_t group = group_of(place);
  if (options_.to == Target::kArrow) {
    open_name_ = fmt::format("s{}/{}", scale_, cell_name(scale, plan_.cells.first_block(group)));
  } else if (plan_.sharding) {
    open_name_ = fmt::format("{}/{:0{}x}", scale.key, group,
                             std::max(1u, (plan_.sharding->shard_bits + 3) / 4));
  } else {
    std::string name = scale.key + "/";
    for (size_t d = 0; d < 3; ++d) {
      const int64_t begin = 64 * int64_t{part_of(place, 2 - d)};
      name += fmt::format("{}{}-{}", d == 0 ? "" : "_", scale.voxel_offset[d] + begin,
                          scale.voxel_offset[d] + std::min(begin + 64, scale.size[d]));
    }
    open_name_ = name;
  }
  skipping_ = TRY(publisher_->is_done(open_name_));
  if (options_.to == Target::kPrecomputed && !plan_.sharding) return {};
  open_group_ = group;
  if (skipping_) return {};
  open_number_ = publisher_->take_number();
  return options_.to == Target::kArrow ? arrow_->begin(publisher_->part(open_number_, "arrow"),
                                                       publisher_->part(open_number_, "csv"))
                                       : shard_->begin(publisher_->part(open_number_, "shard"));
}

Result<void> Job::end_shard() {
  if (!open_group_) return {};
  open_group_.reset();
  if (skipping_) return {};
  if (arrow_)
    return publisher_->add(
        finished_shard(open_number_, open_name_, options_.to, TRY(arrow_->end())));
  // A precomputed shard can be hashed only when it is whole: beside the next ones, by other threads.
  Hashed& shard = hashed_.emplace_back();
  shard.number = open_number_;
  shard.name = open_name_;
  shard.figures = TRY(shard_->end());
  if (memory_.threads > 1)
    shard.thread = std::jthread([&shard, path = publisher_->part(open_number_, "shard")] {
      shard.sha256 = sha256_of_file(path);
    });
  return publish_hashed(memory_.threads - 1);
}

// Gives shards to the publisher, in order, until at most `left` are still being hashed.
Result<void> Job::publish_hashed(size_t left) {
  for (; hashed_.size() > left; hashed_.pop_front()) {
    Hashed& shard = hashed_.front();
    if (shard.thread.joinable()) {
      shard.thread.join();
    } else {
      shard.sha256 = sha256_of_file(publisher_->part(shard.number, "shard"));
    }
    shard.figures.sha256 = TRY(std::move(shard.sha256));
    TRY(publisher_->add(finished_shard(shard.number, shard.name, options_.to, shard.figures)));
  }
  return {};
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

Result<void> Job::write_manifest() {
  DurableFile file = TRY(DurableFile::create(options_.out + "/manifest.json"));
  TRY(file.append(fmt::format("{{\n\"options\": {},\n\"totals\": ", config_)));
  const Json totals{
      {"blocks_in", blocks_in()},      {"written", counts_.written.load()},
      {"empty", counts_.empty.load()},           {"rejected", counts_.rejected.load()},
      {"duplicates", counts_.duplicates.load()}, {"shards", publisher_->shards()}};
  TRY(file.append(totals.dump()));
  if (options_.all_scales) {
    Json scales = Json::array();
    for (const ScaleSummary& scale : scales_) {
      scales.push_back({{"scale", scale.scale},
                        {"key", spec_.scales[scale.scale].key},
                        {"blocks_in", scale.blocks_in},
                        {"written", scale.written},
                        {"empty", scale.empty},
                        {"rejected", scale.rejected},
                        {"duplicates", scale.duplicates},
                        {"shards", scale.shards}});
    }
    TRY(file.append(",\n\"scales\": " + scales.dump()));
  }
  TRY(file.append(std::string_view(",\n\"shards\": [")));
  const char* gap = "\n";
  TRY(publisher_->entries([&](std::string_view entry) -> Result<void> {
    TRY(file.append(std::string_view(gap)));
    gap = ",\n";
    return file.append(entry);
  }));
  TRY(file.append(std::string_view("\n]\n}\n")));
  return std::move(file).commit();
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
  ReportTable table{"Block sizes before compression", {"below", "blocks"}, {}};
  for (size_t bits = 0; bits < size_histogram_.size(); ++bits) {
    if (size_histogram_[bits] > 0)
      table.rows.push_back({to_string(Bytes(uint64_t{1} << bits)), grouped(size_histogram_[bits])});
  }
  report_->table(std::move(table));
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
  if (!options_.job.report.empty()) {
    const bool html = options_.job.report.ends_with(".html");
    TRY(write_durably(options_.job.report, html ? report_->html() : report_->json()));
  }
  if (options_.to == Target::kArrow) TRY(write_durably(options_.out + "/spec.json", spec_.json));
  TRY(write_manifest());
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
  const uint64_t in = blocks_in() + here,
                 merged = counts_.merged.load(std::memory_order_relaxed);
  const bool writing = writing_;
  now.phase = writing ? "write" : "read";
  const double rate = rate_.per_second(in + merged);
  now.text = fmt::format("{} blocks in  {} written  {:.0f} blocks/s", grouped(in),
                         grouped(counts_.written), rate);
  if (options_.all_scales) now.text = fmt::format("scale {}  {}", scale_, now.text);
  if (writing && in > 0) {
    now.fraction = static_cast<double>(merged) / static_cast<double>(in);
  } else if (bytes_total > 0) {
    now.fraction = static_cast<double>(bytes + counts_.rewritten_bytes) / static_cast<double>(bytes_total);
  }
  now.spilled = space_->used();
  now.json = fmt::format("\"blocks_in\":{},\"written\":{}", in, counts_.written.load());
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
  const Json json = Json::parse(
      TRY(read_small_file(options.out + "/manifest.json", uint64_t{1} << 30)), nullptr, false);
  const VolumeSpec spec =
      TRY(VolumeSpec::parse(TRY(read_small_file(options.spec, kMostSpec)), options.spec));
  const std::string mapping_sha =
      options.mapping.empty() ? "" : TRY(sha256_of_file(options.mapping));
  const Json config = configuration(
      options, spec, options.batch_size.value_or(spec.batch_size.value_or(1)), mapping_sha);
  if (!json.is_object() || json.value("options", Json()) != config || !json.contains("totals"))
    return fail(Code::kInvalid,
                fmt::format("{}: holds another finished run; remove it or choose another folder "
                            "with --out",
                            options.out));
  const Json& totals = json["totals"];
  ExportSummary summary;
  summary.blocks_in = totals.value("blocks_in", uint64_t{0});
  summary.written = totals.value("written", uint64_t{0});
  summary.empty = totals.value("empty", uint64_t{0});
  summary.rejected = totals.value("rejected", uint64_t{0});
  summary.duplicates = totals.value("duplicates", uint64_t{0});
  summary.shards = totals.value("shards", uint64_t{0});
  if (json.contains("scales") && json["scales"].is_array()) {
    for (const Json& scale : json["scales"])
      summary.scales.push_back(
          {scale.value("scale", uint32_t{0}), scale.value("blocks_in", uint64_t{0}),
           scale.value("written", uint64_t{0}), scale.value("empty", uint64_t{0}),
           scale.value("rejected", uint64_t{0}), scale.value("duplicates", uint64_t{0}),
           scale.value("shards", uint64_t{0})});
  }
  summary.was_finished = true;
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
  if (options.resume == Resume::kNever) TRY(work.clear());
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

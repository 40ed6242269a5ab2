#include "export/job/scale_run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <utility>

#include "core/flow/pipeline.hpp"
#include "export/block/gzip.hpp"
#include "export/job/rewrite.hpp"

namespace spillway::exporter {
namespace {

Result<void> same_glance(const ExportRun& run) {
  if (TRY(glance_at(run.options.source)) == run.glance) return {};
  return fail(Code::kInvalid, run.source_name() + ": was changed while it was read");
}

}  // namespace

Result<std::unique_ptr<ScaleRun>> ScaleRun::plan(const ExportRun& run, uint32_t index) {
  std::unique_ptr<ScaleRun> made(new ScaleRun(run, index));
  const ExportOptions& options = run.options;
  const Scale& scale = made->scale();
  WorkPlan& plan = made->plan_;
  plan.target = options.to;
  plan.keep_empty = options.keep_empty;
  plan.reject = options.reject;
  plan.last_wins = options.duplicates == Duplicates::kLast;
  plan.order_matters = options.duplicates != Duplicates::kError;
  plan.payload = options.payload;
  plan.gzip_level = options.gzip_level.value_or(Gzip::kFastest);
  plan.source = run.source_name();
  plan.grid = TRY(Grid::of(scale, index));
  plan.sharding = scale.sharding;
  plan.size = scale.size;
  if (run.is_arrow()) plan.cells = Cells(plan.grid, *scale.sharding);
  const auto must_build = [&](uint32_t s) -> Result<bool> {
    return !TRY(run.origin->has_scale(run.spec, s));
  };
  made->is_built_ = index > run.first_scale && TRY(must_build(index));
  made->builds_next_ = index + 1 < run.end_scale && TRY(must_build(index + 1));
  if (made->is_built_) made->step_in_ = TRY(scale_step(run.spec, index - 1, options.spec));
  if (made->builds_next_) made->step_out_ = TRY(scale_step(run.spec, index, options.spec));
  plan.chunk = run.origin->chunk_format(scale);
  return made;
}

Result<void> ScaleRun::open(ScaleParts parts) {
  // A precomputed scale is built of mapped ids.
  const bool is_mapped = is_built_ && !run_.is_arrow();
  plan_.mapping = is_mapped ? run_.identity.get() : run_.mapping.get();
  plan_.pictures = scale_ == run_.first_scale ? run_.pictures.get() : nullptr;
  if (is_built_) {
    source_ = TRY(open_downscaled(std::move(parts.sort), std::move(parts.file), step_in_,
                                  plan_.grid, run_.read));
  } else {
    source_ = TRY(run_.origin->open(run_.spec, scale_, plan_.grid, run_.read, run_.fetch,
                                    run_.runtime->space()));
  }
  return {};
}

Result<void> ScaleRun::read_first() {
  first_ = TRY(source_->next(run_.runtime->stop()));
  return {};
}

Result<ScaleParts> ScaleRun::run(ExportOutput& output) {
  ExportCounts& counts = output.counts;
  const ScaleSummary before{.written = counts.written,
                            .empty = counts.empty,
                            .rejected = counts.rejected,
                            .duplicates = counts.duplicates,
                            .shards = output.publisher().shards()};
  TRY(look_at_finished(output));
  TRY(ingest());
  TRY(write(output));
  counts.missing += source_->missing();
  output.end_scale({.scale = scale_,
                    .blocks_in = blocks(),
                    .written = counts.written - before.written,
                    .empty = counts.empty - before.empty,
                    .rejected = counts.rejected - before.rejected,
                    .duplicates = counts.duplicates - before.duplicates,
                    .shards = output.publisher().shards() - before.shards,
                    .missing = source_->missing()});
  output.sort_runs += sort_->runs_written();
  return std::move(next_);
}

void ScaleRun::save(ExportOutput& output) {
  if (shards_) (void)shards_->save();
  (void)output.publisher().flush();
}

// ---- shards to the same shards with another mapping ------------------------------------------------

Result<bool> ScaleRun::rewrite(ExportOutput& output) {
  const ExportOptions& options = run_.options;
  if (options.all_scales || run_.origin->kind() != SourceKind::kArrowShards || !run_.is_arrow() ||
      plan_.order_matters)
    return false;
  ExportCounts& counts = output.counts;
  OutputFigures& figures = output.figures;
  const ShardRewrite::Options how{
      .plan = plan_,
      .scale = scale(),
      .scale_index = scale_,
      .batch_rows = run_.batch_rows,
      .threads = run_.plan.threads,
      .reader = run_.read,
      .writer = run_.work,
      .more = run_.sort,
      .space = run_.runtime->space(),
      .publisher = output.publisher(),
      .refusal = output.other_input("its blocks differ"),
      .counts = {counts.rewritten, counts.rewritten_bytes, counts.written, counts.empty,
                 figures.bytes, figures.shards_open, figures.shards_done}};
  const std::stop_token stop = run_.runtime->stop();
  auto work = TRY(ShardRewrite::open(source_->name(), how, stop));
  if (!work) return false;
  writing_ = true;
  if (TRY(work->run(stop))) {
    output.content = work->seen();
    counts.missing += source_->missing();
    output.sizes_in = work->sizes_in();
    figures.block_sizes = work->sizes_out();
    figures.rows_a_shard = work->rows_a_shard();
    TRY(same_glance(run_));
    return true;
  }
  // A row is not where the name of its file says: all rows have to be sorted.
  writing_ = false;
  TRY(output.start_over());
  return false;
}

// ---- what an earlier run finished ------------------------------------------------------------------

// Of a file of this scale, as file_of() has it.
std::optional<uint64_t> ScaleRun::file_of_name(const std::string& name) const {
  const std::string folder = run_.is_arrow() ? fmt::format("s{}/", scale_) : scale().key + "/";
  if (!name.starts_with(folder)) return std::nullopt;
  const std::string file = name.substr(folder.size());
  if (run_.is_arrow()) return cell_of(file, plan_.grid, plan_.cells, scale());
  const char *at = file.data(), *const end = at + file.size();
  if (plan_.sharding) {
    uint64_t shard = 0;
    const auto [next, error] = std::from_chars(at, end, shard, 16);
    return error == std::errc() && std::string_view(next, end) == ".shard" ? std::optional(shard)
                                                                           : std::nullopt;
  }
  GridAt g{};
  for (size_t d = 0; d < 3; ++d) {
    int64_t begin = 0;
    const auto [next, error] = std::from_chars(at, end, begin);
    const int64_t from = begin - scale().voxel_offset[d];
    if (error != std::errc() || from < 0 || from / 64 >= plan_.grid.blocks()[d])
      return std::nullopt;
    g[d] = static_cast<uint32_t>(from / 64);
    at = std::find(next, end, '_') + (d < 2);
    if (at > end) return std::nullopt;
  }
  return file_of(make_place(0, g[2], g[1], g[0]), true);
}

// Files beyond the list are made again, and not written.
Result<void> ScaleRun::look_at_finished(ExportOutput& output) {
  const ExternalSortOptions sort = sort_options();
  const uint64_t most = std::max<uint64_t>(sort.memory.count() / 4 / sizeof(uint64_t), 1);
  Account account = run_.sort;
  // What the sort cannot do without is not for the list.
  const Lease kept = TRY(account.acquire(ExternalSort::floor(sort), run_.runtime->stop()));
  finished_ = LeasedList<uint64_t>(account);
  bool has_room = true;
  TRY(output.publisher().check_finished(
      [&](const std::string& name) -> Result<void> {
        const auto file = file_of_name(name);
        const bool is_next = file && (finished_.empty() || finished_.back() < *file);
        if (is_next && has_room) has_room = finished_.size() < most && finished_.push_back(*file);
        return {};
      },
      run_.runtime->stop()));
  if (!finished_.empty()) plan_.finished = &finished_;
  return {};
}

// ---- blocks to sorted rows -----------------------------------------------------------------------

// A row takes about what its payload takes. A stream that is larger than the memory will be in runs
// anyway: shorter ones leave the memory to others and cost less, as long as one merge takes them all.
ExternalSortOptions ScaleRun::sort_options() const {
  constexpr uint64_t kLeastRun = uint64_t{32} << 20;
  constexpr uint64_t kMostRuns = 48;
  ExternalSortOptions options = run_.plan.sort_options;
  const uint64_t stream = run_.origin->kind() == SourceKind::kBlockStream ? bytes_total() : 0;
  if (stream > options.memory.count() && run_.options.payload == Payload::kByContent) {
    const Bytes run(std::max(kLeastRun, stream / kMostRuns));
    options.memory = std::min(options.memory, run * options.inputs);
  }
  return options;
}

Result<void> ScaleRun::make_workers() {
  const std::stop_token stop = run_.runtime->stop();
  Account work = run_.work;
  large_ =
      TRY(LargeRoom::create(TRY(work.acquire(LargeRoom::room(), stop)), run_.runtime->space()));
  const bool voxels = is_built_ || builds_next_ || run_.origin->needs_encoder();
  for (size_t i = 0; i < run_.plan.threads; ++i) {
    Lease lease = TRY(work.acquire(BlockWorker::room(run_.options.to, voxels), stop));
    std::unique_ptr<PartMaker> parts;
    if (builds_next_) {
      const PartMaker::Options part{
          .step = step_out_, .keep_zero = plan_.keep_empty, .last_wins = plan_.last_wins};
      parts = std::make_unique<PartMaker>(part, *next_.file, next_.sort->input(i));
    }
    auto worker =
        TRY(BlockWorker::create(plan_, *large_, std::move(lease), voxels, std::move(parts)));
    MutexLock lock(seats_mutex_);
    seats_.push_back({std::move(worker), i});
  }
  return {};
}

Result<void> ScaleRun::ingest() {
  const auto& space = run_.runtime->space();
  ExternalSortOptions options = sort_options();
  options.stop = run_.runtime->stop();
  sort_ = TRY(ExternalSort::create(std::move(options), run_.sort, space));
  if (builds_next_) {
    options = run_.plan.part_options;
    options.stop = run_.runtime->stop();
    next_.sort = TRY(ExternalSort::create(std::move(options), run_.parts[scale_ % 2], space));
    next_.file = std::make_unique<PartFile>();
    next_.file->space = space;
  }
  TRY(make_workers());
  const unsigned threads = run_.plan.threads;
  Pipeline pipeline(run_.runtime->stop());
  auto units = pipeline.source<BlockUnit>(
      {.name = "read", .out = {.items = size_t{2} * threads}},
      [&](const std::stop_token& token) -> Result<std::optional<Unit<BlockUnit>>> {
        auto unit = first_ ? std::exchange(first_, std::nullopt) : TRY(source_->next(token));
        if (!unit) return std::optional<Unit<BlockUnit>>();
        return std::optional(Unit<BlockUnit>{std::move(*unit), Lease()});
      });
  pipeline.sink<BlockUnit>(units, {.name = "work", .threads = threads, .order = Order::kAny},
                           [&](Unit<BlockUnit> unit, Lease) -> Result<void> {
                             Seat seat;
                             {
                               MutexLock lock(seats_mutex_);
                               seat = std::move(seats_.back());
                               seats_.pop_back();
                             }
                             auto taken = seat.worker->take(unit.value, sort_->input(seat.input));
                             if (taken) taken = run_.mapping->status();
                             MutexLock lock(seats_mutex_);
                             seats_.push_back(std::move(seat));
                             return taken;
                           });
  TRY(pipeline.run());
  {
    MutexLock lock(seats_mutex_);
    for (const Seat& seat : seats_) seen_.join(seat.worker->seen());
    seats_.clear();
  }
  large_->release();
  if (scale_ + 1 == run_.end_scale) run_.runtime->budget().retire(run_.read);
  return {};
}

// ---- sorted rows to shards -----------------------------------------------------------------------

Result<void> ScaleRun::check_input(ExportOutput& output) const {
  if (is_built_) return {};
  const bool is_first = scale_ == run_.first_scale;
  if (is_first) output.content = seen_;
  TRY(same_glance(run_));
  const std::string mark = ExportOutput::mark_name(run_.options.to);
  return output.same_input(is_first ? mark : fmt::format("{} of scale {}", mark, scale_),
                           seen_.hex(), "its blocks differ");
}

Result<void> ScaleRun::write(ExportOutput& output) {
  writing_ = true;
  TRY(check_input(output));
  const ShardOutput::Options how{.plan = plan_,
                                 .scale = scale(),
                                 .scale_index = scale_,
                                 .batch_rows = run_.batch_rows,
                                 .threads = run_.plan.write_threads,
                                 .publisher = output.publisher(),
                                 .figures = output.figures,
                                 .large = *large_,
                                 .space = run_.runtime->space(),
                                 .account = run_.work};
  shards_ = TRY(ShardOutput::create(how, run_.runtime->stop()));
  if (!run_.is_arrow() && scale_ == run_.first_scale) TRY(output.write_info());
  TRY(write_rows(output));
  TRY(shards_->finish());
  shards_.reset();
  writing_ = false;
  return output.publisher().flush();
}

Result<void> ScaleRun::write_rows(ExportOutput& output) {
  const std::stop_token stop = run_.runtime->stop();
  Account work = run_.work;
  Pages large_row = TRY(Pages::map(TRY(work.acquire(largest_row(), stop))));
  ExportCounts& counts = output.counts;
  auto stream = TRY(sort_->stream());
  Place last_place{};
  RowHead last;
  bool has_last = false;
  uint64_t taken = 0;
  while (auto record = TRY(stream.next())) {
    if (++taken % 1024 == 0 && stop.stop_requested())
      return fail(Code::kCancelled, "stopped while writing shards");
    counts.merged.store(counts.blocks_before + taken, std::memory_order_relaxed);
    Place place;
    RowHead head;
    std::memcpy(place.data(), record->data(), kPlaceBytes);
    std::memcpy(&head, record->data() + kKeyBytes, sizeof head);
    std::span<const uint8_t> content = record->subspan(kKeyBytes + sizeof head);
    if (group_of(place) == kRejectGroup) {
      TRY(output.write_reject(head, content));
      continue;
    }
    if (has_last && place == last_place) {
      const bool same = std::equal(head.hash, head.hash + 2, last.hash);
      if (!same && run_.options.duplicates == Duplicates::kError)
        return fail(Code::kInvalid,
                    fmt::format("{}: block {},{},{} comes twice with different content "
                                "(--on-duplicate first|last chooses)",
                                plan_.source, head.at[0], head.at[1], head.at[2]));
      ++counts.duplicates;
      continue;
    }
    has_last = true;
    last_place = place;
    last = head;
    if (head.is_empty != 0) {
      ++counts.empty;
      continue;
    }
    if (head.is_large != 0) {
      CHECK(head.content() <= large_row.size());
      const std::span<uint8_t> room(large_row.data(), head.content());
      TRY(large_->file.read_at(head.offset, room));
      content = room;
    }
    TRY(shards_->add(head, place, content));
    ++counts.written;
    counts.not_made += head.is_done;
    output.sizes_in.add(head.block_size);
    if (taken % 4096 == 0) run_.runtime->count(taken);
  }
  return {};
}

}  // namespace spillway::exporter

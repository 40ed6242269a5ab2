#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "core/flow/pipeline.hpp"
#include "export/job/run_job.hpp"

namespace spillway::exporter {

// ---- shards to the same shards with another mapping ------------------------------------------------

// False when the source is none that can be rewritten shard by shard, or the place in it of each block
// makes a difference.
Result<bool> ExportJob::rewrite(const std::stop_token& stop) {
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

// ---- blocks to sorted rows -----------------------------------------------------------------------

// A row takes about what its payload takes. A stream that is larger than the memory will be in runs
// anyway: shorter ones leave the memory to others and cost less, as long as one merge takes them all.
ExternalSortOptions ExportJob::sort_options() const {
  constexpr uint64_t kLeastRun = uint64_t{32} << 20;
  constexpr uint64_t kMostRuns = 48;
  ExternalSortOptions options = memory_.sort_options;
  const uint64_t stream = origin_->kind() == SourceKind::kBlockStream ? source_->bytes_total() : 0;
  if (stream > options.memory.count() && options_.payload == Payload::kByContent) {
    const Bytes run(std::max(kLeastRun, stream / kMostRuns));
    options.memory = std::min(options.memory, run * options.inputs);
  }
  return options;
}

Result<void> ExportJob::ingest(std::stop_token stop) {
  sort_ = TRY(ExternalSort::create(sort_options(), sort_account_, space_));
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

Result<void> ExportJob::write(const std::stop_token& stop) {
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

Result<void> ExportJob::write_reject(const RowHead& head, std::span<const uint8_t> reason) {
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

}  // namespace spillway::exporter

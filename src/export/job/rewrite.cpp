#include "export/job/rewrite.hpp"

#include <fmt/format.h>
#define XXH_STATIC_LINKING_ONLY  // XXH3_state_t on the stack
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "core/file/folders.hpp"
#include "core/flow/parallel.hpp"
#include "core/flow/turn.hpp"
#include "core/memory/pages.hpp"
#include "core/mutex.hpp"
#include "export/block/label_block.hpp"
#include "export/shard/arrow_shard.hpp"
#include "export/source/arrow_reader.hpp"

namespace spillway::exporter {
namespace {

constexpr size_t kMostTable = kMaxBlockBytes + (size_t{32} << 10);  // mapped labels of one row

struct ShardFile {
  uint64_t cell = 0;
  std::string name;
};

class Rewrite final : public ShardRewrite {
 public:
  Rewrite(std::string folder, std::vector<ShardFile> files, const Options& options)
      : folder_(std::move(folder)), files_(std::move(files)), options_(options) {}

  Result<void> add_seat(Lease reader, Lease writer) {
    Seat seat;
    seat.reader = TRY(ArrowReader::create(std::move(reader)));
    Lease mapped = writer.split(Bytes(kMostTable));
    seat.mapped = TRY(Pages::map(std::move(mapped)));
    seat.writer = TRY(ArrowShardWriter::create(options_.batch_rows, options_.space,
                                               std::move(writer), WriteBehind::Tap::kByCaller));
    seats_.push_back(std::move(seat));
    return {};
  }

  Result<bool> run(const std::stop_token& stop) override {
    TRY(parallel(
        static_cast<unsigned>(seats_.size()),
        [&](unsigned index) { return work(seats_[index], stop); }, [&] { turn_.fail(); }));
    if (gave_up_) return false;
    for (const Seat& seat : seats_) {
      figures_.seen.join(seat.figures.seen);
      figures_.sizes_in.join(seat.figures.sizes_in);
      figures_.sizes_out.join(seat.figures.sizes_out);
      figures_.rows_a_shard.join(seat.figures.rows_a_shard);
    }
    TRY(options_.publisher.flush());
    return true;
  }

 private:
  struct Seat {  // of a thread
    std::unique_ptr<ArrowReader> reader;
    std::unique_ptr<ArrowShardWriter> writer;
    Pages mapped;
    Figures figures;
  };
  struct Task {
    size_t file = 0;
    std::string name;
    uint64_t number = 0;
    bool skips = false;  // an earlier run finished it
    std::string input;   // of what
  };

  Result<void> work(Seat& seat, const std::stop_token& stop) {
    while (auto task = TRY(next_task())) {
      auto figures = TRY(rewrite(seat, *task, stop));
      if (gave_up_) return {};
      if (!turn_.wait(task->file)) return {};
      if (figures) {
        MutexLock lock(mutex_);
        auto shard = finished_shard(task->number, task->name, Target::kArrow, *figures);
        shard.input = std::move(task->input);
        TRY(options_.publisher.add(std::move(shard)));
      }
      turn_.pass(task->file);
    }
    return {};
  }

  Result<std::optional<Task>> next_task() {
    MutexLock lock(mutex_);
    if (next_ == files_.size() || gave_up_) return std::nullopt;
    Task task;
    task.file = next_++;
    const std::string& name = files_[task.file].name;
    task.name = fmt::format("s{}/{}", options_.scale_index, name.substr(0, name.rfind('.')));
    task.skips = TRY(options_.publisher.is_done(task.name, &task.input));
    task.number = options_.publisher.take_number();
    return std::optional(task);
  }

  struct Open {  // counts a shard while it is in work
    explicit Open(std::atomic<uint64_t>& count) : count_(count) { ++count_; }
    ~Open() { --count_; }
    std::atomic<uint64_t>& count_;
  };
  // As if the table and the frame stood behind one another.
  static std::array<uint64_t, 2> hash_of(const ArrowRow& row) {
    XXH3_state_t state;
    XXH3_128bits_reset(&state);
    XXH3_128bits_update(&state, row.supervoxels.data(), row.supervoxels.size());
    XXH3_128bits_update(&state, row.frame.data(), row.frame.size());
    const XXH128_hash_t hash = XXH3_128bits_digest(&state);
    return {hash.low64, hash.high64};
  }

  // None when nothing is left of the shard, or nothing was to be done.
  Result<std::optional<ShardFigures>> rewrite(Seat& seat, Task& task, const std::stop_token& stop) {
    const WorkPlan& plan = options_.plan;
    const uint64_t cell = files_[task.file].cell;
    TRY(seat.reader->open(folder_ + "/" + files_[task.file].name));
    const Open open(options_.counts.shards_open);
    uint64_t blocks = 0, written = 0, empty = 0, bytes = 0, bytes_out = 0, rows = 0, read = 0;
    ContentSum seen;
    const auto tell = [&] {
      const Counts& counts = options_.counts;
      counts.blocks.fetch_add(std::exchange(blocks, 0), std::memory_order_relaxed);
      counts.bytes.fetch_add(std::exchange(bytes, 0), std::memory_order_relaxed);
      counts.written.fetch_add(std::exchange(written, 0), std::memory_order_relaxed);
      counts.empty.fetch_add(std::exchange(empty, 0), std::memory_order_relaxed);
      counts.bytes_out.fetch_add(std::exchange(bytes_out, 0), std::memory_order_relaxed);
    };
    bool has_begun = false;
    std::optional<std::array<uint32_t, 3>> last;  // z, y, x
    bool settles = false;
    while (true) {
      if (settles) TRY(seat.writer->settle());  // the reader goes on to another batch
      const auto row = TRY(seat.reader->next());
      if (!row) break;
      settles = row->is_last && row->is_lasting;
      const auto g = plan.grid.place(row->at);
      const bool is_here = g && plan.cells.of(*g) == cell;
      const auto zyx =
          g ? std::array<uint32_t, 3>{(*g)[2], (*g)[1], (*g)[0]} : std::array<uint32_t, 3>{};
      if (!is_here || (last && zyx <= *last)) {
        gave_up_ = true;
        turn_.fail();
        return std::optional<ShardFigures>();
      }
      last = zyx;
      ++blocks;
      // The file up to here; what is behind the frame comes with the next one.
      bytes +=
          row->offset + row->frame.size() - std::exchange(read, row->offset + row->frame.size());
      seen.add_block(row->at, hash_of(*row));
      if (blocks == 1024) {
        tell();
        if (stop.stop_requested()) return fail(Code::kCancelled, "stopped while writing shards");
        if (gave_up_) return std::optional<ShardFigures>();
      }
      if (plan.pictures != nullptr && plan.pictures->wants(*g))
        plan.pictures->paint_frame(*g, row->frame, *plan.mapping);
      const size_t table = row->supervoxels.size();
      const bool any = plan.mapping->map(row->supervoxels.data(), table / 8, seat.mapped.data());
      if (!any && !plan.keep_empty) {
        ++empty;
        continue;
      }
      ++written;
      ++rows;
      seat.figures.sizes_in.add(row->block_size);
      if (task.skips) continue;
      seat.figures.sizes_out.add(row->frame.size());
      bytes_out += 2 * table + row->frame.size();
      if (!has_begun)
        TRY(seat.writer->begin(options_.publisher.part(task.number, "arrow"),
                               options_.publisher.part(task.number, "csv")));
      has_begun = true;
      const RowView view{.at = row->at,
                         .labels = static_cast<uint32_t>(table / 8),
                         .block_size = row->block_size,
                         .mapped = {seat.mapped.data(), table},
                         .supervoxels = row->supervoxels,
                         .frame = row->frame};
      TRY(row->is_lasting ? seat.writer->add_lasting(view) : seat.writer->add(view));
    }
    tell();
    if (task.skips && task.input != seen.hex()) return fail(Code::kUsage, options_.refusal);
    TRY(plan.mapping->status());
    task.input = seen.hex();
    seat.figures.seen.join(seen);
    if (rows > 0) {
      seat.figures.rows_a_shard.add(rows);
      options_.counts.shards_done.fetch_add(1, std::memory_order_relaxed);
    }
    if (!has_begun) return std::optional<ShardFigures>();
    return std::optional(TRY(seat.writer->end()));
  }

  const std::string folder_;
  const std::vector<ShardFile> files_;  // by cell; about 80 bytes a shard
  const Options options_;
  std::vector<Seat> seats_;
  Turn turn_;
  std::atomic<bool> gave_up_{false};
  Mutex mutex_;  // of the publisher as well
  size_t next_ GUARDED_BY(mutex_) = 0;
};

}  // namespace

Result<std::unique_ptr<ShardRewrite>> ShardRewrite::open(const std::string& folder,
                                                         const Options& options,
                                                         const std::stop_token& stop) {
  std::vector<ShardFile> files;
  if (!TRY(is_folder(folder))) return std::unique_ptr<ShardRewrite>();  // a file alone
  bool has_strangers = false;
  TRY(for_each_entry(folder, [&](const std::string& name) -> Result<void> {
    if (!name.ends_with(".arrow")) return {};
    const auto cell = cell_of(name, options.plan.grid, options.plan.cells, options.scale);
    has_strangers |= !cell;
    if (cell) files.push_back({*cell, name});
    return {};
  }));
  if (has_strangers) return std::unique_ptr<ShardRewrite>();
  std::sort(files.begin(), files.end(),
            [](const ShardFile& a, const ShardFile& b) { return a.cell < b.cell; });
  auto rewrite = std::make_unique<Rewrite>(folder, std::move(files), options);
  const Bytes writer = ArrowShardWriter::room(options.batch_rows) + Bytes(kMostTable);
  Account first = options.reader, second = options.writer, more = options.more;
  Lease reader = TRY(first.acquire(ArrowReader::room(), stop));
  TRY(rewrite->add_seat(std::move(reader), TRY(second.acquire(writer, stop))));
  for (unsigned i = 1; i < options.threads; ++i) {
    auto lease = more.try_acquire(ArrowReader::room() + writer);
    if (!lease) break;
    Lease own = lease->split(writer);
    TRY(rewrite->add_seat(std::move(*lease), std::move(own)));
  }
  return std::unique_ptr<ShardRewrite>(std::move(rewrite));
}

}  // namespace spillway::exporter

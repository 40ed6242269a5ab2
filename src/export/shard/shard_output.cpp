#include "export/shard/shard_output.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "core/file/folders.hpp"
#include "core/file/output.hpp"
#include "core/file/sha256.hpp"
#include "core/json.hpp"

namespace spillway::exporter {
namespace {}  // namespace

Bytes ShardOutput::room(Target target, uint64_t batch_rows, unsigned threads) {
  if (target == Target::kArrow) return ArrowShardWriter::room(batch_rows);
  return PrecomputedShardWriter::room() + ChunkBatch::room(threads);
}

Result<std::unique_ptr<ShardOutput>> ShardOutput::create(const Options& options,
                                                         const std::stop_token& stop) {
  std::unique_ptr<ShardOutput> output(new ShardOutput(options));
  const WorkPlan& plan = options.plan;
  Account account = options.account;
  const Bytes bytes = room(plan.target, options.batch_rows, options.threads);
  Lease lease = TRY(account.acquire(bytes, stop));
  if (output->is_arrow()) {
    output->arrow_ = TRY(ArrowShardWriter::create(
        options.batch_rows, options.space, std::move(lease),
        options.threads > 1 ? WriteBehind::Tap::kBehind : WriteBehind::Tap::kByCaller));
    return output;
  }
  Lease chunks = lease.split(ChunkBatch::room(options.threads));
  output->chunks_ =
      TRY(ChunkBatch::create(plan, options.large, options.threads, std::move(chunks),
                             [made = output.get()](const RowHead& head, const Place& place,
                                                   std::span<const uint8_t> chunk) {
                               return made->add_made(head, place, chunk);
                             }));
  output->lease_ = std::move(lease);
  if (plan.sharding) output->shard_ = TRY(PrecomputedShardWriter::create(*plan.sharding));
  return output;
}

Result<void> ShardOutput::add(const RowHead& head, const Place& place,
                              std::span<const uint8_t> content) {
  if (head.is_packed != 0) return chunks_->add(head, place, content);
  if (chunks_) TRY(chunks_->flush());
  return add_made(head, place, content);
}

Result<void> ShardOutput::add_made(const RowHead& head, const Place& place,
                                   std::span<const uint8_t> content) {
  if (options_.plan.is_file_a_chunk()) return add_file(head, place, content);
  if (open_group_ != group_of(place)) {
    TRY(end_shard());
    TRY(begin_shard(place));
  }
  ++rows_;
  if (skips_) return {};
  if (head.is_done != 0) return changed();
  if (!is_arrow()) {
    const uint64_t chunk = uint64_t{part_of(place, 1)} << 32 | part_of(place, 2);
    count_out(content.size(), content.size());
    return shard_->add(part_of(place, 0), chunk, content);
  }
  count_out(head.frame_size, content.size());
  const size_t table = 8 * size_t{head.labels};
  return arrow_->add({.at = head.at,
                      .labels = head.labels,
                      .block_size = head.block_size,
                      .mapped = content.first(table),
                      .supervoxels = content.subspan(table, table),
                      .frame = content.subspan(2 * table)});
}

// What was whole when the input was read no longer stands there.
tl::unexpected<Error> ShardOutput::changed() const {
  return fail(changed_while_read(options_.publisher.folder() + "/" + open_name_));
}

// Not sharded: a file a chunk.
Result<void> ShardOutput::add_file(const RowHead& head, const Place& place,
                                   std::span<const uint8_t> content) {
  ShardPublisher& publisher = options_.publisher;
  const std::string name = name_of(place);
  options_.figures.shards_done.fetch_add(1, std::memory_order_relaxed);
  if (TRY(publisher.is_done(name))) return {};
  open_name_ = name;
  if (head.is_done != 0) return changed();
  count_out(content.size(), content.size());
  const uint64_t number = publisher.take_number();
  const std::string part = publisher.part(number, "");
  const auto file = TRY(create_output(part, {.partial = part}));
  TRY(file->append(content));
  TRY(std::move(*file).leave());
  Sha256 hash;
  hash.add(content);
  const OrderedJson entry{
      {"file", name}, {"rows", 1}, {"bytes", content.size()}, {"sha256", hash.hex()}};
  return publisher.add({number, name, {""}, entry.dump(), content.size(), ""});
}

void ShardOutput::count_out(uint64_t block, uint64_t all) {
  options_.figures.block_sizes.add(block);
  options_.figures.bytes.fetch_add(all, std::memory_order_relaxed);
}

std::string ShardOutput::name_of(const Place& place) const {
  const Scale& scale = options_.scale;
  const WorkPlan& plan = options_.plan;
  const uint64_t group = group_of(place);
  if (is_arrow())
    return fmt::format("s{}/{}", options_.scale_index,
                       cell_name(scale, plan.cells.first_block(group)));
  if (plan.sharding)
    return fmt::format("{}/{:0{}x}", scale.key, group,
                       std::max(1u, (plan.sharding->shard_bits + 3) / 4));
  std::string name = scale.key + "/";
  for (size_t d = 0; d < 3; ++d) {
    const int64_t begin = 64 * int64_t{part_of(place, 2 - d)};
    name += fmt::format("{}{}-{}", d == 0 ? "" : "_", scale.voxel_offset[d] + begin,
                        scale.voxel_offset[d] + std::min(begin + 64, scale.size[d]));
  }
  return name;
}

Result<void> ShardOutput::begin_shard(const Place& place) {
  open_name_ = name_of(place);
  open_group_ = group_of(place);
  skips_ = TRY(options_.publisher.is_done(open_name_));
  rows_ = 0;
  options_.figures.shards_open.store(1, std::memory_order_relaxed);
  if (skips_) return {};
  open_number_ = options_.publisher.take_number();
  const auto part = [&](const char* extension) {
    return options_.publisher.part(open_number_, extension);
  };
  return is_arrow() ? arrow_->begin(part("arrow"), part("csv")) : shard_->begin(part("shard"));
}

Result<void> ShardOutput::end_shard() {
  if (!open_group_) return {};
  open_group_.reset();
  OutputFigures& figures = options_.figures;
  figures.rows_a_shard.add(rows_);
  figures.shards_open.store(0, std::memory_order_relaxed);
  figures.shards_done.fetch_add(1, std::memory_order_relaxed);
  if (skips_) return {};
  if (is_arrow())
    return options_.publisher.add(
        finished_shard(open_number_, open_name_, Target::kArrow, TRY(arrow_->end())));
  ShardFigures whole = TRY(shard_->end());
  Hashed& shard = hashed_.emplace_back();
  shard.number = open_number_;
  shard.name = open_name_;
  shard.figures = std::move(whole);
  if (options_.threads > 1)
    shard.thread = std::jthread([&shard, path = options_.publisher.part(open_number_, "shard")] {
      shard.sha256 = sha256_of_file(path);
    });
  return publish_hashed(options_.threads - 1);
}

// In order, until at most `left` are still being hashed.
Result<void> ShardOutput::publish_hashed(size_t left) {
  ShardPublisher& publisher = options_.publisher;
  for (; hashed_.size() > left; hashed_.pop_front()) {
    Hashed& shard = hashed_.front();
    if (shard.thread.joinable()) {
      shard.thread.join();
    } else {
      shard.sha256 = sha256_of_file(publisher.part(shard.number, "shard"));
    }
    shard.figures.sha256 = TRY(std::move(shard.sha256));
    TRY(publisher.add(
        finished_shard(shard.number, shard.name, Target::kPrecomputed, shard.figures)));
  }
  return {};
}

Result<void> ShardOutput::finish() {
  if (chunks_) TRY(chunks_->flush());
  TRY(end_shard());
  return publish_hashed(0);
}

}  // namespace spillway::exporter

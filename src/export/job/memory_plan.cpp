#include "export/job/memory_plan.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "export/shard/shard_output.hpp"
#include "export/shard/shard_publisher.hpp"
#include "export/source/downscale.hpp"

namespace spillway::exporter {
namespace {

Bytes reserve_of(Bytes memory) { return std::max(12_MiB, memory / 24); }

std::optional<MemoryPlan> with_threads(Bytes memory, unsigned threads,
                                       const MemoryPlan::Needs& needs) {
  MemoryPlan plan;
  plan.threads = threads;
  plan.reserve = reserve_of(memory);
  plan.read = needs.read_floor;
  const Bytes ingest =
      LargeRoom::room() + BlockWorker::room(needs.target, needs.from_voxels) * threads;
  // More threads for chunks only where that takes little from the sort: shorter runs are more files.
  for (plan.write_threads = threads;; --plan.write_threads) {
    const Bytes write =
        largest_row() + ShardOutput::room(needs.target, needs.batch_rows, plan.write_threads);
    plan.work = std::max(ingest, write);
    const bool is_little = plan.work <= ingest + memory / 64;
    if (plan.write_threads == 1 || is_little || needs.target == Target::kArrow) break;
  }
  plan.publish = ShardPublisher::room();
  plan.mapping = needs.has_mapping ? Mapping::sort_floor() : Bytes(0);
  const Bytes fixed = plan.reserve + plan.read + plan.work + plan.publish + plan.mapping;
  if (memory <= fixed) return std::nullopt;
  Bytes rest = memory - fixed;
  if (needs.downscales) {
    plan.part_options.inputs = threads;
    plan.part_options.frame_bytes = kSortFrame;
    plan.part_options.codec = Codec::kLz4;
    // Steps of at least the longest record: an eighth of each input's share.
    plan.part_options.memory = std::max(Bytes(4 * kSortFrame) * threads, rest / 8);
    plan.parts = ExternalSort::floor(plan.part_options);
    if (rest <= plan.parts * 2) return std::nullopt;
    rest -= plan.parts * 2;
  }
  plan.sort_options.inputs = threads;
  plan.sort_options.frame_bytes = kSortFrame;
  plan.sort_options.codec = Codec::kStored;  // the rows are compressed already
  for (Bytes sort = rest; sort >= 1_MiB; sort = sort / 2) {
    plan.sort_options.memory = sort;
    plan.sort = ExternalSort::floor(plan.sort_options);
    if (plan.sort > rest) continue;
    plan.sort_options.memory = rest;
    if (ExternalSort::floor(plan.sort_options) > rest) plan.sort_options.memory = sort;
    plan.sort = ExternalSort::floor(plan.sort_options);
    plan.most_table_bytes = (rest - plan.sort).count() / 2;
    return plan;
  }
  return std::nullopt;
}

}  // namespace

Bytes largest_row() {
  // Two lists of the largest table, and a frame that did not shrink.
  return Bytes(3 * kMaxBlockBytes + (size_t{256} << 10));
}

std::vector<MemoryPlan::Item> MemoryPlan::items() const {
  std::vector<Item> items{
      {"program", reserve, "code, libraries, stacks, small containers"},
      {"read", read, "a block of any legal size"},
      {"work", work,
       fmt::format("{} threads: inflate, check, compress; one room for the largest blocks",
                   threads)},
      {"publish", publish, "names and hashes of finished shards"},
  };
  if (mapping > Bytes(0)) items.push_back({"mapping", mapping, "sorting it, once"});
  if (parts > Bytes(0))
    items.push_back({"parts", parts * 2, "the next scale: one sort that is read, one that fills"});
  items.push_back({"sort", sort, "rows by shard; grows into what is left, then spills"});
  return items;
}

std::optional<MemoryPlan> MemoryPlan::make(Bytes memory, unsigned threads, const Needs& needs) {
  for (unsigned fewer = std::max(threads, 1u); fewer > 0; --fewer) {
    if (auto plan = with_threads(memory, fewer, needs)) return plan;
  }
  return std::nullopt;
}

Result<MemoryPlan> MemoryPlan::make_or_refuse(Bytes memory, unsigned threads, const Needs& needs) {
  if (auto plan = make(memory, threads, needs)) return *plan;
  Bytes least = memory;
  std::optional<MemoryPlan> plan;
  while (!(plan = make(least, 1, needs))) least += 1_MiB;
  std::string parts;
  for (const Item& item : plan->items())
    parts += fmt::format("{}{} {}", parts.empty() ? "" : ", ", item.name, to_string(item.bytes));
  return fail(Code::kMemoryLimit, fmt::format("--memory {} is too small: needs at least {}: {}",
                                              to_string(memory), to_string(least), parts));
}

}  // namespace spillway::exporter

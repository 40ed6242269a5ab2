#include "export/job/export_plan.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "export/shard/shard_output.hpp"
#include "export/shard/shard_publisher.hpp"
#include "export/source/downscale.hpp"

namespace spillway::exporter {
namespace {

struct Needs {
  Target target = Target::kArrow;
  bool from_voxels = false;
  bool has_mapping = false;
  bool downscales = false;
  bool has_pictures = false;
  uint64_t batch_rows = 1;
  Bytes read_floor;
  Bytes fetch;  // what the source makes use of beyond that
};

struct Fixed {
  Bytes reserve, work, mapping, parts;
};

void list(ExportPlan& plan, const Needs& needs, const Fixed& fixed, Bytes sort, Bytes memory) {
  MemoryPlan& items = plan.memory;
  items.reserve(fixed.reserve, "code, libraries, stacks, small containers");
  const Bytes ahead(BlockSource::kChunkBytes * 3 * plan.threads);
  items.account({"read", 1, needs.read_floor, needs.read_floor + ahead},
                "a block of any legal size");
  const Bytes fetch = std::min(needs.fetch, memory / 4);
  if (fetch > 0_B)
    items.account({"fetch", 1, 0_B, fetch},
                  fmt::format("further connections, up to {}", to_string(fetch)));
  items.account({"work", 3, fixed.work, fixed.work},
                fmt::format("{} threads: inflate, check, compress; one room for the largest blocks",
                            plan.threads));
  const Bytes publish = ShardPublisher::room();
  items.account({"publish", 4, publish, publish}, "names and hashes of finished shards");
  items.account({"mapping", 3, fixed.mapping}, "sorting it, once");
  items.account({"table", 3, 0_B}, "the mapping, when it fits");
  if (needs.downscales) {
    items.account({"parts", 2, fixed.parts}, "the next scale: a sort that is read");
    items.account({"parts", 2, fixed.parts}, "the next scale: a sort that fills");
  }
  if (needs.has_pictures) items.account({"pictures", 3, 0_B}, "the page's, when they fit");
  items.account({"sort", 2, sort}, "rows by shard; grows into what is left, then spills");
}

std::optional<ExportPlan> with_threads(Bytes memory, unsigned threads, const Needs& needs) {
  ExportPlan plan;
  plan.threads = threads;
  Fixed fixed;
  fixed.reserve = std::max(12_MiB, memory / 24);
  const Bytes ingest =
      LargeRoom::room() + BlockWorker::room(needs.target, needs.from_voxels) * threads;
  // More threads for chunks only where that takes little from the sort: shorter runs are more files.
  for (plan.write_threads = threads;; --plan.write_threads) {
    const Bytes write =
        largest_row() + ShardOutput::room(needs.target, needs.batch_rows, plan.write_threads);
    fixed.work = std::max(ingest, write);
    const bool is_little = fixed.work <= ingest + memory / 64;
    if (plan.write_threads == 1 || is_little || needs.target == Target::kArrow) break;
  }
  fixed.mapping = needs.has_mapping ? Mapping::sort_floor() : 0_B;
  const Bytes taken =
      fixed.reserve + needs.read_floor + fixed.work + ShardPublisher::room() + fixed.mapping;
  if (memory <= taken) return std::nullopt;
  Bytes rest = memory - taken;
  if (needs.downscales) {
    plan.part_options.inputs = threads;
    plan.part_options.frame_bytes = kSortFrame;
    plan.part_options.codec = Codec::kLz4;
    // Steps of at least the longest record: an eighth of each input's share.
    plan.part_options.memory = std::max(Bytes(4 * kSortFrame) * threads, rest / 8);
    fixed.parts = ExternalSort::floor(plan.part_options);
    if (rest <= fixed.parts * 2) return std::nullopt;
    rest -= fixed.parts * 2;
  }
  plan.sort_options.inputs = threads;
  plan.sort_options.frame_bytes = kSortFrame;
  plan.sort_options.codec = Codec::kStored;  // the rows are compressed already
  for (Bytes sort = rest; sort >= 1_MiB; sort = sort / 2) {
    plan.sort_options.memory = sort;
    if (ExternalSort::floor(plan.sort_options) > rest) continue;
    plan.sort_options.memory = rest;
    if (ExternalSort::floor(plan.sort_options) > rest) plan.sort_options.memory = sort;
    const Bytes floor = ExternalSort::floor(plan.sort_options);
    plan.most_table_bytes = (rest - floor).count() / 2;
    list(plan, needs, fixed, floor, memory);
    return plan;
  }
  return std::nullopt;
}

Needs needs_of(const ExportOptions& options, const Source& source, uint64_t batch_rows,
               bool downscales) {
  const Bytes floor = source.floor();
  return {.target = options.to,
          .from_voxels = downscales || source.needs_encoder(),
          .has_mapping = !options.mapping.empty(),
          .downscales = downscales,
          .has_pictures = options.job.report.ends_with(".html"),
          .batch_rows = batch_rows,
          .read_floor = downscales ? std::max(floor, downscale_floor()) : floor,
          .fetch = source.wish()};
}

std::optional<ExportPlan> plan_within(Bytes memory, unsigned threads, const Needs& needs) {
  for (unsigned fewer = std::max(threads, 1u); fewer > 0; --fewer) {
    if (auto plan = with_threads(memory, fewer, needs)) return plan;
  }
  return std::nullopt;
}

}  // namespace

Bytes largest_row() {
  // Two lists of the largest table, and a frame that did not shrink.
  return Bytes(3 * kMaxBlockBytes + (size_t{256} << 10));
}

Result<ExportPlan> plan_export(const ExportOptions& options, const Source& source,
                               uint64_t batch_rows, bool downscales) {
  const Needs needs = needs_of(options, source, batch_rows, downscales);
  return plan_or_refuse<ExportPlan>(options.job.memory, [&](Bytes memory) {
    return plan_within(memory, options.job.threads, needs);
  });
}

Result<std::string> explain_memory(const ExportOptions& options) {
  const Source source = TRY(Source::look(options));
  const uint64_t batch_rows = options.batch_size.value_or(1);
  const ExportPlan plan = TRY(plan_export(options, source, batch_rows, options.all_scales));
  const Needs needs = needs_of(options, source, batch_rows, options.all_scales);
  const auto [least, ignored] = least_plan<ExportPlan>(
      1_MiB, [&](Bytes memory) { return plan_within(memory, options.job.threads, needs); });
  return explain_plan(options.job, least, plan.memory, "the mapping, and rows before they spill");
}

}  // namespace spillway::exporter

#include "transform/job/plan.hpp"

#include <algorithm>

#include "format/parquet/parquet_writer.hpp"
#include "format/rows/row_reader.hpp"
#include "transform/job/molecules.hpp"
#include "transform/records/name_stream.hpp"
#include "transform/records/product_table.hpp"
#include "transform/records/record_file.hpp"

namespace spillway::transform {
namespace {

constexpr size_t kFrame = size_t{256} << 10;

// What the plan is made for.
struct Wanted {
  const ApplyOptions& options;
  const std::vector<std::string>& paths;
};

// Of the output, but for what --carry all finds.
size_t columns_of(const ApplyOptions& options) {
  return ProductTable::columns({.record = shape_of(options)}).size() + options.rows.carry.size();
}

ApplyPlan with_sort(const Wanted& wanted, Bytes memory, Bytes sort) {
  const ApplyOptions& options = wanted.options;
  const unsigned threads = options.job.threads;
  ApplyPlan plan;
  plan.parent_options.frame_bytes = kFrame;
  plan.parent_options.memory = 8_MiB;
  plan.sort_options.inputs = threads;
  plan.sort_options.frame_bytes = kFrame;
  plan.sort_options.memory = sort;
  // Files of molecules: written one, refusals one, read one a step and the inputs.
  Bytes steps = RecordFile::cost() * (options.steps > 1 ? options.steps + 4 : 3);
  const bool by_ordinal = options.steps > 1 || options.order == OutputOrder::kInput;
  if (by_ordinal) steps += ExternalSort::floor(plan.parent_options);

  // RDKit allocates as it likes: measured 14-19 MiB with two threads, the libraries' own data in it. What
  // is remembered of it for flat molecules is a part: the more, the less of it is asked again.
  plan.flat_memory = std::clamp(memory / 48 / threads, 512_KiB, 8_MiB);
  // 35 rules, as are shipped, are in what was measured; each thread has its own, and so have known molecules.
  constexpr Bytes kUsualRules = 1_MiB;
  const Bytes rules = std::max(options.rule_memory, kUsualRules) - kUsualRules;
  plan.memory.reserve(std::max(20_MiB, memory / 24) + 3_MiB * threads + rules * (threads + 1),
                      "code, libraries, RDKit with its rules, stacks");
  Bytes read = format::RowReader::cost();
  for (const std::string& path : wanted.paths) read = std::max(read, format::RowReader::cost(path));
  Bytes known;
  for (const std::string& path : options.known) known += known_cost(path);
  plan.memory.account({"read", 10, read}, "the input's pages and buffers");
  plan.memory.account({"units", 20, MoleculeBatch::kPeak}, "molecules on their way to the threads");
  plan.memory.account({"sort", 30, ExternalSort::floor(plan.sort_options)},
                      "products, before they are written out as sorted runs");
  plan.memory.account({"steps", 40, steps}, "files of molecules between the steps");
  plan.memory.account({"known", 50, known}, "the files given with --known");
  plan.memory.account({"write", 60, format::ParquetWriter::cost(columns_of(options))},
                      "one column of one row group");
  return plan;
}

std::optional<ApplyPlan> plan_within(const Wanted& wanted, Bytes memory) {
  const Bytes least_sort = wanted.options.job.threads * 2_MiB;
  const ApplyPlan least = with_sort(wanted, memory, least_sort);
  if (least.memory.total() > memory) return std::nullopt;
  ApplyPlan plan = with_sort(wanted, memory, least_sort + (memory - least.memory.total()));
  if (plan.memory.total() > memory) return std::nullopt;
  return plan;
}

}  // namespace

RecordShape shape_of(const ApplyOptions& options) {
  return {.descriptors = options.transform.descriptors,
          .inchikey = options.transform.inchikey,
          .route = options.steps > 1};
}

Result<ApplyPlan> plan_apply(const ApplyOptions& options, const std::vector<std::string>& paths) {
  const Wanted wanted{options, paths};
  return plan_or_refuse<ApplyPlan>(options.job.memory,
                                   [&](Bytes memory) { return plan_within(wanted, memory); });
}

Result<ReadingMemory> memory_to_read(Bytes memory) {
  struct Plan {
    MemoryPlan memory;
  };
  const Plan plan = TRY(plan_or_refuse<Plan>(memory, [](Bytes limit) -> std::optional<Plan> {
    Plan made;
    made.memory.reserve(std::max(20_MiB, limit / 24), "code, libraries, stacks");
    made.memory.account({"read", 0, format::RowReader::cost()}, "the file's pages and buffers");
    if (made.memory.total() > limit) return std::nullopt;
    return made;
  }));
  ReadingMemory made{Budget::create(memory - plan.memory.reserve()), Account()};
  made.account = TRY(plan.memory.open(*made.budget, "read"));
  return made;
}

Result<std::string> explain_memory(const ApplyOptions& options) {
  const std::vector<std::string> paths =
      TRY(expand_paths(options.inputs, format::RowReader::suffixes()));
  const ApplyPlan plan = TRY(plan_apply(options, paths));
  const Wanted wanted{options, paths};
  const auto [least, ignored] =
      least_plan<ApplyPlan>(1_MiB, [&](Bytes memory) { return plan_within(wanted, memory); });
  return explain_plan(options.job, least, plan.memory,
                      "more for the sort; what does not fit goes to scratch");
}

}  // namespace spillway::transform

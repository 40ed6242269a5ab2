#include "transform/job/plan.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "format/parquet/parquet_writer.hpp"
#include "format/rows/row_reader.hpp"
#include "transform/job/molecules.hpp"
#include "transform/records/name_stream.hpp"
#include "transform/records/record_file.hpp"

namespace spillway::transform {
namespace {

constexpr size_t kFrame = size_t{256} << 10;

}  // namespace

Plan Plan::of(const ApplyOptions& options, size_t columns, Bytes memory) {
  const unsigned threads = options.job.threads;
  Plan plan;
  // RDKit allocates as it likes: measured 14-19 MiB with two threads, the libraries' own data in it.
  plan.program = std::max(20_MiB, memory / 24) + 3_MiB * threads;
  plan.read = format::RowReader::cost();
  plan.units = MoleculeBatch::kPeak;
  plan.known = known_cost() * options.known.size();
  // Files of molecules: written one, refusals one, read one a step and the inputs.
  plan.steps = RecordFile::cost() * (options.steps > 1 ? options.steps + 4 : 3);
  plan.write = format::ParquetWriter::cost(columns);

  plan.parent_options.frame_bytes = kFrame;
  plan.parent_options.memory = 8_MiB;
  const bool by_ordinal = options.steps > 1 || options.order == OutputOrder::kInput;
  if (by_ordinal) plan.steps += ExternalSort::floor(plan.parent_options);

  plan.sort_options.inputs = threads;
  plan.sort_options.frame_bytes = kFrame;
  plan.sort_options.memory = threads * 2_MiB;
  plan.sort = ExternalSort::floor(plan.sort_options);
  if (plan.total() < memory) {
    plan.sort_options.memory += memory - plan.total();
    plan.sort = ExternalSort::floor(plan.sort_options);
  }
  return plan;
}

std::vector<Plan::Item> Plan::items() const {
  std::vector<Item> all{{"program", program, "code, libraries, RDKit, stacks"},
                        {"read", read, "the input's pages and buffers"},
                        {"units", units, "molecules on their way to the threads"},
                        {"sort", sort, "products, before they are written out as sorted runs"},
                        {"steps", steps, "files of molecules between the steps"},
                        {"write", write, "one column of one row group"}};
  if (known > 0_B) all.push_back({"known", known, "the files given with --known"});
  return all;
}

Result<Plan> Plan::make(const ApplyOptions& options, size_t columns) {
  const Plan plan = of(options, columns, options.job.memory);
  if (plan.total() <= options.job.memory) return plan;
  Bytes memory = options.job.memory;
  while (of(options, columns, memory).total() > memory) memory += 1_MiB;
  const Plan least = of(options, columns, memory);
  std::string parts;
  for (const Item& item : least.items())
    parts += fmt::format("{}{} {}", parts.empty() ? "" : ", ", item.name, to_string(item.bytes));
  return fail(Code::kMemoryLimit,
              fmt::format("--memory {} is too small: needs at least {}: {}",
                          to_string(options.job.memory), to_string(memory), parts));
}

}  // namespace spillway::transform

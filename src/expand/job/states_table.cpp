#include "expand/job/states_table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#ifdef SPILLWAY_HAVE_ARROW
#include "core/file/folders.hpp"
#include "format/parquet/parquet_writer.hpp"
#endif

namespace spillway::expand {
#ifdef SPILLWAY_HAVE_ARROW
namespace {

format::ColumnType format_type(ColumnType type) {
  switch (type) {
    case ColumnType::kUint8:
      return format::ColumnType::kUint8;
    case ColumnType::kUint16:
      return format::ColumnType::kUint16;
    case ColumnType::kUint32:
      return format::ColumnType::kUint32;
    case ColumnType::kUint64:
      return format::ColumnType::kUint64;
    case ColumnType::kString:
      return format::ColumnType::kString;
    case ColumnType::kUint32List:
      return format::ColumnType::kUint32List;
    case ColumnType::kBinary:
      return format::ColumnType::kBinary;
  }
  return format::ColumnType::kUint64;
}

format::ParquetOptions table_options(const Problem& problem, StatesOutput what) {
  format::ParquetOptions options;
  options.columns = {{"depth", format::ColumnType::kUint32, false},
                     {"id", format::ColumnType::kUint64, false}};
  if (what == StatesOutput::kAll) {
    std::set<std::string> taken{"depth", "id"};
    for (const Column& column : problem.columns()) {
      std::string name = column.name;
      while (!taken.insert(name).second) name += '_';
      options.columns.push_back({std::move(name), format_type(column.type), column.nullable});
    }
  }
  options.metadata = {{"spillway.problem", problem.name()},
                      {"spillway.arguments", problem.arguments_json()}};
  return options;
}

class WriterRow final : public Row {
 public:
  explicit WriterRow(format::ParquetWriter& writer) : writer_(writer) {}
  void number(uint64_t value) override { writer_.number(value); }
  void text(std::string_view value) override { writer_.text(value); }
  void list(std::span<const uint32_t> values) override { writer_.list(values); }
  void null() override { writer_.null(); }

 private:
  format::ParquetWriter& writer_;
};

}  // namespace

Result<void> write_states(const Problem& problem, StatesOutput what, Search& search,
                          const std::string& folder, Budget& budget,
                          std::shared_ptr<ScratchSpace> space, const std::stop_token& stop) {
  TRY(make_folders(folder));
  Account account = TRY(budget.open({"parquet", 90, Bytes(0), std::nullopt}));
  format::ParquetOptions table = table_options(problem, what);
  table.space = std::move(space);
  auto writer =
      TRY(format::ParquetWriter::create(folder + "/states.parquet", std::move(table), account));
  WriterRow row(*writer);
  TRY(search.each_state([&](uint32_t depth, const StateView& state) -> Result<void> {
    if (writer->rows() % 4096 == 4095 && stop.stop_requested())
      return fail(Code::kCancelled, "stopped while writing states");
    writer->number(depth);
    writer->number(problem.id(state));
    if (what == StatesOutput::kAll) problem.describe(state, row);
    return writer->end_row();
  }));
  return std::move(*writer).close();
}

Bytes states_cost(const Problem& problem, StatesOutput what) {
  if (what == StatesOutput::kNone) return Bytes(0);
  return format::ParquetWriter::cost(table_options(problem, what).columns.size());
}
#else
Bytes states_cost(const Problem&, StatesOutput) { return Bytes(0); }

Result<void> write_states(const Problem&, StatesOutput, Search&, const std::string&, Budget&,
                          std::shared_ptr<ScratchSpace>, const std::stop_token&) {
  return fail(Code::kUsage, "--states needs Arrow, which this build lacks: build with ./run build");
}
#endif

}  // namespace spillway::expand

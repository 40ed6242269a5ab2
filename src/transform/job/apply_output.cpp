#include "transform/job/apply_output.hpp"

#include <fmt/format.h>

#include "core/file/folders.hpp"
#include "transform/records/record_file.hpp"
#include "transform/records/refusals_file.hpp"

namespace spillway::transform {

TableShape ApplyOutput::table_shape() const {
  TableShape table;
  table.record = options_.shape;
  table.files = options_.inputs.paths;
  for (const Chemistry::RuleName& rule : options_.chemistry.rules) {
    if (table.rule_names.size() <= rule.position) table.rule_names.resize(rule.position + 1u);
    table.rule_names[rule.position] = rule.name;
  }
  table.carried = options_.inputs.carried;
  return table;
}

Result<std::unique_ptr<RecordFile::Reader>> ApplyOutput::open_file(const DurableRun& run) const {
  return RecordFile::Reader::open(file(run.file), run, options_.steps, options_.space);
}

Result<std::unique_ptr<ProductTable>> ApplyOutput::create_table() const {
  return ProductTable::create(options_.apply.out, file("products.partial"), table_shape(),
                              options_.write, options_.space);
}

Result<void> ApplyOutput::put(ProductTable& table, const MoleculeView& view) {
  std::vector<int32_t> atoms;
  const ProductData data = TRY(read_product(view.data, options_.shape, atoms));
  auto [at, fresh] = examples_.try_emplace(view.ordinal.rule);
  if (fresh) at->second = {std::string(data.source), atoms, std::string(view.text)};
  ++options_.live.written;
  return table.put(view, data);
}

Result<void> ApplyOutput::close_table(std::unique_ptr<ProductTable> table, const Counts& counts) {
  TRY(counts.balance());
  for (const auto& [key, value] : footer_texts(options_.chemistry, options_.apply, counts))
    table->metadata(key, value);
  rows_ = table->rows();
  if (rows_ != counts.total().unique) {
    return fail(Code::kInternal, fmt::format("{} rows were written and {} products are unique",
                                             rows_, counts.total().unique));
  }
  TRY(options_.out.must_be_as_it_was());
  options_.live.phase = 3;  // the last row group, the disk, and all of it read back
  return std::move(*table).close();
}

Result<void> ApplyOutput::write_table(const std::map<unsigned, StepFiles>& steps,
                                      const Counts& counts) {
  options_.live.phase = 2;
  options_.live.written = 0;
  options_.live.to_write = counts.total().unique;
  auto table = TRY(create_table());
  if (options_.apply.order == OutputOrder::kKey)
    TRY(write_by_key(*table, steps));
  else
    TRY(write_by_ordinal(*table, steps));
  return close_table(std::move(table), counts);
}

// The steps' survivors are apart from each other and each in key order.
Result<void> ApplyOutput::write_by_key(ProductTable& table,
                                       const std::map<unsigned, StepFiles>& steps) {
  struct Side {
    std::unique_ptr<RecordFile::Reader> reader;
    std::optional<Record> record;
  };
  std::vector<Side> sides;
  for (const auto& [step, files] : steps) {
    Side side{TRY(open_file(files.molecules)), std::nullopt};
    side.record = TRY(side.reader->next());
    sides.push_back(std::move(side));
  }
  while (true) {
    Side* least = nullptr;
    for (Side& side : sides) {
      if (side.record && (least == nullptr || compare(*side.record, *least->record) < 0))
        least = &side;
    }
    if (least == nullptr) return {};
    const MoleculeView view = TRY(read_molecule(*least->record));
    if (view.standing == Standing::kNew) TRY(put(table, view));
    least->record = TRY(least->reader->next());
    if (options_.stop.stop_requested()) return fail(Code::kCancelled, "stopped");
  }
}

Result<void> ApplyOutput::write_by_ordinal(ProductTable& table,
                                           const std::map<unsigned, StepFiles>& steps) {
  auto sort = TRY(ExternalSort::create(options_.parent_options, options_.steps, options_.space));
  RecordMaker maker(options_.shape);
  for (const auto& [step, files] : steps) {
    const auto reader = TRY(open_file(files.molecules));
    while (const auto record = TRY(reader->next())) {
      if (TRY(read_molecule(*record)).standing != Standing::kNew) continue;
      TRY(sort->input(0).add(maker.by_ordinal(*record)));
      if (options_.stop.stop_requested()) return fail(Code::kCancelled, "stopped");
    }
  }
  auto stream = TRY(sort->stream());
  while (const auto record = TRY(stream.next())) {
    TRY(put(table, TRY(read_molecule(TRY(molecule_of_ordinal(*record))))));
    if (options_.stop.stop_requested()) return fail(Code::kCancelled, "stopped");
  }
  return {};
}

Result<void> ApplyOutput::write_refusals(const std::map<unsigned, StepFiles>& steps) const {
  const std::string name = options_.apply.rejects;
  // Beside its final name unless that is in the output's folder: a rename cannot leave a disk.
  const bool beside = folder_of(name) == folder_of(options_.apply.out);
  auto table = TRY(RefusalsFile::create(name, beside ? file("rejects.partial") : ""));
  const TableShape shape_of_table = table_shape();
  for (const auto& [step, files] : steps) {
    const auto reader = TRY(open_file(files.refusals));
    while (const auto record = TRY(reader->next())) {
      const RecordMaker::Refusal view = TRY(read_refusal(*record));
      RefusalsFile::Line line;
      line.source_file = options_.inputs.paths.at(view.file);
      line.source_row = view.source_row;
      if (view.of_rule) line.rule = shape_of_table.rule_names.at(view.ordinal.rule);
      line.site_index = view.site;
      line.reason = transform::name(view.reason);
      line.source_smiles = view.source;
      line.message = view.message;
      TRY(table->add(line));
      if (options_.stop.stop_requested()) return fail(Code::kCancelled, "stopped");
    }
  }
  TRY(options_.rejects.must_be_as_it_was());
  return std::move(*table).close();
}

}  // namespace spillway::transform

#include "transform/job/apply_step.hpp"

#include <fmt/format.h>

#include "core/file/folders.hpp"
#include "core/printable.hpp"
#include "transform/records/record_file.hpp"

namespace spillway::transform {
Result<std::unique_ptr<ApplySteps>> ApplySteps::create(Options options) {
  std::unique_ptr<ApplySteps> steps(new ApplySteps(std::move(options)));
  JobRuntime& runtime = steps->options_.runtime;
  steps->units_ = TRY(runtime.open("units"));
  steps->sort_ = TRY(runtime.open("sort"));
  steps->known_ = TRY(runtime.open("known"));
  return steps;
}

Result<std::unique_ptr<RecordFile::Reader>> ApplySteps::open_file(const DurableRun& run) const {
  return RecordFile::Reader::open(file(run.file), run, options_.steps, options_.runtime.space());
}

// The molecules that step `step` is applied to.
Result<std::unique_ptr<MoleculeSource>> ApplySteps::source_of(unsigned step) {
  if (step == 1)
    return rows_of(options_.inputs, options_.apply.rows, options_.apply.rows_chosen, options_.read,
                   options_.runtime.stop());
  auto sort = TRY(
      ExternalSort::create(options_.plan.parent_options, options_.steps, options_.runtime.space()));
  const DurableRun& parents = options_.journal.done(step - 1).molecules;
  auto reader = TRY(open_file(parents));
  RecordMaker maker(options_.shape);
  while (const auto record = TRY(reader->next())) {
    const Standing standing = TRY(read_molecule(*record)).standing;
    const bool stops = standing == Standing::kKnown && options_.apply.known_stops;
    if (standing == Standing::kInput || stops) continue;  // step 1 has applied the rules to inputs
    TRY(sort->input(0).add(maker.by_ordinal(*record)));
    if (options_.runtime.stop().stop_requested()) return fail(Code::kCancelled, "stopped");
  }
  reader.reset();
  auto stream = TRY(sort->stream());
  return parents_of(std::move(sort), std::move(stream), parents.records, options_.shape);
}

Result<void> ApplySteps::run(unsigned number) {
  options_.live.phase = 0;
  options_.live.read = 0;
  const std::string runs = ApplyJournal::runs_folder(options_.work, number);
  TRY(make_folders(runs));
  StepOptions options;
  options.step = number;
  options.threads = options_.apply.job.threads;
  options.shape = options_.shape;
  options.keep_inputs = number == 1;
  options.keep_refusals = !options_.apply.rejects.empty();
  options.sort = options_.plan.sort_options;
  options.sort.folder = runs;
  options.sort_account = sort_;
  options.units_account = units_;
  options.flat_memory = options_.plan.flat_memory;
  options.space = options_.runtime.space();
  options.journal = [this, number](const DurableRun* run, const RangeSet& batches,
                                   const Counts& counts) -> Result<void> {
    return options_.journal.add_run(number, run, batches, counts);
  };
  auto source = TRY(source_of(number));
  Step step(options_.chemistry, std::move(options), options_.live);
  TRY(step.run(*source, options_.journal.under_way(number), options_.runtime.stop()));
  source.reset();
  TRY(join(step, number));
  return remove_tree(runs);
}

// What products of step `number` may equal.
Result<Step::Names> ApplySteps::names_before(unsigned number) {
  const std::stop_token stop = options_.runtime.stop();
  Step::Names before{AntiJoin(stop), AntiJoin(stop), AntiJoin(stop)};
  const auto transformer = TRY(options_.chemistry.make(options_.plan.flat_memory));
  const auto canonical = [&](std::string_view text,
                             format::RowKind kind) -> std::optional<std::string> {
    if (kind == format::RowKind::kLine) return transformer->canonical(text);
    const auto smiles = options_.chemistry.smiles_of_record(text);
    return smiles ? transformer->canonical(*smiles) : std::nullopt;
  };
  for (const std::string& path : options_.apply.known) {
    KnownNames names = TRY(open_known(
        {path, known_rows(options_.apply.rows), canonical, options_.runtime.space(), stop},
        known_));
    if (!known_counted_) {
      known_unread_ += names.unread;
      known_too_long_ += names.too_long;
      if (!names.guessed.empty())
        options_.runtime.note(fmt::format("{}: the known molecules are taken from column '{}'",
                                          path, printable(names.guessed)));
    }
    TRY(before.known.add(std::move(names.names)));
  }
  known_counted_ = true;
  for (unsigned earlier = 1; earlier < number; ++earlier) {
    const StepFiles& files = options_.journal.done(earlier);
    if (earlier == 1) TRY(before.inputs.add(names_of(TRY(open_file(files.inputs)))));
    TRY(before.earlier.add(names_of(TRY(open_file(files.molecules)))));
  }
  return before;
}

Result<void> ApplySteps::join(Step& step, unsigned number) {
  options_.live.phase = 1;
  Step::Names names = TRY(names_before(number));
  const auto writer = [&](const char* name) {
    return RecordFile::Writer::create(file(fmt::format("{}-{}", name, number)), options_.steps,
                                      options_.runtime.space());
  };
  Step::Outputs outputs;
  RecordMaker maker(options_.shape);
  std::unique_ptr<ProductTable> table;
  std::unique_ptr<RecordFile::Writer> molecules, refusals, inputs;
  if (is_direct()) {
    table = TRY(options_.output.create_table());
    outputs.first = [&](Record, const MoleculeView& view, Standing standing) -> Result<void> {
      return standing == Standing::kNew ? options_.output.put(*table, view) : Result<void>();
    };
  } else {
    molecules = TRY(writer("molecules"));
    const bool is_last = number == options_.apply.steps;
    outputs.first = [&, is_last](Record record, const MoleculeView&,
                                 Standing standing) -> Result<void> {
      if (standing == Standing::kNew) return molecules->add(record);
      return is_last ? Result<void>() : molecules->add(maker.standing(record, standing));
    };
  }
  if (options_.apply.steps > 1 && number == 1) {
    inputs = TRY(writer("inputs"));
    outputs.input = [&](Record record) { return inputs->add(record); };
  }
  if (!options_.apply.rejects.empty()) {
    refusals = TRY(writer("refusals"));
    outputs.refusal = [&](Record record) { return refusals->add(record); };
  }
  TRY(step.merge(names, outputs, options_.runtime.stop()));
  StepFiles files;
  if (molecules) files.molecules = TRY(molecules->finish());
  if (inputs) files.inputs = TRY(inputs->finish());
  if (refusals) files.refusals = TRY(refusals->finish());
  files.counts = step.counts();
  if (table) {
    TRY(options_.journal.begin_output());
    TRY(options_.output.close_table(std::move(table), files.counts));
  }
  return options_.journal.finish_step(number, std::move(files), !is_direct());
}

}  // namespace spillway::transform

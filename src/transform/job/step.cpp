#include "transform/job/step.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <numeric>

#include "core/disk/corrupt.hpp"

namespace spillway::transform {
namespace {

using SteadyClock = std::chrono::steady_clock;

// How long work may stay only in memory, and how many ranges a journal line may hold.
constexpr std::chrono::seconds kMostUnsafe{60};
constexpr size_t kMostRanges = 20'000;
// How long after a stop runs are still written.
constexpr std::chrono::milliseconds kSavingGrace{1000};

}  // namespace

void RangeSet::add(uint64_t first, uint64_t last) {
  auto at =
      std::lower_bound(ranges_.begin(), ranges_.end(), first,
                       [](const auto& range, uint64_t value) { return range.second + 1 < value; });
  if (at == ranges_.end() || last + 1 < at->first) {
    ranges_.insert(at, {first, last});
    return;
  }
  at->first = std::min(at->first, first);
  at->second = std::max(at->second, last);
  auto after = std::next(at);
  while (after != ranges_.end() && after->first <= at->second + 1) {
    at->second = std::max(at->second, after->second);
    after = ranges_.erase(after);
  }
}

bool RangeSet::contains(uint64_t value) const {
  const auto at = std::lower_bound(ranges_.begin(), ranges_.end(), value,
                                   [](const auto& range, uint64_t v) { return range.second < v; });
  return at != ranges_.end() && at->first <= value;
}

// What one thread works with.
struct Step::Worker {
  Worker(size_t rule_count, RecordShape shape)
      : maker(shape), safe(rule_count), current(rule_count) {}
  std::unique_ptr<Transformer> transformer;
  ExternalSort::Input* input = nullptr;
  RecordMaker maker;
  RangeSet batches;      // done since the last line in the journal
  Counts safe;           // of these
  Counts current;        // of the batch at hand
  uint64_t records = 0;  // given to the sort
  SteadyClock::time_point written = SteadyClock::now();
};

// Turns what the transformer makes of one molecule into records.
class Step::Sink final : public ProductSink {
 public:
  Sink(Step& step, Worker& worker, const Molecule& molecule, std::string_view text)
      : step_(step), worker_(worker), molecule_(molecule), text_(text) {}

  Result<void> product(const Product& product) override {
    TRY(step_.go_on());
    ProductData data;
    data.file = molecule_.file;
    data.source_row = molecule_.source_row;
    data.site_atoms = product.site_atoms;
    data.n_f = product.n_f;
    data.n_cl = product.n_cl;
    data.n_br = product.n_br;
    data.n_i = product.n_i;
    data.mw = product.mw;
    data.hbd = product.hbd;
    data.hba = product.hba;
    data.rotb = product.rotb;
    data.tpsa = product.tpsa;
    data.clogp = product.clogp;
    data.inchikey = product.inchikey;
    data.source = text_;
    data.carried = molecule_.carried;
    data.route = molecule_.route;
    const Ordinal ordinal = ordinal_of(product.rule, static_cast<uint32_t>(product.site_index));
    ++worker_.records;
    return worker_.input->add(worker_.maker.product(product.smiles, ordinal, data));
  }

  Result<void> failure(const Failure& failure) override {
    TRY(step_.go_on());
    step_.live_.refusals.add(failure.reason, text_, failure.message);
    if (!step_.options_.keep_refusals) return {};
    const bool of_rule = failure.rule != Failure::kNoRule;
    const Ordinal ordinal = ordinal_of(of_rule ? failure.rule : 0, 0);
    RecordMaker::Refusal refusal;
    refusal.ordinal = ordinal;
    refusal.of_rule = of_rule;
    refusal.site = failure.site_index;
    refusal.reason = failure.reason;
    refusal.file = molecule_.file;
    refusal.source_row = molecule_.source_row;
    refusal.source = text_;
    refusal.message = failure.message;
    return worker_.input->add(worker_.maker.refusal(refusal));
  }

 private:
  Ordinal ordinal_of(size_t rule, uint32_t site) const {
    return {static_cast<uint8_t>(step_.options_.step), molecule_.row,
            step_.chemistry_.rules.at(rule).position, site};
  }
  Step& step_;
  Worker& worker_;
  const Molecule& molecule_;
  std::string_view text_;
};

Step::Step(const Chemistry& chemistry, StepOptions options, LiveCounts& live)
    : chemistry_(chemistry), options_(std::move(options)), live_(live) {}
Step::~Step() = default;

Result<void> Step::run(MoleculeSource& source, StepState done, std::stop_token stop) {
  counts_ = done.counts;
  live_.products += done.counts.total().products;
  live_.to_merge = 0;
  live_.merged = 0;
  for (const DurableRun& run : done.runs) live_.to_merge += run.records;
  ExternalSortOptions sort_options = options_.sort;
  sort_options.inputs = options_.threads;
  stop_ = stop;
  saving_.emplace(kSavingGrace).follow(stop);
  sort_options.stop = saving_->token();
  sort_options.fold = [](std::span<uint8_t> kept, Record next) {
    return kept.size() == next.size() && compare(kept, next) == 0;
  };
  sort_options.on_run = [this](size_t input, const DurableRun& run) { return on_run(input, run); };
  sort_ = TRY(ExternalSort::create(sort_options, options_.sort_account, options_.space));
  for (const DurableRun& run : done.runs) TRY(sort_->adopt(run));
  workers_.clear();
  for (unsigned i = 0; i < options_.threads; ++i) {
    auto worker = std::make_unique<Worker>(chemistry_.rules.size(), options_.shape);
    worker->transformer = TRY(chemistry_.make(options_.flat_memory));
    worker->input = &sort_->input(i);
    workers_.push_back(std::move(worker));
  }
  {
    MutexLock lock(idle_mutex_);
    idle_.resize(workers_.size());
    std::iota(idle_.begin(), idle_.end(), size_t{0});
  }

  Pipeline pipeline(stop);
  Account units = options_.units_account;
  auto batches = pipeline.source<MoleculeBatch>(
      {.name = "read", .out = {.items = options_.threads}},
      [&](std::stop_token ending) -> Result<std::optional<Unit<MoleculeBatch>>> {
        Lease lease = TRY(units.acquire(MoleculeBatch::kPeak, ending));
        while (true) {
          if (ending.stop_requested()) return fail(Code::kCancelled, "stopped while reading");
          auto batch = TRY(source.next());
          live_.read = source.fraction();
          if (!batch) return std::optional<Unit<MoleculeBatch>>();
          if (done.batches.contains(batch->index)) {
            live_.molecules += batch->size();
            continue;
          }
          lease.shrink_to(std::min(lease.bytes(), batch->held()));
          return std::optional<Unit<MoleculeBatch>>(
              Unit<MoleculeBatch>{std::move(*batch), std::move(lease)});
        }
      });
  pipeline.sink<MoleculeBatch>(batches,
                               {.name = "apply", .threads = options_.threads, .order = Order::kAny},
                               [&](Unit<MoleculeBatch> unit, Lease) -> Result<void> {
                                 size_t index = 0;
                                 {
                                   MutexLock lock(idle_mutex_);
                                   index = idle_.back();
                                   idle_.pop_back();
                                 }
                                 auto applied = apply_batch(*workers_[index], unit.value);
                                 MutexLock lock(idle_mutex_);
                                 idle_.push_back(index);
                                 return applied;
                               });
  auto applied_all = pipeline.run();
  if (!applied_all && applied_all.error().code() == Code::kCancelled) save_what_is_done();
  TRY(std::move(applied_all));
  for (auto& worker : workers_) {
    const Transformer::Paths paths = worker->transformer->paths();
    live_.rows_flat += paths.flat_rows;
    live_.rows_rdkit += paths.rdkit_rows;
    live_.sites_flat += paths.flat;
    live_.sites_edited += paths.direct;
    live_.sites_reacted += paths.reference;
    live_.made_both_ways += paths.checked;
    worker->transformer.reset();
  }
  return {};
}

// What is gathered becomes runs, so that it need not be done again. Where that fails, or there is no
// time for it, what the journal has still holds.
void Step::save_what_is_done() {
  for (auto& worker : workers_) {
    if (!worker->input->flush()) return;
  }
}

// A batch, and one molecule with a thousand sites, can take minutes. What is made of a part of a batch
// is made again, and dropped as equal.
Result<void> Step::go_on() const {
  if (stop_.stop_requested()) return fail(Code::kCancelled, "stopped while applying the rules");
  return {};
}

Result<void> Step::apply_batch(Worker& worker, const MoleculeBatch& batch) {
  worker.current = Counts(chemistry_.rules.size());
  const uint64_t before = worker.records;
  for (size_t i = 0; i < batch.size(); ++i) {
    TRY(go_on());
    TRY(apply_one(worker, batch.at(i)));
  }
  live_.molecules += batch.size();
  live_.products += worker.current.total().products;
  live_.to_merge += worker.records - before;
  worker.safe.add(worker.current);
  worker.batches.add(batch.index, batch.index);
  const bool unsafe_for_long = SteadyClock::now() - worker.written > kMostUnsafe;
  if (unsafe_for_long || worker.batches.ranges().size() >= kMostRanges) {
    // flush() tells on_run(), unless nothing was gathered.
    if (!TRY(worker.input->flush())) TRY(write_down(worker, nullptr));
  }
  return {};
}

Result<void> Step::apply_one(Worker& worker, const Molecule& molecule) {
  std::string_view text = molecule.text.value_or(std::string_view());
  std::string converted;
  std::string problem(molecule.problem);
  if (problem.empty() && molecule.kind == format::RowKind::kRecord && molecule.text) {
    auto smiles = chemistry_.smiles_of_record(text);
    if (smiles && smiles->size() <= format::RowReader::kMaxText)
      converted = std::move(*smiles);
    else
      problem = smiles ? "the molecule is too large" : smiles.error().message();
    text = problem.empty() ? std::string_view(converted) : std::string_view();
  }
  if (!problem.empty()) {
    Applied failed{.row = Row::kFailed, .row_reason = Reason::kParse, .by_rule = {}};
    worker.current.add_molecule(failed);
    Sink sink(*this, worker, molecule, text.substr(0, 200));
    return sink.failure({.reason = Reason::kParse, .message = problem});
  }
  Sink sink(*this, worker, molecule, text);
  const Applied applied = TRY(worker.transformer->apply(text, sink));
  worker.current.add_molecule(applied);
  if (!options_.keep_inputs || applied.row_reason) return {};
  const auto canonical = worker.transformer->canonical(text);
  if (!canonical) return {};
  ++worker.records;
  TRY(worker.input->add(worker.maker.input(*canonical)));
  // As it stands, too: the canonical form of a canonical form may be another.
  if (*canonical == text) return {};
  ++worker.records;
  return worker.input->add(worker.maker.input(text));
}

Result<void> Step::on_run(size_t input, const DurableRun& run) {
  return write_down(*workers_.at(input), &run);
}

Result<void> Step::write_down(Worker& worker, const DurableRun* run) {
  {
    MutexLock lock(journal_mutex_);
    TRY(options_.journal(run, worker.batches, worker.safe));
    counts_.add(worker.safe);
  }
  worker.batches = RangeSet();
  worker.safe = Counts(chemistry_.rules.size());
  worker.written = SteadyClock::now();
  return {};
}

Result<void> Step::merge(Names& names, const Outputs& outputs, std::stop_token stop) {
  std::vector<size_t> index_of;  // of a rule, by its position in the file
  for (size_t i = 0; i < chemistry_.rules.size(); ++i) {
    const size_t position = chemistry_.rules[i].position;
    if (index_of.size() <= position) index_of.resize(position + 1, ~size_t{0});
    index_of[position] = i;
  }
  auto stream = TRY(sort_->stream());  // writes down what was spilled for it
  for (auto& worker : workers_) counts_.add(worker->safe);
  workers_.clear();
  std::vector<uint64_t> products(chemistry_.rules.size());
  std::vector<uint8_t> name;  // of the group at hand
  bool is_input = false, is_known = false, was_made = false;
  uint64_t walked = 0;
  while (const auto record = TRY(stream.next())) {
    if ((++walked & 0xfff) == 0) {
      live_.merged = walked;
      if (stop.stop_requested()) return fail(Code::kCancelled, "stopped");
    }
    if (is_refusal(*record)) {
      if (outputs.refusal) TRY(outputs.refusal(*record));
      continue;
    }
    const MoleculeView view = TRY(read_molecule(*record));
    if (compare({name.data(), name.size()}, view.key_and_text) != 0) {
      name.assign(view.key_and_text.begin(), view.key_and_text.end());
      is_input = TRY(names.inputs.contains(view.key_and_text));
      is_known = TRY(names.known.contains(view.key_and_text));
      was_made = TRY(names.earlier.contains(view.key_and_text));
    }
    if (view.ordinal.step == 0) {
      is_input = true;
      if (outputs.input) TRY(outputs.input(*record));
      continue;
    }
    if (view.ordinal.rule >= index_of.size() || index_of[view.ordinal.rule] >= products.size())
      return fail_corrupt("a sorted run names a rule that is not in use");
    const size_t rule = index_of[view.ordinal.rule];
    RuleTally& tally = counts_.rules[rule];
    ++products[rule];
    if (was_made) {
      ++tally.duplicates;
      continue;
    }
    was_made = true;
    const Standing standing = is_input   ? Standing::kInput
                              : is_known ? Standing::kKnown
                                         : Standing::kNew;
    ++(standing == Standing::kNew ? tally.unique : tally.known);
    if (standing == Standing::kNew) ++live_.unique;
    if (outputs.first) TRY(outputs.first(*record, view, standing));
  }
  for (size_t i = 0; i < products.size(); ++i) {
    RuleTally& tally = counts_.rules[i];
    tally.duplicates += tally.skipped;
    if (products[i] + tally.skipped != tally.products) {
      return fail(
          Code::kInternal,
          fmt::format("rule {} made {} products, {} of them skipped by symmetry, and {} came "
                      "out of the sort",
                      chemistry_.rules[i].name, tally.products, tally.skipped, products[i]));
    }
  }
  sort_.reset();
  return counts_.balance();
}

}  // namespace spillway::transform

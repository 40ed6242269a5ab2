#include "expand/engine/search.hpp"

#include <fmt/format.h>

#include "core/disk/corrupt.hpp"
#include "expand/engine/search_of.hpp"

namespace spillway::expand {
namespace {

// A layer's end is a checkpoint when the last one is at least this old (or --checkpoint, if
// shorter).
constexpr std::chrono::seconds kLayerCheckpoint{15};

std::vector<uint8_t> encoded(StateForm form, const StateView& state) {
  if (form == StateForm::kBytes) return {state.bytes.begin(), state.bytes.end()};
  std::vector<uint8_t> bytes(8);
  std::memcpy(bytes.data(), &state.packed, 8);
  return bytes;
}

}  // namespace

template <class K>
Result<void> SearchOf<K>::start() {
  auto segment = new_segment();
  state_.layers.begin(new_blob("rows"));
  for (const std::vector<uint8_t>& bytes : TRY(problem_.initial())) {
    StateView view{0, bytes};
    if (traits_.form == StateForm::kPacked) std::memcpy(&view.packed, bytes.data(), 8);
    if (!TRY(insert_seen(key_of(view), view))) continue;
    if (traits_.form == StateForm::kPacked) {
      TRY(segment->append(std::span(&view.packed, 1)));
    } else {
      TRY(segment->append(view.bytes));
    }
    ++state_.layers.back().fresh;
  }
  TRY(segment->finish());
  if (state_.layers.initial() == 0) return fail(Code::kInvalid, "the problem has no initial state");
  current_.push_back(std::move(segment));
  total_states_ = state_.layers.initial();
  return {};
}

template <class K>
Result<void> SearchOf<K>::run(std::stop_token stop,
                              const std::function<Result<void>(const std::string&)>& save) {
  follow(stop);
  if (!started_) TRY(start());
  started_ = true;
  last_checkpoint_ = options_.clock->now();
  while (true) {
    const uint32_t depth = static_cast<uint32_t>(state_.layers.size() - 1);
    shown_depth_ = depth;
    shown_layer_ = layer_size(current_);
    shown_done_ = place_.visited;
    shown_states_ = total_states_;
    if (options_.max_depth && depth >= *options_.max_depth) {
      TRY(visit_last_layer(stop));
      return settle();
    }
    TRY(expand_layer(stop, save));
    LayerRow& row = state_.layers.back();
    const uint64_t fresh = layer_size(next_);
    CHECK(row.generated == row.duplicate + fresh);
    if (options_.keep_layers) TRY(keep(std::move(current_)));
    current_ = std::move(next_);
    next_.clear();
    place_ = {};
    if (fresh == 0) {
      TRY(settle());
      complete_ = true;
      return {};
    }
    TRY(state_.layers.push(LayerRow{fresh, 0, 0}));
    total_states_ += fresh;
  }
}

template <class K>
bool SearchOf<K>::is_small(uint64_t parents) const {
  const double expected = static_cast<double>(parents) * branching_;
  const double least = options_.tuning.small_layer / (traits_.keep_successors ? 8 : 1);
  // Looking a successor up costs tens of ns when filters for all runs fit, several us when they do
  // not; joining a round costs about 1 ns for every key in the runs.
  const uint64_t keys = on_seen([](const auto& set) { return set.run_keys(); });
  const double runs = static_cast<double>(keys);
  const bool filtered = BloomFilter::bytes(keys) <= plan_.store_ceiling / 4;
  if (least == 0) return false;
  return expected < least + runs / (filtered ? 200 : 5000);
}

template <class K>
Result<void> SearchOf<K>::expand_layer(
    std::stop_token stop, const std::function<Result<void>(const std::string&)>& save) {
  const uint64_t size = layer_size(current_);
  while (place_.visited < size) {
    if (is_small(size - place_.visited)) {
      TRY(small_stretch(stop));
    } else {
      const Place begin = place_;
      auto done = round(stop);
      if (!done && !give_up_.token().stop_requested()) return done;
      if (!done && done.error().code() != Code::kCancelled) return done;
      if (!done) drop_round(begin);
    }
    shown_done_ = place_.visited;
    if (options_.on_round) options_.on_round();
    const auto since = options_.clock->now() - last_checkpoint_;
    const bool at_end = place_.visited == size;
    const bool due = since >= options_.checkpoint ||
                     (at_end && since >= std::min<std::chrono::milliseconds>(options_.checkpoint,
                                                                             kLayerCheckpoint));
    if (due || stop.stop_requested()) TRY(make_checkpoint(save));
    if (stop.stop_requested()) return fail(Code::kCancelled, "stopped at a checkpoint");
  }
  return {};
}

template <class K>
Result<void> SearchOf<K>::make_checkpoint(
    const std::function<Result<void>(const std::string&)>& save) {
  const auto begin = Stopwatch::now();
  set_phase("checkpoint");
  TRY(settle());
  std::vector<Blob*> described;
  auto text = checkpoint(described);
  if (!text) {
    // What it put on disk belongs to no checkpoint. (Once save() has begun it may belong to one.)
    for (Blob* const blob : described) blob->let_go();
    if (text.error().code() != Code::kCancelled) return fail(std::move(text).error());
    const double age = seconds_between(last_checkpoint_, options_.clock->now());
    return fail(Code::kCancelled,
                fmt::format("stopped; the work of the last {:.0f} s is done again", age));
  }
  TRY(save(*text));
  TRY(sweep(true));
  last_checkpoint_ = options_.clock->now();
  seconds_checkpoint_ += std::chrono::duration<double>(Stopwatch::now() - begin).count();
  return {};
}

// As it was before the round; the keys its threads have met last would not be, so that it must be the
// end of the run.
template <class K>
void SearchOf<K>::drop_round(const Place& begin) {
  place_ = begin;
  for (Worker& worker : workers_) {
    worker.ids_xor = worker.ids_sum = worker.barren = worker.proof = 0;
    worker.has_best = false;
  }
}

template <class K>
Result<void> SearchOf<K>::settle() {
  for (Worker& worker : workers_) TRY(worker.expander->settle());
  return {};
}

template <class K>
std::optional<typename SearchOf<K>::Claim> SearchOf<K>::claim(Place& place, const Layer& layer,
                                                              uint64_t ticket,
                                                              const Place* end) const {
  while (place.segment < layer.size() && place.frame == layer[place.segment]->frames().size()) {
    ++place.segment;
    place.frame = 0;
    place.state = 0;
  }
  if (place.segment == layer.size()) return std::nullopt;
  if (end != nullptr && place.visited >= end->visited) return std::nullopt;
  const FrameRef& frame = layer[place.segment]->frames()[place.frame];
  // Aim at half the successors' room, so that one expansion nearly always does.
  const double room = traits_.form == StateForm::kPacked
                          ? kPackedRoom
                          : (traits_.keep_successors ? 8192 : kBytesRoom / 4);
  const double aim =
      std::clamp(room / 2 / std::max(branching_, 0.5), 16.0, static_cast<double>(kFrameStates));
  uint32_t last = std::min(frame.kept, place.state + static_cast<uint32_t>(aim));
  if (end != nullptr)
    last = static_cast<uint32_t>(
        std::min<uint64_t>(last, place.state + (end->visited - place.visited)));
  Claim made{place.segment, place.frame, place.state, last, place.visited, ticket};
  place.visited += last - place.state;
  place.state = last;
  if (last == frame.kept) {
    ++place.frame;
    place.state = 0;
  }
  return made;
}

template <class K>
void SearchOf<K>::visit(Worker& worker, const StateBlock& block, uint64_t visited) {
  const bool scored = problem_.has_score();
  for (size_t i = 0; i < block.size(); ++i) {
    const StateView state = block[i];
    const uint64_t id = problem_.id(state);
    worker.ids_xor ^= id;
    worker.ids_sum += id;
    if (!scored) continue;
    const Score score = problem_.score(state);
    const bool better = !worker.has_best || score > worker.best_score ||
                        (score == worker.best_score && visited + i < worker.best_place);
    if (!better) continue;
    worker.has_best = true;
    worker.best_score = score;
    worker.best_place = visited + i;
    worker.best = encoded(traits_.form, state);
  }
}

// Adds what the workers met in a finished round.
template <class K>
void SearchOf<K>::collect(Worker& worker) {
  state_.ids_xor ^= worker.ids_xor;
  state_.ids_sum += worker.ids_sum;
  state_.frontier += worker.barren;
  worker.ids_xor = worker.ids_sum = worker.barren = 0;
}

template <class K>
Result<uint32_t> SearchOf<K>::expand_some(Worker& worker, const StateBlock& block, size_t first) {
  Successors& out = *worker.successors;
  out.clear(worker.given);
  const uint32_t count = TRY(worker.expander->expand(block, first, out));
  if (count == 0 && out.count() == 0) {
    return fail(Code::kTooLarge,
                fmt::format("a state at depth {} has a successor above {}, what one unit holds",
                            state_.layers.size() - 1, to_string(Bytes(kSuccessorBytes))));
  }
  // No parent is complete: these are some successors of one, and the rest comes next.
  worker.given = count == 0 ? worker.given + out.count() : 0;
  return count;
}

template <class K>
void SearchOf<K>::compute_keys(Worker& worker) {
  const Successors& out = *worker.successors;
  const size_t count = out.count();
  if (out.form() == StateForm::kPacked) {
    const auto states = out.packed();
    if constexpr (!K::kWide) {
      for (size_t i = 0; i < count; ++i) worker.keys[i] = mixer_(states[i]);
    }
    return;
  }
  for (size_t i = 0; i < count; ++i) worker.keys[i] = key_of(out[i]);
}

template <class K>
Result<void> SearchOf<K>::small_stretch(std::stop_token stop) {
  set_phase("expand");
  const auto begin = Stopwatch::now();
  Worker& worker = workers_[0];
  LayerRow& row = state_.layers.back();
  auto segment = new_segment();
  uint64_t generated = 0;
  while (!stop.stop_requested()) {
    const auto taken = claim(place_, current_, 0, nullptr);
    if (!taken) break;
    const StateBlock block =
        TRY(current_[taken->segment]->load(taken->frame, taken->first, taken->last, worker.frame));
    visit(worker, block, taken->visited);
    for (size_t done = 0; done < block.size();) {
      const uint32_t count = TRY(expand_some(worker, block, done));
      done += count;
      compute_keys(worker);
      const Successors& out = *worker.successors;
      uint32_t at = 0;
      // The last one may go on in the next unit.
      for (uint32_t parent = 0; parent < std::max(count, 1u); ++parent) {
        const uint32_t end = count == 0 ? out.count() : out.parent_end(parent);
        for (; at < end; ++at) {
          const StateView state = out[at];
          if (!TRY(insert_seen(worker.keys[at], state))) continue;
          worker.fertile = true;
          if (traits_.form == StateForm::kPacked) {
            TRY(segment->append(std::span(&state.packed, 1)));
          } else {
            TRY(segment->append(state.bytes));
          }
        }
        if (count > 0) worker.barren += !std::exchange(worker.fertile, false);
      }
      generated += out.count();
    }
    shown_done_ = place_.visited;
  }
  TRY(segment->finish());
  row.generated += generated;
  row.duplicate += generated - segment->size();
  generated_total_ += generated;
  shown_generated_ = generated_total_;
  if (segment->size() > 0) next_.push_back(std::move(segment));
  if (worker.has_best && (!state_.has_best || worker.best_score > state_.best_score)) {
    state_.has_best = true;
    state_.best_score = worker.best_score;
    state_.best = worker.best;
  }
  worker.has_best = false;
  collect(worker);
  if (place_.visited > 0)
    branching_ =
        std::max(0.25, static_cast<double>(row.generated) / static_cast<double>(place_.visited));
  ++small_layers_;
  seconds_small_ += std::chrono::duration<double>(Stopwatch::now() - begin).count();
  return {};
}

template <class K>
Result<void> SearchOf<K>::visit_last_layer(std::stop_token stop) {
  Worker& worker = workers_[0];
  Place place = place_;
  while (auto taken = claim(place, current_, 0, nullptr)) {
    if (stop.stop_requested()) return fail(Code::kCancelled, "stopped at a checkpoint");
    visit(
        worker,
        TRY(current_[taken->segment]->load(taken->frame, taken->first, taken->last, worker.frame)),
        taken->visited);
  }
  if (worker.has_best && (!state_.has_best || worker.best_score > state_.best_score)) {
    state_.has_best = true;
    state_.best_score = worker.best_score;
    state_.best = worker.best;
  }
  collect(worker);
  if (options_.keep_layers) TRY(keep(std::move(current_)));
  current_.clear();
  return {};
}

// Puts a finished layer behind those before it. The states of small ones go into a segment that they
// share: a deep search has as many layers as states.
template <class K>
Result<void> SearchOf<K>::keep(Layer layer) {
  if (layer_size(layer) >= kFrameStates) {
    if (keeping_) TRY(kept_.back()->finish());
    keeping_ = false;
    for (auto& segment : layer) kept_.push_back(std::move(segment));
    return {};
  }
  if (!keeping_) kept_.push_back(new_segment());
  keeping_ = true;
  Place place;
  while (const auto taken = claim(place, layer, 0, nullptr)) {
    const StateBlock block = TRY(
        layer[taken->segment]->load(taken->frame, taken->first, taken->last, workers_[0].frame));
    if (traits_.form == StateForm::kPacked) {
      TRY(kept_.back()->append(block.packed));
      continue;
    }
    for (size_t i = 0; i < block.size(); ++i) TRY(kept_.back()->append(block[i].bytes));
  }
  return {};
}

template <class K>
void SearchOf<K>::retire() {
  figures_ = figures();
  seen_.reset();
  exact_.reset();
  current_.clear();
  next_.clear();
  for (Worker& worker : workers_) worker.table_memory = Pages();
  workers_.resize(1);
  workers_[0].successors.reset();
  for (const Account& account : accounts_) budget_->retire(account);
}

template <class K>
Result<void> SearchOf<K>::each_state(
    const std::function<Result<void>(uint32_t, const StateView&)>& visit_state) {
  if (keeping_) TRY(kept_.back()->finish());
  Place place;
  StateBlock block;
  size_t next = 0;  // of the block
  return state_.layers.each([&](uint64_t depth, const LayerRow& row) -> Result<void> {
    for (uint64_t i = 0; i < row.fresh; ++i, ++next) {
      while (next == block.size()) {  // a frame of which nothing was kept is an empty block
        const auto taken = claim(place, kept_, 0, nullptr);
        if (!taken) return fail_corrupt("the layers kept hold fewer states than were found");
        block = TRY(kept_[taken->segment]->load(taken->frame, taken->first, taken->last,
                                                workers_[0].frame));
        next = 0;
      }
      TRY(visit_state(static_cast<uint32_t>(depth), block[next]));
    }
    return {};
  });
}

template <class K>
SearchProgress SearchOf<K>::progress() const {
  return {shown_depth_, shown_states_, shown_generated_,
          shown_layer_, shown_done_,   phase_.load(std::memory_order_relaxed)};
}

template <class K>
std::vector<std::pair<std::string, std::string>> SearchOf<K>::figures() const {
  if (!figures_.empty()) return figures_;
  return {
      {"rounds", fmt::format("{}", rounds_)},
      {"small_stretches", fmt::format("{}", small_layers_)},
      {"candidate_bytes_spilled", fmt::format("{}", spilled_candidates_)},
      {"seen_runs", fmt::format("{}", on_seen([](const auto& set) { return set.runs().size(); }))},
      {"seen_run_bytes",
       fmt::format("{}", on_seen([](const auto& set) { return set.run_bytes(); }))},
      {"seconds_expand", fmt::format("{:.3f}", seconds_expand_)},
      {"seconds_detect", fmt::format("{:.3f}", seconds_detect_)},
      {"seconds_gather", fmt::format("{:.3f}", seconds_gather_)},
      {"seconds_small_layers", fmt::format("{:.3f}", seconds_small_)},
      {"seconds_merge", fmt::format("{:.3f}", seconds_merge_)},
      {"seconds_checkpoint", fmt::format("{:.3f}", seconds_checkpoint_)}};
}

// For both kinds of key.
template std::optional<typename SearchOf<Key64>::Claim> SearchOf<Key64>::claim(Place&, const Layer&,
                                                                               uint64_t,
                                                                               const Place*) const;
template void SearchOf<Key64>::visit(Worker&, const StateBlock&, uint64_t);
template void SearchOf<Key64>::collect(Worker&);
template Result<uint32_t> SearchOf<Key64>::expand_some(Worker&, const StateBlock&, size_t);
template void SearchOf<Key64>::compute_keys(Worker&);
template std::optional<typename SearchOf<Key128>::Claim> SearchOf<Key128>::claim(
    Place&, const Layer&, uint64_t, const Place*) const;
template void SearchOf<Key128>::visit(Worker&, const StateBlock&, uint64_t);
template void SearchOf<Key128>::collect(Worker&);
template Result<uint32_t> SearchOf<Key128>::expand_some(Worker&, const StateBlock&, size_t);
template void SearchOf<Key128>::compute_keys(Worker&);

Result<std::unique_ptr<Search>> Search::create(const Problem& problem, SearchOptions options,
                                               Budget& budget,
                                               std::shared_ptr<ScratchSpace> space) {
  const ProblemTraits traits = problem.traits();
  const bool wide = is_wide(traits, options.identity);
  const unsigned threads = std::max(1u, std::min(options.threads, traits.max_expanders));
  const Bytes capacity = budget.capacity() - Bytes(traits.own_bytes);
  const auto plan = SearchPlan::make(capacity, threads, traits, options.identity);
  if (!plan)
    return fail(Code::kMemoryLimit, fmt::format("{} of leases are too little for a search with {} "
                                                "threads",
                                                to_string(capacity), threads));
  if (wide) {
    auto search = std::make_unique<SearchOf<Key128>>(problem, std::move(options), std::move(space));
    TRY(search->prepare(budget, *plan));
    return search;
  }
  auto search = std::make_unique<SearchOf<Key64>>(problem, std::move(options), std::move(space));
  TRY(search->prepare(budget, *plan));
  return search;
}

}  // namespace spillway::expand

#include "expand/search.hpp"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "core/external_sort.hpp"
#include "core/pages.hpp"
#include "core/partitioner.hpp"
#include "core/spill_set.hpp"
#include "core/turn.hpp"
#include "expand/bucket_table.hpp"
#include "expand/exact_set.hpp"
#include "expand/key.hpp"

namespace spillway::expand {
namespace {

using Stopwatch = std::chrono::steady_clock;

constexpr size_t kPackedRoom = size_t{1} << 16;  // successors of a block
constexpr size_t kBytesRoom = 98304;
constexpr size_t kSuccessorBytes = size_t{512} << 10;
constexpr size_t kFilterSlots = size_t{1} << 15;  // recently emitted keys, a thread
constexpr uint64_t kRescanFactor = 1;  // ending a round early pays while runs hold fewer keys than
                                       // this many times the round's candidates

// A layer's end is a checkpoint when the last one is at least this old (or --checkpoint, if
// shorter).
constexpr std::chrono::seconds kLayerCheckpoint{15};

size_t align64(size_t bytes) { return (bytes + 63) / 64 * 64; }

// Hands out pieces of one mapping.
class Carver {
 public:
  explicit Carver(const Pages& pages) : at_(pages.data()), end_(pages.data() + pages.size()) {}
  template <class T>
  std::span<T> take(size_t count) {
    T* const piece = reinterpret_cast<T*>(at_);
    at_ += align64(count * sizeof(T));
    CHECK(at_ <= end_);
    return {piece, count};
  }

 private:
  uint8_t* at_;
  uint8_t* end_;
};

// The other half of it is not needed.
Key128 fingerprint_of(std::span<const uint8_t> record) {
  uint64_t high;
  std::memcpy(&high, record.data(), sizeof high);
  return {__builtin_bswap64(high), 0};
}

// Sums of these are equal when the same states have the same ordinals.
template <class K>
uint64_t proof_of(const K& key, uint64_t ordinal) {
  uint64_t x = key.hi ^ (ordinal + 1) * 0x9E3779B97F4A7C15u;
  x = (x ^ x >> 32) * 0xD6E8FEB86659FD93u;
  return x ^ x >> 32;
}

size_t key_bytes(bool wide) { return wide ? sizeof(Key128) : sizeof(Key64); }

bool is_exact(const ProblemTraits& traits, Identity identity) {
  return traits.form == StateForm::kBytes && identity == Identity::kExact;
}
bool is_wide(const ProblemTraits& traits, Identity identity) {
  return traits.form == StateForm::kBytes && identity != Identity::kFp64;
}

// How the successors of a round are sorted by their bytes: record (exact_set.hpp), then the ordinal.
constexpr size_t kOrdinalBytes = 4;
ExternalSortOptions exact_sort(Bytes capacity, unsigned threads, const ProblemTraits& traits) {
  ExternalSortOptions options;
  options.inputs = threads;
  options.memory = std::max(capacity / 2, 512_KiB * threads);
  options.frame_bytes = std::clamp(
      2 * std::bit_ceil(traits.max_state_bytes + kRecordHead + kOrdinalBytes + sizeof(uint32_t)),
      size_t{64} << 10, FrameCodec::kMaxRaw);
  options.fold = [](std::span<uint8_t> kept,
                    Record next) {  // the smaller ordinal of equal states stays
    return kept.size() == next.size() &&
           std::memcmp(kept.data(), next.data(), kept.size() - kOrdinalBytes) == 0;
  };
  return options;
}

size_t worker_bytes(const ProblemTraits& traits, bool wide) {
  const bool packed = traits.form == StateForm::kPacked;
  size_t total = 4096;
  const auto add = [&](size_t bytes) { total += align64(bytes); };
  add(packed ? kFrameStates * 8 + 4096 : Blob::kMaxPiece);
  add(kFrameStates * 8);
  if (!packed) {
    add(FrameBuffer::kMaxEnds * 4);
    add((FrameBuffer::kMaxEnds / 64 + 1) * 8);
    add(kSuccessorBytes);
    add(kBytesRoom * 4);
  } else {
    add(kPackedRoom * 8);
  }
  add(kFrameStates * 4);
  add((packed ? kPackedRoom : kBytesRoom) * key_bytes(wide));
  add(kFilterSlots * key_bytes(wide));
  add(kBlockKeys * key_bytes(wide));
  add(kMaxBlockBytes);
  add(Partitioner::read_buffer_bytes());
  add(kRecordHead + traits.max_state_bytes + kOrdinalBytes);
  return total;
}

std::vector<uint8_t> encoded(StateForm form, const StateView& state) {
  if (form == StateForm::kBytes) return {state.bytes.begin(), state.bytes.end()};
  std::vector<uint8_t> bytes(8);
  std::memcpy(bytes.data(), &state.packed, 8);
  return bytes;
}

}  // namespace

Bytes MemoryPlan::fixed(unsigned threads) const {
  return (worker + table) * threads + scatter + marks + recent + merge + index;
}

std::vector<MemoryPlan::Item> MemoryPlan::items(unsigned threads) const {
  return {{"work", worker * threads, "blocks of states and successors, a thread"},
          {"tables", table * threads, "one bucket of duplicate detection, a thread"},
          {"scatter", scatter,
           exact ? "sorting the successors by their bytes" : "write buffers of the partitions"},
          {"marks", marks, "one bit a successor of a round"},
          {"recent", recent, "the table of recent keys"},
          {"merge", merge, "blocks of the runs being merged"},
          {"index", index, "where frames, blocks and extents are"}};
}

Result<MemoryPlan> MemoryPlan::make(Bytes capacity, unsigned threads, const ProblemTraits& traits,
                                    Identity identity) {
  MemoryPlan plan;
  const bool wide = is_wide(traits, identity);
  plan.exact = is_exact(traits, identity);
  const size_t entry = wide ? sizeof(Candidate<Key128>) : sizeof(Candidate<Key64>);
  const auto share = [&](uint64_t part, Bytes least, Bytes most) {
    return std::clamp(Bytes(capacity.count() / part), least, most);
  };
  plan.worker = Bytes(worker_bytes(traits, wide));
  plan.table = share(12ull * threads, Bytes(8192 * entry), Bytes(131072 * 3 * entry / 2));
  plan.scatter = share(6, 256_KiB * threads, 64_MiB);
  plan.marks = share(10, 1_MiB, 512_MiB);
  plan.recent = share(16, 256_KiB, 1_GiB);
  plan.merge =
      Bytes(wide ? SpillSet<Key128>::merge_room_bytes() : SpillSet<Key64>::merge_room_bytes());
  plan.index = share(32, 512_KiB, 1_GiB);
  if (plan.exact) {
    plan.table = Bytes(0);
    plan.scatter = ExternalSort::floor(exact_sort(capacity, threads, traits));
    plan.recent = std::max(plan.recent, Bytes(ExactSet::recent_room_bytes(traits.max_state_bytes)));
    plan.merge = Bytes(ExactSet::merge_room_bytes(traits.max_state_bytes));
  }
  const Bytes need = plan.fixed(threads);
  if (need > capacity) {
    std::string parts;
    for (const Item& item : plan.items(threads)) {
      parts += fmt::format("{}{} {}", parts.empty() ? "" : ", ", item.name, to_string(item.bytes));
    }
    return fail(Code::kMemoryLimit, fmt::format("needs {} of leases with {} threads: {}",
                                                to_string(need), threads, parts));
  }
  plan.store_ceiling = Bytes((capacity - need).count() / 20 * 11);
  return plan;
}

namespace {

template <class K>
class SearchOf final : public Search {
 public:
  SearchOf(const Problem& problem, SearchOptions options, std::shared_ptr<ScratchSpace> space)
      : problem_(problem),
        options_(std::move(options)),
        space_(std::move(space)),
        traits_(problem.traits()),
        mixer_(traits_.form == StateForm::kPacked ? traits_.key_bits : 64),
        align_(traits_.form == StateForm::kPacked ? mixer_.align() : 0),
        threads_(std::max(1u, std::min(options_.threads, traits_.max_expanders))) {}

  Result<void> prepare(Budget& budget, const MemoryPlan& plan);
  Result<void> restore(const std::string& checkpoint) override;
  Result<void> run(std::stop_token stop,
                   const std::function<Result<void>(const std::string&)>& save) override;
  const SearchState& state() const override { return state_; }
  bool complete() const override { return complete_; }
  SearchProgress progress() const override;
  void retire() override;
  Result<void> each_state(
      const std::function<Result<void>(uint32_t, const StateView&)>& visit) override;
  std::vector<std::pair<std::string, std::string>> figures() const override;

 private:
  using Filter = std::span<K>;
  struct Worker {
    std::unique_ptr<Expander> expander;
    Pages memory;
    Pages table_memory;
    FrameBuffer frame;
    std::optional<Successors> successors;
    std::span<K> keys;
    std::span<K> filter;
    std::span<K> decoded;
    std::span<uint8_t> block;
    std::span<uint8_t> extent;
    std::span<uint8_t> record;  // --identity exact
    // What this thread met in the round.
    uint64_t ids_xor = 0, ids_sum = 0, barren = 0;
    uint64_t proof = 0;  // prove_repeats: of the new states found less those made again
    bool has_best = false;
    Score best_score{};
    uint64_t best_place = 0;
    std::vector<uint8_t> best;
  };
  struct Place {  // of the next state to expand in the layer
    size_t segment = 0, frame = 0;
    uint32_t state = 0;
    uint64_t visited = 0;  // states before it
  };
  struct Claim {
    size_t segment, frame;
    uint32_t first, last;
    uint64_t visited;
    uint64_t ticket;
  };
  struct Round {
    std::unique_ptr<Partitioner> partitioner;
    unsigned bucket_bits = 0;
    uint64_t generated = 0;          // ordinals drawn; changed by whose turn it is
    std::atomic<uint64_t> drawn{0};  // the same, for anyone to read
    Pages marks;
    std::unique_ptr<Segment> log;  // keep_successors
    std::unique_ptr<SortedRun<K>> run;
    std::unique_ptr<ExternalSort> sort;  // exact: in place of partitioner and run
    std::unique_ptr<ExactRun> exact_run;
    uint64_t fresh = 0;
    Place begin, end;
  };

  K key_of(const StateView& state) const {
    if (traits_.own_identity) {
      const Fingerprint print = problem_.fingerprint(state);
      if constexpr (K::kWide) {
        return K{print.hi, print.lo};
      } else {
        return K{print.lo};
      }
    }
    if constexpr (K::kWide) {
      const XXH128_hash_t hash = XXH3_128bits(state.bytes.data(), state.bytes.size());
      return shortened(K{hash.high64, hash.low64}, options_.tuning.fingerprint_bits);
    } else {
      if (traits_.form == StateForm::kPacked) return mixer_(state.packed);
      return K{XXH3_64bits(state.bytes.data(), state.bytes.size())};
    }
  }
  static K shortened(K key, unsigned bits) {
    if (bits >= 128) return key;
    key.hi &= ~uint64_t{0} << (64 - std::clamp(bits, 1u, 64u));
    if constexpr (K::kWide) key.lo = 0;
    return key;
  }
  Result<bool> insert_seen(const K& key, const StateView& state) {
    if constexpr (K::kWide) {
      if (exact_) return exact_->insert(key, state.bytes);
    }
    (void)state;
    return seen_->insert(key);
  }
  // Calls `ask` with the set that is in use.
  template <class Ask>
  auto on_seen(Ask&& ask) const {
    return exact_ ? ask(*exact_) : ask(*seen_);
  }
  template <class Ask>
  auto on_seen(Ask&& ask) {
    return exact_ ? ask(*exact_) : ask(*seen_);
  }
  std::unique_ptr<Blob> new_blob(const char* kind) {
    return Blob::create(fmt::format("{}/{}-{}", options_.work_folder, kind, next_file_++), store_,
                        space_);
  }
  std::unique_ptr<Segment> new_segment(bool masked = false) {
    return std::make_unique<Segment>(traits_.form, traits_.key_bits, new_blob("layer"),
                                     masked ? new_blob("mask") : nullptr);
  }

  std::optional<Claim> claim(Place& place, const Layer& layer, uint64_t ticket,
                             const Place* end) const;
  Result<void> start();
  Result<void> expand_layer(std::stop_token stop,
                            const std::function<Result<void>(const std::string&)>& save);
  bool is_small(uint64_t parents) const;
  Result<void> small_stretch(std::stop_token stop);
  Result<void> round(std::stop_token stop);
  Result<void> expand_blocks(Round& round, std::stop_token stop);
  Result<void> expand_block(Round& round, Worker& worker, unsigned index, const Claim& claim,
                            Turn& turn);
  Result<void> scatter(Round& round, Worker& worker, unsigned index, uint64_t base);
  Result<void> scatter_exact(Round& round, Worker& worker, unsigned index, uint64_t base);
  Result<void> open_scatter(Round& round);
  Result<void> detect(Round& round);
  Result<void> detect_exact(Round& round);
  Result<void> detect_range(Round& round, Worker& worker, size_t bucket, uint64_t prefix,
                            unsigned bits, Turn& turn);
  Result<void> gather(Round& round);
  Result<void> gather_block(Round& round, Worker& worker, const Claim& claim, Turn& draw,
                            Turn& write, Segment& next, uint64_t& drawn);
  template <class Keep>
  void pick(const Round& round, Worker& worker, uint64_t base, Keep&& keep);
  void visit(Worker& worker, const StateBlock& block, uint64_t visited);
  void collect(Worker& worker);
  Result<uint32_t> expand_some(Worker& worker, const StateBlock& block, size_t first);
  void compute_keys(Worker& worker);
  Result<void> visit_last_layer(std::stop_token stop);
  Result<void> settle();
  Result<std::string> checkpoint(std::vector<Blob*>& described);
  Result<void> sweep(bool counted);
  bool is_consistent() const;
  void set_phase(const char* phase) { phase_.store(phase, std::memory_order_relaxed); }

  const Problem& problem_;
  SearchOptions options_;
  std::shared_ptr<ScratchSpace> space_;
  ProblemTraits traits_;
  Mixer mixer_;
  unsigned align_;
  unsigned threads_;

  MemoryPlan plan_;
  Bytes capacity_;  // that it was made for
  Account scatter_, marks_, store_, candidates_, index_;
  Lease index_lease_;
  Budget* budget_ = nullptr;
  std::vector<Account> accounts_;                             // those with floors
  std::vector<std::pair<std::string, std::string>> figures_;  // once retired
  std::vector<Worker> workers_;
  std::optional<SpillSet<K>> seen_;
  std::optional<ExactSet> exact_;  // in place of seen_
  Layer current_, next_;
  std::vector<Layer> kept_;  // keep_layers
  Place place_;
  SearchState state_;
  uint64_t total_states_ = 0;  // up to and including the layer being expanded
  uint64_t next_file_ = 0;
  uint64_t rounds_ = 0, small_layers_ = 0, spilled_candidates_ = 0, generated_total_ = 0,
           dropped_early_ = 0;
  double seconds_expand_ = 0, seconds_detect_ = 0, seconds_gather_ = 0, seconds_small_ = 0,
         seconds_merge_ = 0, seconds_checkpoint_ = 0;
  double branching_ = 16;
  bool complete_ = false;
  bool started_ = false;
  Clock::Time last_checkpoint_ = options_.clock->now();
  std::set<std::string> named_;  // the files of the last checkpoint

  std::atomic<const char*> phase_{"expand"};
  std::atomic<uint32_t> shown_depth_{0};
  std::atomic<uint64_t> shown_states_{0}, shown_generated_{0}, shown_layer_{0}, shown_done_{0};
};

// ---- set-up
// ---------------------------------------------------------------------------------------------------------

template <class K>
Result<void> SearchOf<K>::prepare(Budget& budget, const MemoryPlan& plan) {
  plan_ = plan;
  capacity_ = budget.capacity() - Bytes(traits_.own_bytes);
  Account work = TRY(budget.open({"work", 50, plan.worker * threads_, plan.worker * threads_}));
  Account tables = TRY(budget.open({"tables", 60, plan.table * threads_, plan.table * threads_}));
  const Bytes partitions = plan.exact ? Bytes(0) : plan.scatter;
  scatter_ = TRY(budget.open({"scatter", 55, partitions, partitions}));
  marks_ = TRY(budget.open({"marks", 70, plan.marks, std::nullopt}));
  Account recent = TRY(budget.open({"recent", 40, plan.recent, plan.recent}));
  Account merge = TRY(budget.open({"merge", 65, plan.merge, plan.merge}));
  index_ = TRY(budget.open({"index", 80, plan.index, plan.index}));
  store_ = TRY(budget.open({"store", 20, Bytes(0), plan.store_ceiling}));
  candidates_ =
      TRY(budget.open({"candidates", 10, plan.exact ? plan.scatter : Bytes(0), std::nullopt}));
  Account filters = TRY(budget.open({"filters", 0, Bytes(0), plan.store_ceiling / 4}));

  budget_ = &budget;
  accounts_ = {work, tables, scatter_, marks_, recent, merge, index_, candidates_};
  const auto lend = [](Account& account, Bytes bytes) -> Result<Pages> {
    auto lease = account.try_acquire(bytes);
    if (!lease)
      return fail(Code::kInternal, "the floor of account " + account.name() + " was not free");
    return Pages::map(std::move(*lease));
  };
  const bool packed = traits_.form == StateForm::kPacked;
  workers_.resize(threads_);
  for (Worker& worker : workers_) {
    worker.expander = TRY(problem_.expander());
    worker.memory = TRY(lend(work, plan.worker));
    worker.table_memory = TRY(lend(tables, plan.table));
    Carver carve(worker.memory);
    worker.frame.raw = carve.take<uint8_t>(packed ? kFrameStates * 8 + 4096 : Blob::kMaxPiece);
    worker.frame.packed = carve.take<uint64_t>(kFrameStates);
    std::span<uint64_t> successors;
    std::span<uint8_t> bytes;
    std::span<uint32_t> ends;
    if (packed) {
      successors = carve.take<uint64_t>(kPackedRoom);
    } else {
      worker.frame.ends = carve.take<uint32_t>(FrameBuffer::kMaxEnds);
      worker.frame.mask = carve.take<uint64_t>(FrameBuffer::kMaxEnds / 64 + 1);
      bytes = carve.take<uint8_t>(kSuccessorBytes);
      ends = carve.take<uint32_t>(kBytesRoom);
    }
    worker.successors.emplace(traits_.form, successors, bytes, ends,
                              carve.take<uint32_t>(kFrameStates));
    worker.keys = carve.take<K>(packed ? kPackedRoom : kBytesRoom);
    worker.filter = carve.take<K>(kFilterSlots);
    // Empty: a key that belongs into another slot.
    for (size_t slot = 0; slot < kFilterSlots; ++slot) {
      worker.filter[slot] = K{};
      worker.filter[slot].hi = ((slot + 1) % kFilterSlots) << align_;
    }
    worker.decoded = carve.take<K>(kBlockKeys);
    worker.block = carve.take<uint8_t>(kMaxBlockBytes);
    worker.extent = carve.take<uint8_t>(Partitioner::read_buffer_bytes());
    worker.record = carve.take<uint8_t>(kRecordHead + traits_.max_state_bytes + kOrdinalBytes);
  }
  if (plan.exact) {
    ExactSet::Options options;
    options.max_state_bytes = traits_.max_state_bytes;
    options.recent_room = TRY(lend(recent, plan.recent));
    options.merge_room = TRY(lend(merge, plan.merge));
    options.new_blob = [this] { return new_blob("run"); };
    options.filters = filters;
    exact_.emplace(std::move(options));
    return {};
  }
  typename SpillSet<K>::Options options;
  options.align = align_;
  options.recent_room = TRY(lend(recent, plan.recent));
  options.merge_room = TRY(lend(merge, plan.merge));
  options.new_blob = [this] { return new_blob("run"); };
  options.filters = filters;
  seen_.emplace(std::move(options));
  return {};
}

template <class K>
Result<void> SearchOf<K>::start() {
  auto segment = new_segment();
  state_.layers.assign(1, LayerRow{});
  for (const std::vector<uint8_t>& bytes : TRY(problem_.initial())) {
    StateView view{0, bytes};
    if (traits_.form == StateForm::kPacked) std::memcpy(&view.packed, bytes.data(), 8);
    if (!TRY(insert_seen(key_of(view), view))) continue;
    if (traits_.form == StateForm::kPacked) {
      TRY(segment->append(std::span(&view.packed, 1)));
    } else {
      TRY(segment->append(view.bytes));
    }
    ++state_.layers[0].fresh;
  }
  TRY(segment->finish());
  if (state_.layers[0].fresh == 0) return fail(Code::kInvalid, "the problem has no initial state");
  current_.push_back(std::move(segment));
  total_states_ = state_.layers[0].fresh;
  return {};
}

// ---- the search
// -----------------------------------------------------------------------------------------------------

template <class K>
Result<void> SearchOf<K>::run(std::stop_token stop,
                              const std::function<Result<void>(const std::string&)>& save) {
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
    if (options_.keep_layers) kept_.push_back(std::move(current_));
    current_ = std::move(next_);
    next_.clear();
    place_ = {};
    if (fresh == 0) {
      TRY(settle());
      complete_ = true;
      return {};
    }
    state_.layers.push_back(LayerRow{fresh, 0, 0});
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
      TRY(round(stop));
    }
    shown_done_ = place_.visited;
    if (options_.on_round) options_.on_round();
    const auto since = options_.clock->now() - last_checkpoint_;
    const bool at_end = place_.visited == size;
    const bool due = since >= options_.checkpoint ||
                     (at_end && since >= std::min<std::chrono::milliseconds>(options_.checkpoint,
                                                                             kLayerCheckpoint));
    if (due || stop.stop_requested()) {
      const auto begin = Stopwatch::now();
      set_phase("checkpoint");
      TRY(settle());
      std::vector<Blob*> described;
      auto text = checkpoint(described);
      if (!text) {
        // What it put on disk belongs to no checkpoint. (Once save() has begun it may belong to one.)
        for (Blob* const blob : described) blob->let_go();
        return fail(std::move(text).error());
      }
      TRY(save(*text));
      TRY(sweep(true));
      last_checkpoint_ = options_.clock->now();
      seconds_checkpoint_ += std::chrono::duration<double>(Stopwatch::now() - begin).count();
    }
    if (stop.stop_requested()) return fail(Code::kCancelled, "stopped at a checkpoint");
  }
  return {};
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
  worker.successors->clear();
  const uint32_t count = TRY(worker.expander->expand(block, first, *worker.successors));
  if (count == 0) {
    return fail(
        Code::kTooLarge,
        fmt::format("a state at depth {} has more successors than one unit holds ({} states, {})",
                    state_.layers.size() - 1, kBytesRoom, to_string(Bytes(kSuccessorBytes))));
  }
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
      for (uint32_t parent = 0; parent < count; ++parent) {
        bool found = false;
        for (; at < out.parent_end(parent); ++at) {
          const StateView state = out[at];
          if (!TRY(insert_seen(worker.keys[at], state))) continue;
          found = true;
          if (traits_.form == StateForm::kPacked) {
            TRY(segment->append(std::span(&state.packed, 1)));
          } else {
            TRY(segment->append(state.bytes));
          }
        }
        worker.barren += !found;
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

// Where the successors of the round go until they are detected.
template <class K>
Result<void> SearchOf<K>::open_scatter(Round& round) {
  if (exact_) {
    round.sort =
        TRY(ExternalSort::create(exact_sort(capacity_, threads_, traits_), candidates_, space_));
    return {};
  }
  const double expected = static_cast<double>(layer_size(current_) - place_.visited) * branching_;
  const uint64_t aim =
      static_cast<uint64_t>(std::min(expected, static_cast<double>(options_.tuning.round_limit))) /
      options_.tuning.bucket_records;
  const size_t record = sizeof(Candidate<K>);
  const uint64_t most = std::max<uint64_t>(1, plan_.scatter.count() / (threads_ * (4096 + 16)));
  const uint64_t buckets =
      std::min(std::bit_floor(most),
               std::max<uint64_t>(std::bit_ceil(aim + 1), 4 * std::bit_ceil(threads_)));
  round.bucket_bits = static_cast<unsigned>(std::countr_zero(buckets));
  PartitionerOptions scatter{
      .partitions = buckets, .record_bytes = record, .frame_bytes = 0, .writers = threads_};
  scatter.frame_bytes =
      std::clamp<size_t>(plan_.scatter.count() / (threads_ * buckets) - 16, 1024, 32768);
  auto lease = scatter_.try_acquire(Partitioner::buffer_bytes(scatter));
  if (!lease) return fail(Code::kInternal, "the floor of account scatter was not free");
  round.partitioner = TRY(Partitioner::create(scatter, std::move(*lease), candidates_, space_));
  return {};
}

template <class K>
Result<void> SearchOf<K>::round(std::stop_token stop) {
  TRY(on_seen([](auto& set) { return set.flush_recent(); }));
  on_seen([](auto& set) { set.drop_filters(); });
  Round round;
  round.begin = place_;
  TRY(open_scatter(round));
  if (traits_.keep_successors) round.log = new_segment();

  const auto t0 = Stopwatch::now();
  set_phase("expand");
  TRY(expand_blocks(round, stop));
  const auto t1 = Stopwatch::now();
  set_phase("detect");
  TRY(detect(round));
  const auto t2 = Stopwatch::now();
  set_phase("gather");
  spilled_candidates_ +=
      round.sort ? round.sort->spilled_bytes() : round.partitioner->spilled_bytes();
  round.partitioner.reset();
  round.sort.reset();
  TRY(gather(round));
  const auto t3 = Stopwatch::now();

  LayerRow& row = state_.layers.back();
  row.generated += round.generated;
  row.duplicate += round.generated - round.fresh;
  generated_total_ += round.generated;
  for (Worker& worker : workers_) {
    const bool better =
        worker.has_best && (!state_.has_best || worker.best_score > state_.best_score);
    if (better) {
      // Several workers may hold the same score: the earliest in discovery order wins.
      const Worker* first = &worker;
      for (const Worker& other : workers_) {
        if (!other.has_best) continue;
        if (other.best_score > first->best_score ||
            (other.best_score == first->best_score && other.best_place < first->best_place)) {
          first = &other;
        }
      }
      state_.has_best = true;
      state_.best_score = first->best_score;
      state_.best = first->best;
    }
    collect(worker);
  }
  for (Worker& worker : workers_) worker.has_best = false;
  set_phase("merge");
  if (exact_) {
    TRY(exact_->add(std::move(round.exact_run)));
  } else {
    TRY(seen_->add(std::move(round.run)));
  }
  if (place_.visited > 0)
    branching_ =
        std::max(0.25, static_cast<double>(row.generated) / static_cast<double>(place_.visited));
  ++rounds_;
  seconds_expand_ += std::chrono::duration<double>(t1 - t0).count();
  seconds_detect_ += std::chrono::duration<double>(t2 - t1).count();
  seconds_gather_ += std::chrono::duration<double>(t3 - t2).count();
  seconds_merge_ += std::chrono::duration<double>(Stopwatch::now() - t3).count();
  return {};
}

// ---- expand
// ---------------------------------------------------------------------------------------------------------

template <class K>
Result<void> SearchOf<K>::expand_blocks(Round& round, std::stop_token stop) {
  std::mutex claims;
  Turn turn;
  uint64_t tickets = 0;
  std::atomic<bool> ended{false};
  const uint64_t most = std::min<uint64_t>(options_.tuning.round_limit,
                                           plan_.marks.count() * 8 / 10 * 9 - 4 * kBytesRoom);
  const auto deadline = last_checkpoint_ + options_.checkpoint;
  const uint64_t seen_keys = on_seen([](const auto& set) { return set.run_keys(); });
  const auto should_end = [&] {
    if (tickets == 0) return false;  // always make progress
    if (stop.stop_requested() || round.drawn > most) return true;
    if (options_.clock->now() >= deadline) return true;
    const bool spilling =
        round.sort ? round.sort->runs_written() > 0 : round.partitioner->is_spilling();
    if (!spilling) return false;
    return seen_keys < kRescanFactor * round.drawn || space_->used() > space_->limit() / 10 * 6;
  };
  TRY(parallel(
      threads_,
      [&](unsigned index) -> Result<void> {
        Worker& worker = workers_[index];
        while (!ended) {
          std::optional<Claim> taken;
          {
            std::lock_guard lock(claims);
            if (ended || should_end()) break;
            taken = claim(place_, current_, tickets, nullptr);
            if (!taken) break;
            ++tickets;
          }
          TRY(expand_block(round, worker, index, *taken, turn));
          shown_done_.fetch_add(taken->last - taken->first, std::memory_order_relaxed);
        }
        if (round.sort) return {};
        return round.partitioner->writer(index).flush_all();
      },
      [&] {
        ended = true;
        turn.fail();
      }));
  round.end = place_;
  return {};
}

template <class K>
Result<void> SearchOf<K>::expand_block(Round& round, Worker& worker, unsigned index,
                                       const Claim& taken, Turn& turn) {
  const StateBlock block =
      TRY(current_[taken.segment]->load(taken.frame, taken.first, taken.last, worker.frame));
  visit(worker, block, taken.visited);
  bool holding = false;
  for (size_t done = 0; done < block.size();) {
    done += TRY(expand_some(worker, block, done));
    compute_keys(worker);
    if (!holding && !turn.wait(taken.ticket)) return {};
    holding = true;
    const uint64_t base = round.generated;
    round.generated += worker.successors->count();
    round.drawn.store(round.generated, std::memory_order_relaxed);
    shown_generated_.store(generated_total_ + round.generated, std::memory_order_relaxed);
    if (round.generated > SearchTuning{}.round_limit)
      return fail(Code::kTooLarge, "a round has more successors than 2^32");
    if (round.log) TRY(round.log->append_log(*worker.successors));
    if (done == block.size()) turn.pass(taken.ticket);
    TRY(scatter(round, worker, index, base));
  }
  if (block.size() == 0 && turn.wait(taken.ticket)) turn.pass(taken.ticket);
  return {};
}

template <class K>
Result<void> SearchOf<K>::scatter(Round& round, Worker& worker, unsigned index, uint64_t base) {
  if (round.sort) return scatter_exact(round, worker, index, base);
  Partitioner::Writer& writer = round.partitioner->writer(index);
  const unsigned shift = 64 - round.bucket_bits;
  const size_t count = worker.successors->count();
  for (size_t i = 0; i < count; ++i) {
    const K key = worker.keys[i];
    // A key this thread emitted before has a smaller ordinal there, or is in a run by now.
    K& recent = worker.filter[(key.hi >> align_) % kFilterSlots];
    if (recent == key) continue;
    recent = key;
    TRY(writer.append(round.bucket_bits == 0 ? 0 : key.hi >> shift,
                      Candidate<K>{key, static_cast<uint32_t>(base + i)}));
  }
  return {};
}

template <class K>
Result<void> SearchOf<K>::scatter_exact(Round& round, Worker& worker, unsigned index,
                                        uint64_t base) {
  if constexpr (K::kWide) {
    ExternalSort::Input& input = round.sort->input(index);
    const size_t count = worker.successors->count();
    for (size_t i = 0; i < count; ++i) {
      const size_t size =
          write_record(worker.keys[i], (*worker.successors)[i].bytes, worker.record.data());
      const uint32_t ordinal = __builtin_bswap32(static_cast<uint32_t>(base + i));
      std::memcpy(worker.record.data() + size, &ordinal, kOrdinalBytes);
      TRY(input.add(worker.record.first(size + kOrdinalBytes)));
    }
  }
  return {};
}

// ---- detect
// ---------------------------------------------------------------------------------------------------------

template <class K>
Result<void> SearchOf<K>::detect(Round& round) {
  auto lease = marks_.try_acquire(Bytes((round.generated / 64 + 2) * 8));
  if (!lease) return fail(Code::kMemoryLimit, "no room for a bit a successor; raise --memory");
  round.marks = TRY(Pages::map(std::move(*lease)));
  if (round.sort) return detect_exact(round);
  round.run = seen_->new_run();
  std::atomic<size_t> next_bucket{0};
  std::atomic<bool> ended{false};
  const size_t buckets = size_t{1} << round.bucket_bits;
  Turn turn;
  TRY(parallel(
      threads_,
      [&](unsigned index) -> Result<void> {
        while (!ended) {
          const size_t bucket = next_bucket++;
          if (bucket >= buckets) break;
          TRY(detect_range(round, workers_[index], bucket, bucket, round.bucket_bits, turn));
          if (!turn.wait(bucket)) break;
          turn.pass(bucket);
        }
        return {};
      },
      [&] {
        ended = true;
        turn.fail();
      }));
  TRY(round.run->finish());
  round.fresh = round.run->size();
  return {};
}

// The sorted successors against the sorted runs, both once.
template <class K>
Result<void> SearchOf<K>::detect_exact(Round& round) {
  round.exact_run = exact_->new_run();
  ExactSet::Sweep seen = TRY(exact_->sweep());
  ExternalSort::Stream successors = TRY(round.sort->stream());
  uint64_t* const marks = round.marks.template as<uint64_t>().data();
  while (const auto found = TRY(successors.next())) {
    const Record record = found->first(found->size() - kOrdinalBytes);
    if (TRY(seen.holds(record))) continue;
    uint32_t ordinal;
    std::memcpy(&ordinal, record.data() + record.size(), kOrdinalBytes);
    ordinal = __builtin_bswap32(ordinal);
    marks[ordinal / 64] |= uint64_t{1} << (ordinal % 64);
    if (traits_.prove_repeats) workers_[0].proof += proof_of(fingerprint_of(record), ordinal);
    TRY(round.exact_run->append(record));
  }
  TRY(round.exact_run->finish());
  round.fresh = round.exact_run->size();
  return {};
}

// The keys whose top `bits` bits are `prefix`; splits in two when they do not fit the table.
template <class K>
Result<void> SearchOf<K>::detect_range(Round& round, Worker& worker, size_t bucket, uint64_t prefix,
                                       unsigned bits, Turn& turn) {
  const uint64_t records = round.partitioner->records(bucket);
  if (records == 0) return {};
  BucketTable<K> table(std::span(worker.table_memory.data(), worker.table_memory.size()),
                       options_.tuning.table_slots);
  table.reset(bits, records >> (bits - round.bucket_bits));
  bool fits = true;
  const bool whole = bits == round.bucket_bits;
  TRY(round.partitioner->read(bucket, worker.extent, [&](std::span<const uint8_t> frame) {
    for (size_t at = 0; at < frame.size() && fits; at += sizeof(Candidate<K>)) {
      Candidate<K> candidate;
      std::memcpy(static_cast<void*>(&candidate), frame.data() + at, sizeof candidate);
      const K key = candidate.key;
      if (!whole && key.hi >> (64 - bits) != prefix) continue;
      fits = table.insert(key, candidate.ordinal);
    }
  }));
  if (!fits) {
    CHECK(bits < 64);
    TRY(detect_range(round, worker, bucket, prefix * 2, bits + 1, turn));
    return detect_range(round, worker, bucket, prefix * 2 + 1, bits + 1, turn);
  }
  const uint64_t low = bits == 0 ? 0 : prefix << (64 - bits);
  const uint64_t high = bits == 0 ? ~uint64_t{0} : low | (~uint64_t{0} >> bits);
  RunReader<K> reader(worker.decoded, worker.block);
  for (const auto& run : seen_->runs()) {
    reader.seek(*run, low, high);
    while (true) {
      const auto keys = TRY(reader.next());
      if (keys.empty()) break;
      for (const K& key : keys) table.mark_seen(key);
    }
  }
  uint64_t* const marks = round.marks.template as<uint64_t>().data();
  const auto fresh = table.take_new([&](const K& key, uint32_t ordinal) {
    if (traits_.prove_repeats) worker.proof += proof_of(key, ordinal);
    std::atomic_ref<uint64_t>(marks[ordinal / 64])
        .fetch_or(uint64_t{1} << (ordinal % 64), std::memory_order_relaxed);
  });
  if (fresh.empty()) return {};
  if (!turn.wait(bucket)) return {};
  return round.run->append(fresh);
}

// ---- gather
// ---------------------------------------------------------------------------------------------------------

template <class K>
Result<void> SearchOf<K>::gather(Round& round) {
  const std::span<const uint64_t> marks = round.marks.template as<uint64_t>();
  if (round.log) {
    const uint64_t barren = TRY(round.log->set_mask(marks, new_blob("mask")));
    workers_[0].barren += barren;
    CHECK(round.log->size() == round.fresh);
    if (round.log->size() > 0) next_.push_back(std::move(round.log));
    return {};
  }
  auto segment = new_segment();
  Place place = round.begin;
  std::mutex claims;
  Turn draw, write;
  uint64_t tickets = 0, drawn = 0;
  std::atomic<bool> ended{false};
  TRY(parallel(
      threads_,
      [&](unsigned index) -> Result<void> {
        while (!ended) {
          std::optional<Claim> taken;
          {
            std::lock_guard lock(claims);
            taken = claim(place, current_, tickets, &round.end);
            if (!taken) break;
            ++tickets;
          }
          TRY(gather_block(round, workers_[index], *taken, draw, write, *segment, drawn));
        }
        return {};
      },
      [&] {
        ended = true;
        draw.fail();
        write.fail();
      }));
  TRY(segment->finish());
  if (drawn != round.generated || segment->size() != round.fresh) {
    return fail(
        Code::kInvalid,
        fmt::format(
            "expanding the same states again gave {} successors, {} of them new, instead of {} "
            "and {}: the problem is not deterministic",
            drawn, segment->size(), round.generated, round.fresh));
  }
  uint64_t proof = 0;
  for (Worker& worker : workers_) proof += std::exchange(worker.proof, 0);
  if (proof != 0) {
    return fail(Code::kInvalid,
                "expanding the same states again gave other successors: the problem is not "
                "deterministic");
  }
  if (segment->size() > 0) next_.push_back(std::move(segment));
  return {};
}

template <class K>
template <class Keep>
void SearchOf<K>::pick(const Round& round, Worker& worker, uint64_t base, Keep&& keep) {
  const Successors& out = *worker.successors;
  const uint64_t* const marks = round.marks.template as<uint64_t>().data();
  uint32_t begin = 0;
  for (uint32_t parent = 0; parent < out.parent_count(); ++parent) {
    const uint32_t end = out.parent_end(parent);
    bool found = false;
    for (uint32_t at = begin; at < end;) {
      const uint64_t ordinal = base + at;
      const uint32_t width = std::min<uint32_t>(end - at, 64 - static_cast<uint32_t>(ordinal % 64));
      uint64_t bits = marks[ordinal / 64] >> (ordinal % 64);
      if (width < 64) bits &= (uint64_t{1} << width) - 1;
      for (; bits != 0; bits &= bits - 1) {
        keep(at + static_cast<uint32_t>(std::countr_zero(bits)));
        found = true;
      }
      at += width;
    }
    worker.barren += !found;
    begin = end;
  }
}

template <class K>
Result<void> SearchOf<K>::gather_block(Round& round, Worker& worker, const Claim& taken, Turn& draw,
                                       Turn& write, Segment& next, uint64_t& drawn) {
  const StateBlock block =
      TRY(current_[taken.segment]->load(taken.frame, taken.first, taken.last, worker.frame));
  bool holding = false;
  for (size_t done = 0; done < block.size();) {
    done += TRY(expand_some(worker, block, done));
    const Successors& out = *worker.successors;
    if (!holding && !draw.wait(taken.ticket)) return {};
    const bool last = done == block.size();
    const uint64_t base = drawn;
    drawn += out.count();
    if (drawn > round.generated) {
      return fail(
          Code::kInvalid,
          "expanding the same states again gave more successors: the problem is not deterministic");
    }
    if (last) draw.pass(taken.ticket);
    if (traits_.form == StateForm::kPacked) {
      // The kept states go where keys would be: they are not needed here.
      const std::span<uint64_t> kept(reinterpret_cast<uint64_t*>(worker.keys.data()), kPackedRoom);
      size_t count = 0;
      pick(round, worker, base, [&](uint32_t at) { kept[count++] = out.packed()[at]; });
      if (!holding && !write.wait(taken.ticket)) return {};
      TRY(next.append(kept.first(count)));
    } else {
      if (!holding && !write.wait(taken.ticket)) return {};
      Result<void> written;
      pick(round, worker, base, [&](uint32_t at) {
        if (traits_.prove_repeats) worker.proof -= proof_of(key_of(out[at]), base + at);
        if (written) written = next.append(out[at].bytes);
      });
      TRY(std::move(written));
    }
    holding = true;
    if (last) write.pass(taken.ticket);
  }
  return {};
}

// ---- the end
// --------------------------------------------------------------------------------------------------------

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
  if (options_.keep_layers) kept_.push_back(std::move(current_));
  current_.clear();
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
  for (size_t depth = 0; depth < kept_.size(); ++depth) {
    Place place;
    while (auto taken = claim(place, kept_[depth], 0, nullptr)) {
      const StateBlock block = TRY(kept_[depth][taken->segment]->load(
          taken->frame, taken->first, taken->last, workers_[0].frame));
      for (size_t i = 0; i < block.size(); ++i)
        TRY(visit_state(static_cast<uint32_t>(depth), block[i]));
    }
  }
  return {};
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

// ---- checkpoint
// -----------------------------------------------------------------------------------------------------

std::string file_of(const Blob& blob) {
  return std::filesystem::path(blob.path()).filename().string();
}

// Whether new_blob() may have given the name: "layer-12".
bool is_ours(std::string_view file) {
  for (const std::string_view kind : {"layer-", "mask-", "run-"}) {
    if (file.starts_with(kind)) {
      const std::string_view number = file.substr(kind.size());
      return !number.empty() && number.find_first_not_of("0123456789") == std::string_view::npos;
    }
  }
  return false;
}

// Puts the blob on disk for good; it stays there until a later checkpoint no longer names it.
// `fresh` gets those that no checkpoint had named.
Result<nlohmann::json> describe(Blob& blob, std::set<std::string>& named,
                                std::vector<Blob*>& fresh) {
  TRY(blob.persist());
  if (!blob.is_kept()) fresh.push_back(&blob);
  blob.keep();
  named.insert(file_of(blob));
  return nlohmann::json{{"file", file_of(blob)}, {"size", blob.size()}};
}

// Removes what the checkpoint just saved (or restored) does not name. `counted`: this process wrote it.
template <class K>
Result<void> SearchOf<K>::sweep(bool counted) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(options_.work_folder, error)) {
    const std::string file = entry.path().filename().string();
    if (!is_ours(file) || named_.contains(file)) continue;
    const uint64_t size = entry.file_size(error);
    if (std::filesystem::remove(entry.path(), error) && counted) space_->give_back(Bytes(size));
  }
  if (error) return fail(Code::kIo, "cleaning " + options_.work_folder + ": " + error.message());
  return {};
}

template <class K>
Result<std::string> SearchOf<K>::checkpoint(std::vector<Blob*>& described) {
  TRY(on_seen([](auto& set) { return set.flush_recent(); }));
  named_.clear();
  const auto layers = [&](const Layer& layer) -> Result<nlohmann::json> {
    nlohmann::json list = nlohmann::json::array();
    for (const auto& segment : layer) {
      nlohmann::json entry;  // filled line by line: gcc leaks a braced list that TRY returns from
      entry["states"] = TRY(describe(segment->states(), named_, described));
      if (segment->mask() != nullptr)
        entry["mask"] = TRY(describe(*segment->mask(), named_, described));
      list.push_back(std::move(entry));
    }
    return list;
  };
  nlohmann::json json;
  json["current"] = TRY(layers(current_));
  json["next"] = TRY(layers(next_));
  json["kept"] = nlohmann::json::array();
  for (const Layer& layer : kept_) json["kept"].push_back(TRY(layers(layer)));
  json["runs"] = nlohmann::json::array();
  TRY(on_seen([&](auto& set) -> Result<void> {
    for (const auto& run : set.runs())
      json["runs"].push_back(TRY(describe(run->blob(), named_, described)));
    return {};
  }));
  json["place"] = {place_.segment, place_.frame, place_.state, place_.visited};
  json["layers"] = nlohmann::json::array();
  for (const LayerRow& row : state_.layers)
    json["layers"].push_back({row.fresh, row.generated, row.duplicate});
  json["frontier"] = state_.frontier;
  json["ids"] = {state_.ids_xor, state_.ids_sum};
  json["branching"] = branching_;
  json["next_file"] = next_file_;
  if (state_.has_best) json["best"] = {{"score", state_.best_score}, {"state", state_.best}};
  return json.dump();
}

template <class K>
Result<void> SearchOf<K>::restore(const std::string& text) {
  const auto corrupt = [&](std::string_view what) {
    return fail(
        Code::kCorrupt,
        fmt::format("the checkpoint in {} cannot be read ({}); run again with --resume never",
                    options_.work_folder, what));
  };
  try {
    const nlohmann::json json = nlohmann::json::parse(text);
    const auto open_blob = [&](const nlohmann::json& entry) -> Result<std::unique_ptr<Blob>> {
      const auto file = entry.at("file").get<std::string>();
      if (!is_ours(file) || !named_.insert(file).second) return corrupt("it names a strange file");
      auto blob = Blob::open(options_.work_folder + "/" + file, entry.at("size"), space_);
      if (!blob && blob.error().code() == Code::kNotFound)
        return corrupt("it names a missing file");
      return blob;
    };
    const auto open_layer = [&](const nlohmann::json& list) -> Result<Layer> {
      Layer layer;
      for (const auto& entry : list) {
        auto states = TRY(open_blob(entry.at("states")));
        std::unique_ptr<Blob> mask;
        if (entry.contains("mask")) mask = TRY(open_blob(entry.at("mask")));
        layer.push_back(
            TRY(Segment::open(traits_.form, traits_.key_bits, std::move(states), std::move(mask))));
      }
      return layer;
    };
    current_ = TRY(open_layer(json.at("current")));
    next_ = TRY(open_layer(json.at("next")));
    for (const auto& layer : json.at("kept")) kept_.push_back(TRY(open_layer(layer)));
    for (const auto& entry : json.at("runs")) {
      if (exact_) {
        TRY(exact_->add(TRY(ExactRun::open(TRY(open_blob(entry)), exact_->frame_bytes()))));
      } else {
        TRY(seen_->add(TRY(SortedRun<K>::open(TRY(open_blob(entry)), align_))));
      }
    }
    const auto& place = json.at("place");
    place_ = {place.at(0), place.at(1), place.at(2), place.at(3)};
    state_.layers.clear();
    total_states_ = 0;
    for (const auto& row : json.at("layers")) {
      state_.layers.push_back(LayerRow{row.at(0), row.at(1), row.at(2)});
      total_states_ += state_.layers.back().fresh;
      generated_total_ += state_.layers.back().generated;
    }
    state_.frontier = json.at("frontier");
    state_.ids_xor = json.at("ids").at(0);
    state_.ids_sum = json.at("ids").at(1);
    branching_ = json.at("branching");
    next_file_ = json.at("next_file");
    if (json.contains("best")) {
      state_.has_best = true;
      state_.best_score = json.at("best").at("score");
      state_.best = json.at("best").at("state").get<std::vector<uint8_t>>();
    }
  } catch (const nlohmann::json::exception& problem) {
    return corrupt(problem.what());
  }
  if (!is_consistent()) return corrupt("its figures do not fit its files");
  shown_generated_ = generated_total_;
  started_ = true;
  return sweep(false);
}

// What a restored search relies on when it goes on.
template <class K>
bool SearchOf<K>::is_consistent() const {
  if (state_.layers.empty() || state_.layers.back().fresh != layer_size(current_)) return false;
  if (state_.has_best && traits_.form == StateForm::kPacked && state_.best.size() != 8)
    return false;
  if (!std::isfinite(branching_) || branching_ <= 0) return false;
  // The place is where as many states lie before it as it says.
  uint64_t before = 0;
  if (place_.segment > current_.size()) return false;
  for (size_t i = 0; i < place_.segment; ++i) before += current_[i]->size();
  if (place_.segment == current_.size())
    return place_.frame == 0 && place_.state == 0 && place_.visited == before;
  const auto frames = current_[place_.segment]->frames();
  if (place_.frame > frames.size()) return false;
  for (size_t i = 0; i < place_.frame; ++i) before += frames[i].kept;
  const uint32_t here = place_.frame < frames.size() ? frames[place_.frame].kept : 0;
  return place_.state <= here && place_.visited == before + place_.state;
}

}  // namespace

Result<std::unique_ptr<Search>> Search::create(const Problem& problem, SearchOptions options,
                                               Budget& budget,
                                               std::shared_ptr<ScratchSpace> space) {
  const ProblemTraits traits = problem.traits();
  const bool wide = is_wide(traits, options.identity);
  const unsigned threads = std::max(1u, std::min(options.threads, traits.max_expanders));
  const MemoryPlan plan = TRY(MemoryPlan::make(budget.capacity() - Bytes(traits.own_bytes), threads,
                                               traits, options.identity));
  if (wide) {
    auto search = std::make_unique<SearchOf<Key128>>(problem, std::move(options), std::move(space));
    TRY(search->prepare(budget, plan));
    return search;
  }
  auto search = std::make_unique<SearchOf<Key64>>(problem, std::move(options), std::move(space));
  TRY(search->prepare(budget, plan));
  return search;
}

}  // namespace spillway::expand

// The search's own header: what its parts share. search.cpp goes through the layers,
// search_round.cpp through one round of delayed duplicate detection, search_checkpoint.cpp to disk
// and back, search_memory.cpp divides the memory. Everybody else includes search.hpp.
#pragma once

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <set>

#include "core/flow/grace.hpp"
#include "core/flow/turn.hpp"
#include "core/memory/pages.hpp"
#include "core/records/external_sort.hpp"
#include "core/records/partitioner.hpp"
#include "core/records/spill_set.hpp"
#include "expand/engine/exact_set.hpp"
#include "expand/engine/key.hpp"
#include "expand/engine/search.hpp"

namespace spillway::expand {

using Stopwatch = std::chrono::steady_clock;

constexpr size_t kPackedRoom = size_t{1} << 16;  // successors of a block
constexpr size_t kBytesRoom = 98304;
constexpr size_t kSuccessorBytes = size_t{512} << 10;
constexpr size_t kFilterSlots = size_t{1} << 15;  // recently emitted keys, a thread

inline bool is_exact(const ProblemTraits& traits, Identity identity) {
  return traits.form == StateForm::kBytes && identity == Identity::kExact;
}
inline bool is_wide(const ProblemTraits& traits, Identity identity) {
  return traits.form == StateForm::kBytes && identity != Identity::kFp64;
}

// How the successors of a round are sorted by their bytes: record (exact_set.hpp), then the ordinal.
constexpr size_t kOrdinalBytes = 4;
ExternalSortOptions exact_sort(Bytes capacity, unsigned threads, const ProblemTraits& traits);

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
        give_up_(options_.round_grace),
        too_late_(options_.checkpoint_grace),
        threads_(std::max(1u, std::min(options_.threads, traits_.max_expanders))) {}

  Result<void> prepare(Budget& budget, const SearchPlan& plan);
  Result<void> restore(const std::string& checkpoint, const std::stop_token& stop) override;
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
    Lease expander_lease;
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
    uint64_t given = 0;    // successors that units before gave of the parent at hand
    bool fertile = false;  // one of them was new
    uint64_t proof = 0;    // prove_repeats: of the new states found less those made again
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
      if (exact_) return exact_->insert(key, state.bytes, too_late_.token());
    }
    (void)state;
    return seen_->insert(key, too_late_.token());
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
  void drop_round(const Place& begin);
  Result<void> make_checkpoint(const std::function<Result<void>(const std::string&)>& save);
  Result<void> check_given_up() const {
    if (give_up_.token().stop_requested()) return fail(Code::kCancelled, "stopped within a round");
    return {};
  }
  void follow(const std::stop_token& stop) {
    give_up_.follow(stop);
    too_late_.follow(stop);
  }
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
  Result<void> keep(Layer layer);
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
  Grace give_up_, too_late_;  // after a stop: a round, a checkpoint
  unsigned threads_;

  SearchPlan plan_;
  Bytes capacity_;  // that it was made for
  Account scatter_, marks_, store_, candidates_, index_;
  Budget* budget_ = nullptr;
  std::vector<Account> accounts_;                             // those with floors
  std::vector<std::pair<std::string, std::string>> figures_;  // once retired
  std::vector<Worker> workers_;
  std::optional<SpillSet<K>> seen_;
  std::optional<ExactSet> exact_;  // in place of seen_
  Layer current_, next_;
  Layer kept_;            // keep_layers: the layers before, one behind the other
  bool keeping_ = false;  // the last segment of it takes more
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

}  // namespace spillway::expand

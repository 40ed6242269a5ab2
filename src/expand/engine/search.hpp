// The engine: one FIFO-exact breadth-first search, layer by layer, in bounded memory.
//
// The states of a layer lie in discovery order. They are expanded in rounds. In a round every
// successor gets an ordinal, its place in FIFO order; a successor is new when no smaller ordinal
// and no earlier round had its key. That makes the result the one of a plain queue, whatever the
// threads, the memory or the partitions:
//   expand   threads take blocks of parents and draw their ordinals in order; (key, ordinal) records
//            are scattered by key
//   detect   each bucket keeps the smallest ordinal a key in a cache-sized table, drops what the
//            seen runs hold, marks the ordinals that are left, and adds their keys to a new sorted run
//   gather   the next layer: the parents are expanded once more and the marked successors kept; or,
//            where expansion is costly, the successors were written as they came and the marks become
//            their mask
// Small layers are done one successor at a time against the table of recent keys.
//
// Threads  run() uses options.threads; progress() may be called by any thread meanwhile.
// Memory   All from `budget`: what is fixed is leased at creation (see SearchPlan), candidates and
//          stores take what is free and go to scratch when refused.
// Fails    with the problem's errors, kScratchFull, kDiskFull, kIo, kCorrupt, kTooLarge (a state with
//          too many successors), kOverflow (widen the problem and start over), kCancelled.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "core/clock.hpp"
#include "core/disk/scratch.hpp"
#include "core/job/memory_plan.hpp"
#include "core/memory/budget.hpp"
#include "core/result.hpp"
#include "expand/engine/key.hpp"
#include "expand/engine/layer.hpp"
#include "expand/engine/layer_rows.hpp"
#include "expand/problem/problem.hpp"

namespace spillway::expand {

// What a search leases, from accounts that it opens itself.
struct SearchPlan {
  Bytes worker;         // a thread's buffers
  Bytes expander;       // what the problem holds for a thread
  Bytes table;          // a thread's bucket table
  Bytes scatter;        // all writers' buffers of the partitioner; exact: the least of the sort
  Bytes marks;          // one bit a successor of a round
  Bytes recent;         // the table of recent keys
  Bytes merge;          // blocks of the runs being merged
  Bytes index;          // frames, fences, extents
  Bytes store_ceiling;  // runs and layers in memory

  Bytes fixed(unsigned threads) const;
  void list(MemoryPlan& plan, unsigned threads) const;  // its parts
  // None when `capacity` bytes of leases are too few.
  static std::optional<SearchPlan> make(Bytes capacity, unsigned threads,
                                        const ProblemTraits& traits, Identity identity);
  bool exact = false;  // states are told apart by their bytes
};

struct SearchState {  // all that a checkpoint holds besides the files
  LayerRows layers;   // the last one is being expanded
  uint64_t frontier = 0;
  uint64_t ids_xor = 0, ids_sum = 0;
  bool has_best = false;
  Score best_score{};
  std::vector<uint8_t> best;  // its encoding (8 little-endian bytes when packed)
};

struct SearchProgress {
  uint32_t depth = 0;
  uint64_t states = 0, generated = 0;
  uint64_t layer_states = 0, layer_done = 0;
  const char* phase = "expand";
};

// Sizes that decide which path is taken, never what comes out. Tests make them tiny to reach every
// path.
struct SearchTuning {
  double small_layer = 16384;         // successors expected below which a layer is done one by one
  uint64_t round_limit = 0xFFFFFF00;  // ordinals of a round; they fit 32 bits
  uint64_t bucket_records = 65536;    // aimed at
  uint64_t table_slots = ~uint64_t{0};  // at most, of a bucket table
  unsigned fingerprint_bits = 128;      // fewer make different states look alike
};

struct SearchOptions {
  Identity identity = Identity::kFp128;
  unsigned threads = 1;
  std::optional<uint32_t> max_depth;
  bool keep_layers = false;  // for --states: old layers stay on disk
  std::chrono::milliseconds checkpoint{60000};
  const Clock* clock = &Clock::real();  // checkpoints are timed with it
  std::string work_folder;              // blobs and the checkpoint
  SearchTuning tuning;
  std::function<void()> on_round;  // after each round; may be empty
  // How long after a stop a round may take to its end; and a checkpoint.
  std::chrono::milliseconds round_grace{500}, checkpoint_grace{1300};
};

class Search {
 public:
  [[nodiscard]] static Result<std::unique_ptr<Search>> create(const Problem& problem,
                                                              SearchOptions options, Budget& budget,
                                                              std::shared_ptr<ScratchSpace> space);
  virtual ~Search() = default;

  // Continues from `checkpoint` (the text that save() produced). Call before run(), at most once.
  [[nodiscard]] virtual Result<void> restore(const std::string& checkpoint,
                                             const std::stop_token& stop = {}) = 0;
  // To the end, or to max_depth; kCancelled after `stop` once a checkpoint is written. A round that
  // does not end within its grace is dropped, to be done again; a checkpoint that is not written
  // within its own leaves the one before.
  // `save` makes a checkpoint durable; the blobs it names are on disk when it is called.
  [[nodiscard]] virtual Result<void> run(
      std::stop_token stop, const std::function<Result<void>(const std::string&)>& save) = 0;

  virtual const SearchState& state() const = 0;
  virtual bool complete() const = 0;
  virtual SearchProgress progress() const = 0;
  // After run(): gives back all memory but what each_state() needs.
  virtual void retire() = 0;
  // After run(), with keep_layers: every layer's states in discovery order.
  [[nodiscard]] virtual Result<void> each_state(
      const std::function<Result<void>(uint32_t depth, const StateView& state)>& visit) = 0;
  virtual std::vector<std::pair<std::string, std::string>> figures()
      const = 0;  // for the report: name, JSON literal
};

}  // namespace spillway::expand

// What a search leases and how each worker's lease is divided.
#include <bit>

#include "expand/engine/search_of.hpp"

namespace spillway::expand {
namespace {

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

size_t key_bytes(bool wide) { return wide ? sizeof(Key128) : sizeof(Key64); }

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

}  // namespace

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

Bytes SearchPlan::fixed(unsigned threads) const {
  return (worker + expander + table) * threads + scatter + marks + recent + merge + index;
}

void SearchPlan::list(MemoryPlan& plan, unsigned threads) const {
  plan.part("work", (worker + expander) * threads, "blocks of states and successors, a thread");
  plan.part("tables", table * threads, "one bucket of duplicate detection, a thread");
  plan.part("scatter", scatter,
            exact ? "sorting the successors by their bytes" : "write buffers of the partitions");
  plan.part("marks", marks, "one bit a successor of a round");
  plan.part("recent", recent, "the table of recent keys");
  plan.part("merge", merge, "blocks of the runs being merged");
  plan.part("index", index, "where frames, blocks and extents are");
}

std::optional<SearchPlan> SearchPlan::make(Bytes capacity, unsigned threads,
                                           const ProblemTraits& traits, Identity identity) {
  SearchPlan plan;
  const bool wide = is_wide(traits, identity);
  plan.exact = is_exact(traits, identity);
  const size_t entry = wide ? sizeof(Candidate<Key128>) : sizeof(Candidate<Key64>);
  const auto share = [&](uint64_t part, Bytes least, Bytes most) {
    return std::clamp(Bytes(capacity.count() / part), least, most);
  };
  plan.worker = Bytes(worker_bytes(traits, wide));
  plan.expander = Bytes(traits.expander_bytes);
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
  if (need > capacity) return std::nullopt;
  plan.store_ceiling = Bytes((capacity - need).count() / 20 * 11);
  return plan;
}

template <class K>
Result<void> SearchOf<K>::prepare(Budget& budget, const SearchPlan& plan) {
  plan_ = plan;
  capacity_ = budget.capacity() - Bytes(traits_.own_bytes);
  const Bytes workers = (plan.worker + plan.expander) * threads_;
  Account work = TRY(budget.open({"work", 50, workers, workers}));
  Account tables = TRY(budget.open({"tables", 60, plan.table * threads_, plan.table * threads_}));
  const Bytes partitions = plan.exact ? Bytes(0) : plan.scatter;
  scatter_ = TRY(budget.open({"scatter", 55, partitions, partitions}));
  marks_ = TRY(budget.open({"marks", 70, plan.marks, std::nullopt}));
  Account recent = TRY(budget.open({"recent", 40, plan.recent, plan.recent}));
  Account merge = TRY(budget.open({"merge", 65, plan.merge, plan.merge}));
  index_ = TRY(budget.open({"index", 80, plan.index, std::nullopt}));
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
    auto for_expander = work.try_acquire(plan.expander);
    if (!for_expander) return fail(Code::kInternal, "the floor of account work was not free");
    worker.expander_lease = std::move(*for_expander);
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
    options.index = index_;
    exact_.emplace(std::move(options));
    return {};
  }
  typename SpillSet<K>::Options options;
  options.align = align_;
  options.recent_room = TRY(lend(recent, plan.recent));
  options.merge_room = TRY(lend(merge, plan.merge));
  options.new_blob = [this] { return new_blob("run"); };
  options.filters = filters;
  options.index = index_;
  seen_.emplace(std::move(options));
  return {};
}

// For both kinds of key.
template Result<void> SearchOf<Key64>::prepare(Budget&, const SearchPlan&);
template Result<void> SearchOf<Key128>::prepare(Budget&, const SearchPlan&);

}  // namespace spillway::expand

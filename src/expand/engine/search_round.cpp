// One round of delayed duplicate detection: expand, scatter, detect, gather.
#include <fmt/format.h>

#include <bit>

#include "core/flow/parallel.hpp"
#include "core/mutex.hpp"
#include "expand/engine/bucket_table.hpp"
#include "expand/engine/search_of.hpp"

namespace spillway::expand {
namespace {

constexpr uint64_t kRescanFactor = 1;  // ending a round early pays while runs hold fewer keys than
                                       // this many times the round's candidates

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

}  // namespace

// Where the successors of the round go until they are detected.
template <class K>
Result<void> SearchOf<K>::open_scatter(Round& round) {
  if (exact_) {
    ExternalSortOptions sort = exact_sort(capacity_, threads_, traits_);
    sort.stop = give_up_.token();
    round.sort = TRY(ExternalSort::create(std::move(sort), candidates_, space_));
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
  TRY(on_seen([this](auto& set) { return set.flush_recent(too_late_.token()); }));
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
    TRY(exact_->add(std::move(round.exact_run), give_up_.token()));
  } else {
    TRY(seen_->add(std::move(round.run), give_up_.token()));
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

template <class K>
Result<void> SearchOf<K>::expand_blocks(Round& round, std::stop_token stop) {
  Mutex claims;
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
            MutexLock lock(claims);
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
          TRY(check_given_up());
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
  uint64_t walked = 0;
  while (const auto found = TRY(successors.next())) {
    if (++walked % 1024 == 0) TRY(check_given_up());
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
  const std::stop_token stop = give_up_.token();
  TRY(round.partitioner->read(bucket, worker.extent, stop, [&](std::span<const uint8_t> frame) {
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
      TRY(check_given_up());
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

template <class K>
Result<void> SearchOf<K>::gather(Round& round) {
  const std::span<const uint64_t> marks = round.marks.template as<uint64_t>();
  if (round.log) {
    const uint64_t barren = TRY(round.log->set_mask(marks, new_blob("mask"), give_up_.token()));
    workers_[0].barren += barren;
    CHECK(round.log->size() == round.fresh);
    if (round.log->size() > 0) next_.push_back(std::move(round.log));
    return {};
  }
  auto segment = new_segment();
  Place place = round.begin;
  Mutex claims;
  Turn draw, write;
  uint64_t tickets = 0, drawn = 0;
  std::atomic<bool> ended{false};
  TRY(parallel(
      threads_,
      [&](unsigned index) -> Result<void> {
        while (!ended) {
          std::optional<Claim> taken;
          {
            MutexLock lock(claims);
            taken = claim(place, current_, tickets, &round.end);
            if (!taken) break;
            ++tickets;
          }
          TRY(check_given_up());
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
  const bool goes_on = out.parent_count() == 0;  // with these, one parent is not complete
  for (uint32_t parent = 0; parent < std::max(out.parent_count(), 1u); ++parent) {
    const uint32_t end = goes_on ? out.count() : out.parent_end(parent);
    for (uint32_t at = begin; at < end;) {
      const uint64_t ordinal = base + at;
      const uint32_t width = std::min<uint32_t>(end - at, 64 - static_cast<uint32_t>(ordinal % 64));
      uint64_t bits = marks[ordinal / 64] >> (ordinal % 64);
      if (width < 64) bits &= (uint64_t{1} << width) - 1;
      for (; bits != 0; bits &= bits - 1) {
        keep(at + static_cast<uint32_t>(std::countr_zero(bits)));
        worker.fertile = true;
      }
      at += width;
    }
    if (!goes_on) worker.barren += !std::exchange(worker.fertile, false);
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

// For both kinds of key.
template Result<void> SearchOf<Key64>::round(std::stop_token);
template Result<void> SearchOf<Key128>::round(std::stop_token);

}  // namespace spillway::expand

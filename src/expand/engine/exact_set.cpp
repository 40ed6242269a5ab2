#include "expand/engine/exact_set.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <numeric>

#include "core/records/stoppable_sort.hpp"

namespace spillway::expand {
namespace {

constexpr size_t kLeastFrame = size_t{32} << 10;
constexpr size_t kLeastArena = size_t{192} << 10;
constexpr size_t kSlotShare = 4;  // one in so many bytes of the recent room is slots

uint64_t load_big(const uint8_t* at) {
  uint64_t value;
  std::memcpy(&value, at, sizeof value);
  return __builtin_bswap64(value);
}
uint32_t length_of(const uint8_t* record) {
  uint32_t value;
  std::memcpy(&value, record + 16, sizeof value);
  return __builtin_bswap32(value);
}

int compare(std::span<const uint8_t> a, std::span<const uint8_t> b) {
  const int order = std::memcmp(a.data(), b.data(), std::min(a.size(), b.size()));
  if (order != 0) return order;
  return a.size() < b.size() ? -1 : a.size() > b.size();
}

tl::unexpected<Error> stopped() { return fail(Code::kCancelled, "stopped while sorting states"); }

// The first record of `rest`, which it leaves behind; frames are checksummed, so lengths hold.
std::span<const uint8_t> take_state(std::span<const uint8_t>& rest) {
  CHECK(rest.size() >= kRecordHead);
  const size_t size = kRecordHead + length_of(rest.data());
  CHECK(size <= rest.size());
  const auto record = rest.first(size);
  rest = rest.subspan(size);
  return record;
}

}  // namespace

size_t write_record(Key128 fingerprint, std::span<const uint8_t> state, uint8_t* out) {
  const uint64_t hi = __builtin_bswap64(fingerprint.hi);
  const uint64_t lo = __builtin_bswap64(fingerprint.lo);
  const uint32_t length = __builtin_bswap32(static_cast<uint32_t>(state.size()));
  std::memcpy(out, &hi, 8);
  std::memcpy(out + 8, &lo, 8);
  std::memcpy(out + 16, &length, 4);
  if (!state.empty()) std::memcpy(out + kRecordHead, state.data(), state.size());
  return kRecordHead + state.size();
}

// ---- runs --------------------------------------------------------------------------------------

ExactRun::ExactRun(std::unique_ptr<Blob> blob, size_t frame_bytes, Account index)
    : blob_(std::move(blob)), codec_(Codec::kLz4, frame_bytes), fences_(std::move(index)) {}

std::unique_ptr<ExactRun> ExactRun::create(std::unique_ptr<Blob> blob, size_t frame_bytes,
                                           Account index) {
  std::unique_ptr<ExactRun> run(new ExactRun(std::move(blob), frame_bytes, std::move(index)));
  run->raw_.resize(frame_bytes);
  run->stored_.resize(FrameCodec::frame_room(frame_bytes));
  return run;
}

Result<std::unique_ptr<ExactRun>> ExactRun::open(std::unique_ptr<Blob> blob, size_t frame_bytes,
                                                 Account index, const std::stop_token& stop) {
  auto run = create(std::move(blob), frame_bytes, std::move(index));
  const uint64_t end = run->blob_->size();
  for (uint64_t offset = 0; offset < end;) {
    if (stop.stop_requested()) return stopped();
    TRY(run->add_fence({0, offset}));
    FramePlace place{offset, run->frames() - 1};
    std::span<const uint8_t> records = TRY(run->read(place, end, run->raw_, run->stored_));
    run->fences_[run->frames() - 1].first = load_big(records.data());
    for (; !records.empty(); ++run->size_) take_state(records);
    offset = place.offset;
  }
  run->raw_ = {};
  run->stored_ = {};
  return run;
}

Result<void> ExactRun::append(std::span<const uint8_t> record) {
  if (fill_ + record.size() > raw_.size()) TRY(write_frame());
  std::memcpy(raw_.data() + fill_, record.data(), record.size());
  fill_ += record.size();
  ++size_;
  return {};
}

Result<void> ExactRun::write_frame() {
  if (fill_ == 0) return {};
  const size_t stored =
      codec_.encode(std::span<const uint8_t>(raw_).first(fill_), frames(), stored_);
  const uint64_t offset = TRY(blob_->append(std::span<const uint8_t>(stored_).first(stored)));
  TRY(add_fence({load_big(raw_.data()), offset}));
  fill_ = 0;
  return {};
}

Result<void> ExactRun::add_fence(Fence fence) {
  if (fences_.push_back(fence)) return {};
  if (blob_->in_memory()) TRY(blob_->spill());  // gives memory back
  if (fences_.push_back(fence)) return {};
  return fail(Code::kMemoryLimit,
              fmt::format("{}: no memory for the index of a run of more than {} states; raise "
                          "--memory",
                          blob_->path(), size_));
}

Result<void> ExactRun::finish() {
  TRY(write_frame());
  raw_ = {};
  stored_ = {};
  return {};
}

size_t ExactRun::frame_of(uint64_t top) const {
  const size_t at = fences_.partition_point([&](const Fence& f) { return f.first < top; });
  return at == 0 ? 0 : at - 1;
}

Result<std::span<const uint8_t>> ExactRun::load(size_t frame, std::span<uint8_t> raw,
                                                std::span<uint8_t> stored) const {
  FramePlace place{fences_[frame].offset, frame};
  const uint64_t end = frame + 1 < frames() ? fences_[frame + 1].offset : blob_->size();
  return read(place, end, raw, stored);
}

Result<std::span<const uint8_t>> ExactRun::read(FramePlace& place, uint64_t end,
                                                std::span<uint8_t> raw,
                                                std::span<uint8_t> stored) const {
  const auto bytes = [&](uint64_t offset, std::span<uint8_t> out) {
    return blob_->read(offset, out.size(), out);
  };
  return read_frame(codec_, place, end, stored, raw, bytes, blob_->path());
}

// ---- the set -----------------------------------------------------------------------------------

size_t ExactSet::frame_bytes(uint32_t max_state_bytes) {
  return std::max(kLeastFrame, std::bit_ceil(size_t{max_state_bytes} + kRecordHead));
}

size_t ExactSet::recent_room_bytes(uint32_t max_state_bytes) {
  return std::max(kLeastArena, 2 * (max_state_bytes + kRecordHead)) * kSlotShare / (kSlotShare - 1);
}

size_t ExactSet::merge_room_bytes(uint32_t max_state_bytes) {
  const size_t frame = frame_bytes(max_state_bytes);
  return kMostRuns * frame + FrameCodec::frame_room(frame);
}

ExactSet::ExactSet(Options options)
    : options_(std::move(options)), frame_(frame_bytes(options_.max_state_bytes)) {
  CHECK(options_.merge_room.size() >= merge_room_bytes(options_.max_state_bytes));
  // Offsets are 32 bits.
  const size_t room = std::min<size_t>(options_.recent_room.size(), size_t{3} << 30);
  const size_t slots = std::bit_floor(room / kSlotShare / sizeof(Slot));
  slots_ = options_.recent_room.as<Slot>().first(slots);
  arena_ = {options_.recent_room.data() + slots * sizeof(Slot), room - slots * sizeof(Slot)};
  CHECK(arena_.size() >= options_.max_state_bytes + kRecordHead);
}

std::span<uint8_t> ExactSet::room_of(size_t index) const {
  return {options_.merge_room.data() + index * frame_, frame_};
}
std::span<uint8_t> ExactSet::stored_room() const {
  return {options_.merge_room.data() + kMostRuns * frame_, FrameCodec::frame_room(frame_)};
}
std::span<const uint8_t> ExactSet::record_of(const Slot& slot) const {
  return arena_.subspan(slot.offset - 1, slot.length);
}

ExactSet::Slot* ExactSet::find(Key128 fingerprint, std::span<const uint8_t> state) {
  const size_t mask = slots_.size() - 1;
  size_t at = static_cast<size_t>(fingerprint.hi ^ fingerprint.lo) & mask;
  while (true) {
    Slot& slot = slots_[at];
    if (slot.offset == 0) return &slot;
    if (slot.top == fingerprint.hi && slot.length == kRecordHead + state.size()) {
      const auto record = record_of(slot);
      if (load_big(record.data() + 8) == fingerprint.lo &&
          std::equal(state.begin(), state.end(), record.begin() + kRecordHead))
        return &slot;
    }
    at = (at + 1) & mask;
  }
}

Result<bool> ExactSet::insert(Key128 fingerprint, std::span<const uint8_t> state,
                              const std::stop_token& stop) {
  Slot* slot = find(fingerprint, state);
  if (slot->offset != 0) return false;
  if (!runs_.empty() && TRY(in_runs(fingerprint, state, stop))) return false;
  const size_t size = kRecordHead + state.size();
  if (arena_.size() - arena_used_ < size || (recent_count_ + 1) * 4 > slots_.size() * 3) {
    TRY(flush_recent(stop));
    slot = find(fingerprint, state);
  }
  write_record(fingerprint, state, arena_.data() + arena_used_);
  *slot = Slot{fingerprint.hi, static_cast<uint32_t>(arena_used_ + 1), static_cast<uint32_t>(size)};
  arena_used_ += size;
  ++recent_count_;
  return true;
}

Result<void> ExactSet::flush_recent(const std::stop_token& stop) {
  if (recent_count_ == 0) return {};
  if (stop.stop_requested()) return stopped();
  const auto end = std::remove_if(slots_.begin(), slots_.end(),
                                  [](const Slot& slot) { return slot.offset == 0; });
  const auto before = [&](const Slot& a, const Slot& b) {
    if (a.top != b.top) return a.top < b.top;
    return compare(record_of(a), record_of(b)) < 0;
  };
  if (!sort_unless_stopped(slots_.begin(), end, stop, before)) return stopped();
  auto run = new_run();
  for (auto slot = slots_.begin(); slot != end; ++slot) {
    if ((slot - slots_.begin()) % 4096 == 0 && stop.stop_requested()) return stopped();
    TRY(run->append(record_of(*slot)));
  }
  TRY(run->finish());
  std::fill(slots_.begin(), slots_.end(), Slot{});
  arena_used_ = 0;
  recent_count_ = 0;
  return add(std::move(run), stop);
}

Result<bool> ExactSet::in_runs(Key128 fingerprint, std::span<const uint8_t> state,
                               const std::stop_token& stop) {
  if (filters_stale_) TRY(build_filters(stop));
  for (const auto& run : runs_) {
    const auto filter = std::find_if(filters_.begin(), filters_.end(),
                                     [&](const Filter& f) { return f.run == run.get(); });
    if (filter != filters_.end() && !filter->bits.maybe(fingerprint.hi, fingerprint.lo)) continue;
    if (TRY(in_run(*run, fingerprint, state))) return true;
  }
  return false;
}

Result<bool> ExactSet::in_run(const ExactRun& run, Key128 fingerprint,
                              std::span<const uint8_t> state) {
  for (size_t frame = run.frame_of(fingerprint.hi);
       frame < run.frames() && run.first_top(frame) <= fingerprint.hi; ++frame) {
    if (cached_run_ != &run || cached_frame_ != frame) {
      cached_run_ = nullptr;
      cached_ = TRY(run.load(frame, room_of(0), stored_room()));
      cached_run_ = &run;
      cached_frame_ = frame;
    }
    std::span<const uint8_t> rest = cached_;
    while (!rest.empty()) {
      const auto record = take_state(rest);
      const uint64_t top = load_big(record.data());
      if (top < fingerprint.hi) continue;
      if (top > fingerprint.hi) return false;
      if (load_big(record.data() + 8) == fingerprint.lo &&
          record.size() == kRecordHead + state.size() &&
          std::equal(state.begin(), state.end(), record.begin() + kRecordHead))
        return true;
    }
  }
  return false;
}

// One filter a run; runs for which memory is refused, or time, go without.
Result<void> ExactSet::build_filters(const std::stop_token& stop) {
  cached_run_ = nullptr;
  std::erase_if(filters_, [&](const Filter& f) {
    return std::none_of(runs_.begin(), runs_.end(),
                        [&](const auto& run) { return run.get() == f.run; });
  });
  for (const auto& run : runs_) {
    if (std::any_of(filters_.begin(), filters_.end(),
                    [&](const Filter& f) { return f.run == run.get(); }))
      continue;
    auto lease = options_.filters.try_acquire(BloomFilter::bytes(run->size()));
    if (!lease) continue;
    Pages room = TRY(Pages::map(std::move(*lease)));
    BloomFilter bits(room.as<uint64_t>(), run->size());
    size_t frame = 0;
    for (; frame < run->frames() && !stop.stop_requested(); ++frame) {
      std::span<const uint8_t> rest = TRY(run->load(frame, room_of(0), stored_room()));
      while (!rest.empty()) {
        const auto record = take_state(rest);
        bits.add(load_big(record.data()), load_big(record.data() + 8));
      }
    }
    if (frame == run->frames()) filters_.push_back(Filter{run.get(), std::move(room), bits});
  }
  filters_stale_ = false;
  return {};
}

Result<void> ExactSet::add(std::unique_ptr<ExactRun> run, const std::stop_token& stop) {
  if (run->size() == 0) return {};
  runs_.push_back(std::move(run));
  filters_stale_ = true;
  cached_run_ = nullptr;
  if (runs_.size() > kMaxRuns) TRY(merge_smallest(stop));
  return {};
}

Result<void> ExactSet::Sweep::advance(Cursor& cursor) {
  if (cursor.rest.empty()) {
    if (cursor.next_frame == cursor.run->frames()) {
      cursor.record = {};
      return {};
    }
    cursor.rest = TRY(cursor.run->load(cursor.next_frame++, cursor.room, stored_));
  }
  cursor.record = take_state(cursor.rest);
  return {};
}

Result<bool> ExactSet::Sweep::holds(std::span<const uint8_t> record) {
  for (Cursor& cursor : cursors_) {
    int order = -1;
    while (!cursor.record.empty() && (order = compare(cursor.record, record)) < 0)
      TRY(advance(cursor));
    if (!cursor.record.empty() && order == 0) return true;
  }
  return false;
}

Result<ExactSet::Sweep> ExactSet::sweep_from(size_t first_run) {
  cached_run_ = nullptr;  // its room is used
  Sweep sweep;
  sweep.stored_ = stored_room();
  for (size_t i = first_run; i < runs_.size(); ++i) {
    Sweep::Cursor cursor;
    cursor.run = runs_[i].get();
    cursor.room = room_of(i - first_run);
    TRY(sweep.advance(cursor));
    sweep.cursors_.push_back(cursor);
  }
  return sweep;
}

// Merges the smallest runs: at least half of them, and on while the next is no larger than what is
// merged already.
Result<void> ExactSet::merge_smallest(const std::stop_token& stop) {
  const bool can_wait = runs_.size() <= kMostRuns;
  if (can_wait && stop.stop_requested()) return {};
  std::stable_sort(runs_.begin(), runs_.end(),
                   [](const auto& a, const auto& b) { return a->size() > b->size(); });
  size_t first = runs_.size() - kMaxRuns / 2;
  uint64_t merged_states = 0;
  for (size_t i = first; i < runs_.size(); ++i) merged_states += runs_[i]->size();
  while (first > 0 && runs_.size() - first < kMostRuns && runs_[first - 1]->size() <= merged_states)
    merged_states += runs_[--first]->size();

  Sweep sweep = TRY(sweep_from(first));
  auto& cursors = sweep.cursors_;
  const auto later = [](const Sweep::Cursor& a, const Sweep::Cursor& b) {
    return compare(b.record, a.record) < 0;
  };
  std::make_heap(cursors.begin(), cursors.end(), later);
  auto merged = new_run();
  uint64_t walked = 0;
  while (!cursors.empty()) {
    if (can_wait && ++walked % 4096 == 0 && stop.stop_requested()) return {};
    std::pop_heap(cursors.begin(), cursors.end(), later);
    Sweep::Cursor& least = cursors.back();
    TRY(merged->append(least.record));
    TRY(sweep.advance(least));
    if (least.record.empty()) {
      cursors.pop_back();
    } else {
      std::push_heap(cursors.begin(), cursors.end(), later);
    }
  }
  TRY(merged->finish());
  filters_stale_ = true;
  runs_.resize(first);
  runs_.push_back(std::move(merged));
  std::erase_if(filters_, [&](const Filter& f) {
    return std::none_of(runs_.begin(), runs_.end(),
                        [&](const auto& run) { return run.get() == f.run; });
  });
  return {};
}

uint64_t ExactSet::run_keys() const {
  return std::accumulate(runs_.begin(), runs_.end(), uint64_t{0},
                         [](uint64_t n, const auto& run) { return n + run->size(); });
}
uint64_t ExactSet::run_bytes() const {
  return std::accumulate(runs_.begin(), runs_.end(), uint64_t{0},
                         [](uint64_t n, const auto& run) { return n + run->blob().size(); });
}

}  // namespace spillway::expand

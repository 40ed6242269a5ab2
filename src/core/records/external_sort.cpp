#include "core/records/external_sort.hpp"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <numeric>
#include <utility>

#include "core/disk/corrupt.hpp"
#include "core/file/folders.hpp"
#include "core/records/stoppable_sort.hpp"

namespace spillway {
namespace {

constexpr uint64_t kMostInput = (uint64_t{1} << 32) - (uint64_t{4} << 20);  // offsets are 32 bits

uint64_t prefix_of(Record record) {
  uint64_t value = 0;
  if (!record.empty()) std::memcpy(&value, record.data(), std::min(record.size(), sizeof value));
  return __builtin_bswap64(value);
}

// memcmp order of two records whose prefixes are equal.
int compare_rest(Record a, Record b) {
  const size_t both = std::min(a.size(), b.size());
  const size_t skip = std::min(both, sizeof(uint64_t));
  const int order = both == skip ? 0 : std::memcmp(a.data() + skip, b.data() + skip, both - skip);
  if (order != 0) return order;
  return a.size() < b.size() ? -1 : a.size() > b.size();
}

size_t step_of(const ExternalSortOptions& options) {
  const uint64_t each = options.memory.count() / options.inputs;
  return std::clamp<size_t>(std::bit_floor(each / 8), 4096, GrowingPages::kStep);
}

Bytes codec_bytes(const ExternalSortOptions& options) {
  return FrameCodec::workspace(options.codec);
}

size_t frame_room(const ExternalSortOptions& options) {
  return FrameCodec::frame_room(options.frame_bytes);
}

// Of durable runs: half of what the process may open is left to others.
size_t most_files() {
  rlimit limit{};
  const bool is_known = ::getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
  return is_known ? std::max<size_t>(ExternalSort::kLeastFanIn, limit.rlim_cur / 2) : 4096;
}

Bytes merge_bytes(const ExternalSortOptions& options, size_t fan_in) {
  // A frame a run; one to read into; one to write and its encoded form, for merges on the way.
  return Bytes(options.frame_bytes * (fan_in + 1) + 2 * frame_room(options)) + codec_bytes(options);
}

}  // namespace

// ---- runs --------------------------------------------------------------------------------------

struct ExternalSort::Run {
  std::shared_ptr<ScratchFile> scratch;  // of many runs, one behind another; or:
  uint64_t begin = 0;
  std::string file;            // durable: its name in the folder,
  std::unique_ptr<Blob> blob;  // open while it is written or merged
  uint64_t bytes = 0, frames = 0, records = 0;

  Run() = default;
  explicit Run(std::shared_ptr<ScratchFile> of) : scratch(std::move(of)), begin(scratch->size()) {}
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;
  ~Run() {
    if (scratch && scratch.use_count() > 1 && bytes > 0) scratch->punch(begin, bytes);
  }

  Result<void> append(std::span<const uint8_t> frame) {
    if (blob) {
      TRY(blob->append(frame));
    } else {
      TRY(scratch->append(frame));
    }
    bytes += frame.size();
    ++frames;
    return {};
  }
  DurableRun durable() const { return {file, bytes, frames, records}; }
  Result<const uint8_t*> read(uint64_t offset, std::span<uint8_t> out) const {
    if (blob) return blob->read(offset, out.size(), out);
    const uint64_t behind = offset + out.size();
    if (behind < bytes)
      scratch->will_read(begin + behind, std::min<uint64_t>(bytes - behind, 2 * out.size()));
    TRY(scratch->read_at(begin + offset, out));
    return out.data();
  }
};

// ---- merging -----------------------------------------------------------------------------------

// One sorted sequence: a run, a frame at a time, or the entries of an input.
struct ExternalSort::Stream::Source {
  const Run* run = nullptr;
  FramePlace place;
  std::span<uint8_t> room;        // of one frame
  std::span<const uint8_t> rest;  // records not yet met
  const Input* input = nullptr;
  size_t entry = 0;
  uint64_t prefix = 0;
  Record record;
  bool done = false;
};

class ExternalSort::Stream::Merge {
 public:
  // `memory`: merge_bytes() of the fan-in, or nothing when all sources are inputs.
  Merge(const ExternalSort& owner, std::span<uint8_t> memory, size_t fan_in)
      : owner_(owner), memory_(memory) {
    if (memory.empty()) return;
    const size_t frame = owner.options_.frame_bytes;
    uint8_t* at = memory.data() + fan_in * frame;
    shared_ = {at, frame_room(owner.options_)};
    at += shared_.size();
    out_raw_ = {at, frame};
    at += frame;
    out_frame_ = {at, frame_room(owner.options_)};
    codec_ = std::make_unique<FrameCodec>(owner.options_.codec, frame);
  }

  void add(const Run& run) {
    const size_t frame = owner_.options_.frame_bytes;
    Source source;
    source.run = &run;
    source.room = {memory_.data() + sources_.size() * frame, frame};
    sources_.push_back(source);
  }
  void add(const Input& input) {
    Source source;
    source.input = &input;
    sources_.push_back(source);
  }

  // Plays the first round: to be called once all sources are added.
  Result<void> begin() {
    for (Source& source : sources_) TRY(advance(source));
    const size_t count = std::max<size_t>(1, sources_.size());
    losers_.assign(count, kNone);
    for (size_t i = 0; i < sources_.size(); ++i) replay(i);
    return {};
  }

  Result<std::optional<Record>> next() {
    const auto& fold = owner_.options_.fold;
    if (!fold) return next_of_all();
    while (true) {
      const auto record = TRY(next_of_all());
      if (record && has_kept_ && fold(kept_, *record)) continue;
      std::swap(kept_, given_);
      const bool gives = std::exchange(has_kept_, record.has_value());
      if (record) kept_.assign(record->begin(), record->end());
      if (gives) return std::optional<Record>(given_);
      if (!record) return std::optional<Record>();
    }
  }

  FrameCodec& codec() { return *codec_; }
  std::span<uint8_t> out_raw() const { return out_raw_; }
  std::span<uint8_t> out_frame() const { return out_frame_; }

 private:
  static constexpr size_t kNone = ~size_t{0};

  // Repeats included.
  Result<std::optional<Record>> next_of_all() {
    if (stale_ && winner_ != kNone) {
      TRY(advance(sources_[winner_]));
      replay(winner_);
    }
    stale_ = true;
    if (winner_ == kNone || sources_[winner_].done) return std::optional<Record>();
    return std::optional<Record>(sources_[winner_].record);
  }

  Result<void> advance(Source& source) {
    if (source.input != nullptr) {
      if (source.entry == source.input->count_) {
        source.done = true;
        return {};
      }
      if (source.entry % 65536 == 65535) TRY(owner_.check_stop());
      const Input::Entry& entry = source.input->entries()[source.entry++];
      source.prefix = entry.prefix;
      source.record = source.input->record_of(entry);
      return {};
    }
    if (source.rest.empty()) {
      if (source.place.frame == source.run->frames) {
        source.done = true;
        return {};
      }
      TRY(load(source));
    }
    const auto record = take_record(source.rest);
    if (!record) return fail_corrupt("a sorted run holds a record longer than its frame");
    source.record = *record;
    source.prefix = prefix_of(source.record);
    return {};
  }

  Result<void> load(Source& source) {
    TRY(owner_.check_stop());
    const std::string where = "a sorted run in " + owner_.space_->folder();
    const auto read = [&](uint64_t offset, std::span<uint8_t> out) {
      return source.run->read(offset, out);
    };
    source.rest = TRY(
        read_frame(*codec_, source.place, source.run->bytes, shared_, source.room, read, where));
    return {};
  }

  bool before(size_t a, size_t b) const {
    const Source& left = sources_[a];
    const Source& right = sources_[b];
    if (left.done || right.done) return !left.done;
    if (left.prefix != right.prefix) return left.prefix < right.prefix;
    return compare_rest(left.record, right.record) < 0;
  }

  // Plays source `at` up to the root against the losers met before.
  void replay(size_t at) {
    size_t winner = at;
    for (size_t node = (at + losers_.size()) / 2; node > 0; node /= 2) {
      if (losers_[node] == kNone) {  // only while the tree is built
        losers_[node] = winner;
        return;
      }
      if (before(losers_[node], winner)) std::swap(losers_[node], winner);
    }
    winner_ = winner;
  }

  const ExternalSort& owner_;
  std::span<uint8_t> memory_;
  std::unique_ptr<FrameCodec> codec_;
  std::span<uint8_t> shared_, out_raw_, out_frame_;
  std::vector<Source> sources_;  // bounded by the fan-in
  std::vector<size_t> losers_;
  size_t winner_ = kNone;
  bool stale_ = false;  // the winner's record was handed out
  bool has_kept_ = false;
  std::vector<uint8_t> kept_,
      given_;  // the record repeats are folded into, and the one before: each at
               // most a record
};

ExternalSort::Stream::Stream(std::unique_ptr<Merge> merge) : merge_(std::move(merge)) {}
ExternalSort::Stream::Stream(Stream&&) noexcept = default;
ExternalSort::Stream& ExternalSort::Stream::operator=(Stream&&) noexcept = default;
ExternalSort::Stream::~Stream() = default;
Result<std::optional<Record>> ExternalSort::Stream::next() { return merge_->next(); }

// ---- the sort ----------------------------------------------------------------------------------

Bytes ExternalSort::floor(const ExternalSortOptions& options) {
  const Bytes frames = Bytes(options.frame_bytes + frame_room(options)) + codec_bytes(options);
  const Bytes buffers(2 * step_of(options));
  return (frames + buffers) * options.inputs + merge_bytes(options, kLeastFanIn);
}

Result<void> remove_other_runs(const std::string& folder, const std::vector<DurableRun>& named) {
  if (!TRY(exists(folder))) return {};
  return for_each_entry(folder, [&](const std::string& name) -> Result<void> {
    const auto is_it = [&](const DurableRun& run) { return run.file == name; };
    if (std::any_of(named.begin(), named.end(), is_it)) return {};
    TRY(remove_file(folder + "/" + name));
    return {};
  });
}

Result<std::unique_ptr<ExternalSort>> ExternalSort::create(ExternalSortOptions options,
                                                           Account account,
                                                           std::shared_ptr<ScratchSpace> space) {
  CHECK(options.inputs > 0 && options.frame_bytes <= FrameCodec::kMaxRaw);
  std::unique_ptr<ExternalSort> sort(new ExternalSort);
  const auto too_little = [&] {
    return fail(Code::kMemoryLimit, fmt::format("sorting needs at least {}; raise --memory",
                                                to_string(floor(options))));
  };
  const size_t frame = frame_room(options);
  const size_t each = options.frame_bytes + frame;
  auto frames = account.try_acquire(Bytes(each * options.inputs));
  auto workspace = account.try_acquire(codec_bytes(options) * options.inputs);
  if (!frames || !workspace) return too_little();
  sort->frames_ = TRY(Pages::map(std::move(*frames)));
  sort->workspace_ = std::move(*workspace);
  sort->inputs_.resize(options.inputs);
  const size_t step = step_of(options);
  const size_t most = std::min<uint64_t>(options.memory.count() / options.inputs, kMostInput);
  for (size_t i = 0; i < options.inputs; ++i) {
    Input& input = sort->inputs_[i];
    input.owner_ = sort.get();
    input.bytes_ = TRY(GrowingPages::reserve(account, most, step));
    input.index_ = TRY(GrowingPages::reserve(account, most, step));
    if (!input.bytes_.grow_to(step) || !input.index_.grow_to(step)) return too_little();
    input.codec_ = std::make_unique<FrameCodec>(options.codec, options.frame_bytes);
    uint8_t* const at = sort->frames_.data() + i * each;
    input.raw_ = {at, options.frame_bytes};
    input.frame_ = {at + options.frame_bytes, frame};
  }
  sort->options_ = std::move(options);
  sort->account_ = std::move(account);
  sort->space_ = std::move(space);
  return sort;
}

ExternalSort::~ExternalSort() {
  for (const auto& run : runs_)
    run->scratch.reset();  // their files go: no range need be given back
}

std::span<uint8_t> ExternalSort::Input::record_of(const Entry& entry) const {
  return {bytes_.data() + entry.offset, entry.length};
}

Result<void> ExternalSort::Input::add(Record record) {
  if (record.size() > max_record(owner_->options_)) {
    return fail(Code::kTooLarge, fmt::format("a record of {} bytes is longer than {}, the most "
                                             "that is sorted",
                                             record.size(), max_record(owner_->options_)));
  }
  const uint64_t most = owner_->options_.memory.count() / owner_->options_.inputs;
  const auto fits = [&] {
    const size_t bytes = used_ + record.size();
    const size_t index = (count_ + 1) * sizeof(Entry);
    if (bytes <= bytes_.size() && index <= index_.size()) return true;
    if (count_ > 0 && bytes + index > most) return false;
    return bytes_.grow_to(bytes) && index_.grow_to(index);
  };
  if (!fits()) {
    if (count_ > 0) TRY(flush());
    if (!fits()) {
      return fail(
          Code::kMemoryLimit,
          fmt::format("no memory to sort a record of {} bytes; raise --memory", record.size()));
    }
  }
  if (!record.empty()) std::memcpy(bytes_.data() + used_, record.data(), record.size());
  entries()[count_++] =
      Entry{prefix_of(record), static_cast<uint32_t>(used_), static_cast<uint32_t>(record.size())};
  used_ += record.size();
  sorted_ = false;
  return {};
}

// In place; repeats are folded away.
Result<void> ExternalSort::Input::sort() {
  if (sorted_) return {};
  Entry* const first = entries();
  const auto before = [&](const Entry& a, const Entry& b) {
    if (a.prefix != b.prefix) return a.prefix < b.prefix;
    return compare_rest(record_of(a), record_of(b)) < 0;
  };
  if (!sort_unless_stopped(first, first + count_, owner_->options_.stop, before))
    return owner_->check_stop();
  if (const auto& fold = owner_->options_.fold; fold && count_ > 0) {
    size_t kept = 0;
    for (size_t i = 1; i < count_; ++i) {
      if (!fold(record_of(first[kept]), record_of(first[i]))) first[++kept] = first[i];
    }
    count_ = kept + 1;
  }
  sorted_ = true;
  return {};
}

Result<void> ExternalSort::check_stop() const {
  if (options_.stop.stop_requested()) return fail(Code::kCancelled, "stopped while sorting");
  return {};
}

Result<std::unique_ptr<ExternalSort::Run>> ExternalSort::write_run(Input& input) {
  std::unique_ptr<Run> run;
  if (options_.folder.empty()) {
    if (!input.file_) input.file_ = std::make_shared<ScratchFile>(TRY(space_->open()));
    run = std::make_unique<Run>(input.file_);
  } else {
    run = std::make_unique<Run>();
    {
      MutexLock lock(mutex_);
      run->file = fmt::format("run-{}", next_file_++);
    }
    run->blob = Blob::create(options_.folder + "/" + run->file, Account(), space_);
  }
  RecordWriter writer(*input.codec_, input.raw_, input.frame_,
                      [&](std::span<const uint8_t> frame) { return run->append(frame); });
  for (size_t i = 0; i < input.count_; ++i) {
    if (i % 4096 == 4095) TRY(check_stop());
    TRY(writer.add(input.record_of(input.entries()[i])));
  }
  TRY(writer.flush());
  run->records = input.count_;
  if (run->blob) {
    TRY(run->blob->persist());
    TRY(sync_folder(options_.folder));
    run->blob->keep();
    run->blob.reset();
  }
  return run;
}

Result<std::optional<DurableRun>> ExternalSort::Input::flush() {
  if (count_ == 0) return std::optional<DurableRun>();
  TRY(owner_->check_stop());
  TRY(sort());
  auto run = TRY(owner_->write_run(*this));
  used_ = 0;
  count_ = 0;
  TRY(owner_->make_room_in_list(this));
  DurableRun told = run->durable();
  {
    MutexLock lock(owner_->mutex_);
    ++owner_->runs_written_;
    owner_->spilled_bytes_ += run->bytes;
    owner_->runs_.push_back(std::move(run));
  }
  if (owner_->options_.on_run) {
    const auto index = static_cast<size_t>(this - owner_->inputs_.data());
    TRY(owner_->options_.on_run(index, told));
  }
  return std::optional<DurableRun>(std::move(told));
}

void ExternalSort::Input::give_back_spare() {
  const size_t step = step_of(owner_->options_);
  bytes_.shrink_to(step);
  index_.shrink_to(step);
}

// For one run more of each input. `input` has just written one: it can do with less.
Result<void> ExternalSort::make_room_in_list(Input* input) {
  constexpr size_t kRunsAtOnce = 32;
  constexpr Bytes kRunBytes(128);  // with its share of the vector, and the allocator's
  {
    MutexLock lock(mutex_);
    const size_t room = kFreeRuns + list_.bytes() / kRunBytes;
    if (runs_.size() + inputs_.size() <= room) return {};
  }
  auto lease = account_.try_acquire(kRunBytes * kRunsAtOnce);
  if (!lease && input != nullptr) {
    input->give_back_spare();
    lease = account_.try_acquire(kRunBytes * kRunsAtOnce);
  }
  MutexLock lock(mutex_);
  if (!lease)
    return fail(Code::kMemoryLimit, fmt::format("no memory for a list of more than {} sorted runs; "
                                                "raise --memory",
                                                runs_.size()));
  list_.join(std::move(*lease));
  return {};
}

Result<void> ExternalSort::adopt(const DurableRun& durable) {
  TRY(make_room_in_list(nullptr));
  auto run = std::make_unique<Run>();
  // Only to look at it: its bytes stay counted.
  TRY(Blob::open(options_.folder + "/" + durable.file, durable.bytes, space_));
  run->file = durable.file;
  run->bytes = durable.bytes;
  run->frames = durable.frames;
  run->records = durable.records;
  uint64_t number = 0;
  if (std::sscanf(durable.file.c_str(), "run-%lu", &number) == 1)
    next_file_ = std::max(next_file_, number + 1);
  runs_.push_back(std::move(run));
  return {};
}

Result<std::unique_ptr<ExternalSort::Stream::Merge>> ExternalSort::open_merge(
    std::span<std::unique_ptr<Run>> runs) {
  auto merge = std::make_unique<Stream::Merge>(
      *this, std::span(merge_memory_.data(), merge_memory_.size()), runs.size());
  for (const auto& run : runs) {
    if (!run->file.empty()) {
      space_->give_back(Bytes(run->bytes));  // counted again by open()
      run->blob = TRY(Blob::open(options_.folder + "/" + run->file, run->bytes, space_));
    }
    merge->add(*run);
  }
  TRY(merge->begin());
  return merge;
}

Result<std::unique_ptr<ExternalSort::Run>> ExternalSort::merge_runs(
    std::vector<std::unique_ptr<Run>> runs) {
  auto merge = TRY(open_merge(runs));
  if (!merged_) merged_ = std::make_shared<ScratchFile>(TRY(space_->open()));
  auto merged = std::make_unique<Run>(merged_);
  RecordWriter writer(merge->codec(), merge->out_raw(), merge->out_frame(),
                      [&](std::span<const uint8_t> frame) { return merged->append(frame); });
  while (const auto record = TRY(merge->next())) {  // whose loads look for a stop
    TRY(writer.add(*record));
    ++merged->records;
  }
  TRY(writer.flush());
  spilled_bytes_ += merged->bytes;
  return merged;
}

// Leases memory for as many runs at once as there are, or as it gets, or as may be open; returns how
// many.
Result<size_t> ExternalSort::lease_merge() {
  size_t fan_in = runs_.size();
  if (!options_.folder.empty()) fan_in = std::min(fan_in, most_files());
  auto lease = account_.try_acquire(merge_bytes(options_, fan_in));
  while (!lease && fan_in > kLeastFanIn) {
    fan_in = std::max(kLeastFanIn, fan_in - std::max<size_t>(1, fan_in / 16));
    lease = account_.try_acquire(merge_bytes(options_, fan_in));
  }
  if (!lease) {
    return fail(Code::kMemoryLimit, fmt::format("merging needs {}; raise --memory",
                                                to_string(merge_bytes(options_, fan_in))));
  }
  merge_memory_ = TRY(Pages::map(std::move(*lease)));
  return fan_in;
}

Result<ExternalSort::Stream> ExternalSort::stream() {
  if (runs_.empty()) {
    auto merge = std::make_unique<Stream::Merge>(*this, std::span<uint8_t>(), 0);
    for (Input& input : inputs_) {
      TRY(input.sort());
      merge->add(input);
    }
    TRY(merge->begin());
    return Stream(std::move(merge));
  }
  for (Input& input : inputs_) {
    TRY(input.flush());
    input.bytes_.release();
    input.index_.release();
    input.file_.reset();  // its runs hold it
  }
  const size_t fan_in = TRY(lease_merge());
  while (runs_.size() > fan_in) {
    std::stable_sort(runs_.begin(), runs_.end(),
                     [](const auto& a, const auto& b) { return a->bytes > b->bytes; });
    const size_t count = std::min(fan_in, runs_.size() - fan_in + 1);
    std::vector<std::unique_ptr<Run>> smallest;
    for (size_t i = 0; i < count; ++i) {
      smallest.push_back(std::move(runs_.back()));
      runs_.pop_back();
    }
    runs_.push_back(TRY(merge_runs(std::move(smallest))));
  }
  merged_.reset();
  return Stream(TRY(open_merge(runs_)));
}

}  // namespace spillway

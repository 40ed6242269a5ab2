#include "export/mapping/mapping.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <charconv>
#include <cstring>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "core/file/folders.hpp"
#include "core/file/sha256.hpp"
#include "core/memory/pages.hpp"
#include "core/mutex.hpp"
#include "core/records/external_sort.hpp"
#include "export/mapping/parquet_pairs.hpp"
#include "format/known_format.hpp"

namespace spillway::exporter {
namespace {

constexpr size_t kPageBytes = 4096;
constexpr size_t kPagePairs = kPageBytes / 16;

uint64_t u64_at(const uint8_t* at) {
  uint64_t value;
  std::memcpy(&value, at, sizeof value);
  return value;
}
void put_u64(uint8_t* at, uint64_t value) { std::memcpy(at, &value, sizeof value); }

class Identity final : public Mapping {
 public:
  bool map(const uint8_t* ids, size_t count, uint8_t* out) const override {
    uint64_t any = 0;
    for (size_t i = 0; i < count; ++i) any |= u64_at(ids + 8 * i);
    if (out != ids) std::memmove(out, ids, 8 * count);
    return any != 0;
  }
  uint64_t pairs() const override { return 0; }
  bool is_in_memory() const override { return true; }
  const std::string& sha256() const override { return none_; }

 private:
  std::string none_;
};

class Table final : public Mapping {
 public:
  Table(Pages pages, std::string sha)
      : pages_(std::move(pages)),
        sha_(std::move(sha)),
        slots_(pages_.as<Pair>().data()),
        mask_(std::bit_floor(pages_.size() / sizeof(Pair)) - 1),
        shift_(64 - static_cast<int>(std::bit_width(mask_))) {}

  // False: the id has another body already.
  bool insert(Pair pair) {
    size_t at = slot_of(pair.id);
    while (slots_[at].id != 0) {
      if (slots_[at].id == pair.id) return slots_[at].body == pair.body;
      at = (at + 1) & mask_;
    }
    slots_[at] = pair;
    ++pairs_;
    return true;
  }
  // Whether one more pair leaves a third of the slots free.
  bool has_room() const { return (pairs_ + 1) * 3 / 2 <= mask_ + 1; }
  size_t slots() const { return mask_ + 1; }
  void move_to(Table& other) const {
    for (size_t i = 0; i <= mask_; ++i) {
      if (slots_[i].id != 0) (void)other.insert(slots_[i]);
    }
  }
  bool map(const uint8_t* ids, size_t count, uint8_t* out) const override {
    constexpr size_t kAhead = 16;
    uint64_t any = 0;
    for (size_t i = 0; i < std::min(count, kAhead); ++i)
      __builtin_prefetch(slots_ + slot_of(u64_at(ids + 8 * i)));
    for (size_t i = 0; i < count; ++i) {
      if (i + kAhead < count) __builtin_prefetch(slots_ + slot_of(u64_at(ids + 8 * (i + kAhead))));
      const uint64_t id = u64_at(ids + 8 * i);
      uint64_t body = id;
      for (size_t at = slot_of(id); slots_[at].id != 0; at = (at + 1) & mask_) {
        if (slots_[at].id != id) continue;
        body = slots_[at].body;
        break;
      }
      any |= body;
      put_u64(out + 8 * i, body);
    }
    return any != 0;
  }
  uint64_t pairs() const override { return pairs_; }
  bool is_in_memory() const override { return true; }
  const std::string& sha256() const override { return sha_; }

 private:
  size_t slot_of(uint64_t id) const { return (id * 0x9E3779B97F4A7C15u) >> shift_ & mask_; }
  Pages pages_;
  uint64_t pairs_ = 0;
  std::string sha_;
  Pair* slots_;
  size_t mask_;
  int shift_;
};

class Search final : public Mapping {
 public:
  Search(ScratchFile file, Pages index, uint64_t pairs, std::string sha)
      : file_(std::move(file)), index_(std::move(index)), pairs_(pairs), sha_(std::move(sha)) {}

  bool map(const uint8_t* ids, size_t count, uint8_t* out) const override {
    alignas(16) uint8_t page[kPageBytes];
    size_t held = SIZE_MAX;
    uint64_t any = 0;
    for (size_t i = 0; i < count; ++i) {
      const uint64_t id = u64_at(ids + 8 * i);
      const uint64_t body = find(id, page, held);
      any |= body;
      put_u64(out + 8 * i, body);
    }
    return any != 0;
  }
  Result<void> status() const override {
    if (!has_failed_.load(std::memory_order_acquire)) return {};
    MutexLock lock(mutex_);
    return fail(first_error_->clone());
  }
  uint64_t pairs() const override { return pairs_; }
  bool is_in_memory() const override { return false; }
  const std::string& sha256() const override { return sha_; }

 private:
  uint64_t find(uint64_t id, uint8_t* page, size_t& held) const {
    const size_t pages = (pairs_ + kPagePairs - 1) / kPagePairs;
    const uint64_t* const firsts = index_.as<uint64_t>().data();
    const auto after = std::upper_bound(firsts, firsts + pages, id);
    if (after == firsts) return id;
    const size_t wanted = static_cast<size_t>(after - firsts) - 1;
    const size_t in_page = std::min<size_t>(kPagePairs, pairs_ - wanted * kPagePairs);
    if (wanted != held) {
      auto read = file_.read_at(wanted * kPageBytes, std::span(page, in_page * 16));
      if (!read) {
        held = SIZE_MAX;
        note(std::move(read).error());
        return id;
      }
      held = wanted;
    }
    size_t low = 0, high = in_page;
    while (low < high) {
      const size_t middle = (low + high) / 2;
      if (u64_at(page + 16 * middle) < id)
        low = middle + 1;
      else
        high = middle;
    }
    return low < in_page && u64_at(page + 16 * low) == id ? u64_at(page + 16 * low + 8) : id;
  }
  void note(Error error) const {
    MutexLock lock(mutex_);
    if (!first_error_) first_error_.emplace(std::move(error).with("looking ids up in the mapping"));
    has_failed_.store(true, std::memory_order_release);
  }
  ScratchFile file_;
  Pages index_;
  uint64_t pairs_;
  std::string sha_;
  mutable std::atomic<bool> has_failed_{false};
  mutable Mutex mutex_;
  mutable std::optional<Error> first_error_ GUARDED_BY(mutex_);
};

ExternalSortOptions sort_options() {
  ExternalSortOptions options;
  options.memory = Bytes(uint64_t{32} << 20);
  options.frame_bytes = size_t{64} << 10;
  options.fold = [](std::span<uint8_t> kept, Record next) {
    return std::memcmp(kept.data(), next.data(), 16) == 0;
  };
  return options;
}

// Whether the words of a text's first line name its columns.
bool is_header(std::string_view id, std::string_view body) {
  static constexpr std::string_view kIds[] = {
      "supervoxel", "supervoxel_id", "supervoxelid", "sv", "sv_id", "svid", "id"};
  static constexpr std::string_view kBodies[] = {"body", "body_id", "bodyid"};
  return std::find(std::begin(kIds), std::end(kIds), id) != std::end(kIds) &&
         std::find(std::begin(kBodies), std::end(kBodies), body) != std::end(kBodies);
}

class PairReader {
 public:
  using Take = std::function<Result<void>(Pair)>;
  PairReader(ByteStream& source, MappingFormat format, const Take& take,
             const std::stop_token& stop)
      : source_(source),
        width_(format == MappingFormat::kBinary     ? 8
               : format == MappingFormat::kBinary32 ? 4
                                                    : 0),
        take_(take),
        stop_(stop) {}

  Result<void> read() {
    std::vector<uint8_t> buffer(65536);
    size_t kept = 0, held = TRY(source_.read(buffer));
    if (width_ == 0) {
      const auto first =
          std::span<const uint8_t>(buffer).first(std::min(held, format::kFormatBytes));
      if (const auto is = format::known_format_not(first, "a mapping"); !is.empty())
        return fail(Code::kInvalid, fmt::format("{}: {}", source_.name(), is));
      if (held >= 3 && std::memcmp(buffer.data(), "\xEF\xBB\xBF", 3) == 0) {  // a byte order mark
        held -= 3;
        std::memmove(buffer.data(), buffer.data() + 3, held);
      }
    }
    while (held > kept) {
      const auto bytes = std::span<const uint8_t>(buffer).first(held);
      const size_t used = TRY(width_ > 0 ? take_binary(bytes) : take_text(bytes));
      kept = held - used;
      if (kept == buffer.size())
        return fail(Code::kInvalid,
                    fmt::format("{}: line {} is longer than 64 KiB", source_.name(), line_ + 1));
      std::memmove(buffer.data(), buffer.data() + used, kept);
      held = kept + TRY(source_.read(std::span(buffer).subspan(kept)));
    }
    if (kept == 0) return {};
    if (width_ > 0)
      return fail(Code::kInvalid, fmt::format("{}: ends within pair {} (byte {})", source_.name(),
                                              pairs_, pairs_ * 2 * width_));
    return take_line({reinterpret_cast<const char*>(buffer.data()), kept});
  }

 private:
  Result<void> add(uint64_t id, uint64_t body) {
    if (pairs_++ % 65536 == 0 && stop_.stop_requested()) return fail(Code::kCancelled, "stopped");
    if (id == 0) return {};  // 0 stays 0
    return take_({id, body});
  }
  Result<size_t> take_binary(std::span<const uint8_t> bytes) {
    const size_t whole = bytes.size() / (2 * width_) * 2 * width_;
    for (size_t at = 0; at < whole; at += 2 * width_)
      TRY(add(number(bytes.data() + at), number(bytes.data() + at + width_)));
    return whole;
  }
  uint64_t number(const uint8_t* at) const {
    uint64_t value = 0;
    std::memcpy(&value, at, width_);
    return value;
  }
  Result<size_t> take_text(std::span<const uint8_t> bytes) {
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    size_t at = 0;
    for (size_t end; (end = text.find('\n', at)) != std::string_view::npos; at = end + 1)
      TRY(take_line(text.substr(at, end - at)));
    return at;
  }
  Result<void> take_line(std::string_view line) {
    ++line_;
    line = line.substr(0, line.find('#'));
    const auto is_gap = [](char c) { return c == ' ' || c == '\t' || c == ',' || c == '\r'; };
    std::string_view words[3];
    size_t count = 0;
    for (size_t at = 0; at < line.size() && count < 3;) {
      if (is_gap(line[at])) {
        ++at;
        continue;
      }
      const size_t begin = at;
      while (at < line.size() && !is_gap(line[at])) ++at;
      words[count++] = line.substr(begin, at - begin);
    }
    if (count == 0) return {};
    const bool is_first = !std::exchange(has_begun_, true);
    if (count != 2) return bad_line("must be two numbers, supervoxel and body");
    uint64_t numbers[2];
    for (size_t i = 0; i < 2; ++i) {
      const char *const begin = words[i].data(), *const end = begin + words[i].size();
      const auto [next, error] = std::from_chars(begin, end, numbers[i]);
      if (error == std::errc() && next == end) continue;
      if (is_first && is_header(words[0], words[1])) return {};
      if (is_first && is_header(words[1], words[0]))
        return bad_line("says body before supervoxel; the first column must be the supervoxel");
      return bad_line("must be two numbers, supervoxel and body");
    }
    return add(numbers[0], numbers[1]);
  }
  tl::unexpected<Error> bad_line(const char* what) const {
    return fail(
        Code::kInvalid,
        fmt::format("{}: line {}: {} (binary pairs need --mapping-format binary or binary32)",
                    source_.name(), line_, what));
  }

  ByteStream& source_;
  const size_t width_;  // of a binary number; 0: text
  const Take& take_;
  const std::stop_token& stop_;
  uint64_t line_ = 0, pairs_ = 0;
  bool has_begun_ = false;  // a line that is not empty
};

// The mapping's bytes, which are read more than once, and what they are.
class Input {
 public:
  static Result<Input> look(const Mapping::Options& options, const std::stop_token& stop) {
    Input input(options);
    auto source = TRY(open_input(options.path, ByteStream::Gzip::kNever));
    source->end_on(stop);
    input.name_ = source->name();
    if (source->is_plain_file()) {
      input.before_ = TRY(look_at(options.path)).value_or(FileInfo());
    } else {
      input.copy_ = std::make_shared<ScratchFile>(TRY(options.space->open()));
    }
    Sha256 hash;
    std::vector<uint8_t> buffer(65536);
    uint8_t magic[4] = {};
    for (bool is_first = true;; is_first = false) {
      const size_t got = TRY(source->read(buffer));
      if (is_first) std::copy_n(buffer.begin(), std::min<size_t>(got, 4), magic);
      hash.add(std::span<const uint8_t>(buffer).first(got));
      if (input.copy_) TRY(input.copy_->append(std::span<const uint8_t>(buffer).first(got)));
      if (stop.stop_requested()) return fail(Code::kCancelled, "stopped");
      if (got < buffer.size()) break;
    }
    input.sha_ = hash.hex();
    input.is_parquet_ =
        options.format == MappingFormat::kAuto && std::memcmp(magic, "PAR1", 4) == 0;
    return input;
  }
  const std::string& sha() const { return sha_; }
  // Of a plain file; 0 when not known.
  uint64_t size() const { return copy_ ? copy_->size() : before_.size; }

  Result<void> read(const PairReader::Take& take, const std::stop_token& stop) const {
    if (is_parquet_) {
      const auto add = [&](uint64_t id, uint64_t body) -> Result<void> {
        if (id == 0) return {};
        return take({id, body});
      };
      TRY(read_parquet_pairs(copy_ ? source_of(copy_, name_) : TRY(open_source(options_->path)),
                             options_->sort, add, stop));
    } else {
      const auto gzip = ByteStream::Gzip::kByContent;
      auto source = copy_ ? ByteStream::of(source_of(copy_, name_), gzip)
                          : TRY(open_input(options_->path, gzip));
      source->end_on(stop);
      TRY(read_pairs(*source, options_->format, take, stop));
    }
    // Since its hash was made.
    return copy_ ? Result<void>() : must_be_unchanged(options_->path, before_);
  }

 private:
  explicit Input(const Mapping::Options& options) : options_(&options) {}
  const Mapping::Options* options_;
  std::string name_, sha_;
  FileInfo before_;
  std::shared_ptr<ScratchFile> copy_;  // of what can be read once
  bool is_parquet_ = false;
};

// The sorted pairs on scratch.
struct Sorted {
  ScratchFile file;
  uint64_t pairs = 0;
};

Result<Sorted> write_sorted(ExternalSort& sort, ScratchSpace& space, const std::string& path) {
  Sorted sorted{TRY(space.open())};
  auto stream = TRY(sort.stream());
  std::vector<uint8_t> buffer;
  buffer.reserve(65536);
  uint64_t last_id = 0, last_body = 0;
  while (auto record = TRY(stream.next())) {
    const uint64_t id = __builtin_bswap64(u64_at(record->data())),
                   body = __builtin_bswap64(u64_at(record->data() + 8));
    if (sorted.pairs > 0 && id == last_id)
      return fail(Code::kInvalid, fmt::format("{}: supervoxel {} has two bodies, {} and {}", path,
                                              id, last_body, body));
    last_id = id;
    last_body = body;
    uint8_t pair[16];
    put_u64(pair, id);
    put_u64(pair + 8, body);
    buffer.insert(buffer.end(), pair, pair + 16);
    ++sorted.pairs;
    if (buffer.size() == 65536) {
      TRY(sorted.file.append(buffer));
      buffer.clear();
    }
  }
  if (!buffer.empty()) TRY(sorted.file.append(buffer));
  return sorted;
}

template <class Take>
Result<void> for_each_pair(const Sorted& sorted, const std::stop_token& stop, Take&& take) {
  std::vector<uint8_t> buffer(65536);
  for (uint64_t at = 0; at < sorted.pairs * 16; at += buffer.size()) {
    if (stop.stop_requested()) return fail(Code::kCancelled, "stopped");
    const size_t size = std::min<uint64_t>(buffer.size(), sorted.pairs * 16 - at);
    TRY(sorted.file.read_at(at, std::span(buffer).first(size)));
    for (size_t i = 0; i < size; i += 16) {
      take(at / 16 + i / 16, Pair{u64_at(buffer.data() + i), u64_at(buffer.data() + i + 8)});
    }
  }
  return {};
}

// Straight into a table that grows while memory is lent. None when it is not, and when the pairs
// contradict each other: sorting says where.
Result<std::unique_ptr<Table>> load_table(const Mapping::Options& options, const Input& input,
                                          const std::stop_token& stop) {
  Account account = options.table;
  const auto make = [&](uint64_t slots) -> Result<std::unique_ptr<Table>> {
    if (slots * sizeof(Pair) > options.most_table_bytes) return std::unique_ptr<Table>();
    auto lease = account.try_acquire(Bytes(slots * sizeof(Pair)));
    if (!lease) return std::unique_ptr<Table>();
    return std::make_unique<Table>(TRY(Pages::map(std::move(*lease))), input.sha());
  };
  const uint64_t guess = options.format == MappingFormat::kBinary ? input.size() / sizeof(Pair) : 0;
  auto table = TRY(make(std::bit_ceil(std::max<uint64_t>((guess + 1) * 3 / 2, 4096))));
  if (!table) return table;
  bool gave_up = false, any = false;
  const auto take = [&](Pair pair) -> Result<void> {
    any = true;
    if (!table->has_room()) {
      auto larger = TRY(make(2 * table->slots()));
      gave_up = !larger;
      if (larger) table->move_to(*larger);
      if (larger) table = std::move(larger);
    }
    gave_up = gave_up || !table->insert(pair);
    if (gave_up) return fail(Code::kMemoryLimit, "sort them");
    return {};
  };
  auto read = input.read(take, stop);
  if (gave_up) return std::unique_ptr<Table>();
  if (!read) return fail(std::move(read).error());
  if (!any)
    return fail(Code::kInvalid,
                options.path +
                    ": is a mapping without a pair: it may be cut, or the program that "
                    "writes it failed; without --mapping no label is changed");
  return table;
}

}  // namespace

Result<void> read_pairs(ByteStream& source, MappingFormat format,
                        const std::function<Result<void>(Pair)>& take,
                        const std::stop_token& stop) {
  return PairReader(source, format, take, stop).read();
}

Result<std::string> sha256_of_input(const std::string& path, const std::stop_token& stop) {
  auto source = TRY(open_input(path, ByteStream::Gzip::kNever));
  source->end_on(stop);
  if (!source->is_plain_file() && path.find("://") == std::string::npos)
    return fail(Code::kUsage, path +
                                  ": is a pipe and can be read once only: whether it is the "
                                  "mapping of the finished run cannot be told; give a file, "
                                  "another --out, or --resume never");
  Sha256 hash;
  std::vector<uint8_t> buffer(65536);
  while (const size_t got = TRY(source->read(buffer)))
    hash.add(std::span<const uint8_t>(buffer).first(got));
  return hash.hex();
}

Bytes Mapping::sort_floor() { return ExternalSort::floor(sort_options()) + 256_KiB; }

Result<std::unique_ptr<Mapping>> Mapping::load(const Options& options, std::stop_token stop) {
  if (options.path.empty()) return std::unique_ptr<Mapping>(std::make_unique<Identity>());
  const Input in = TRY(Input::look(options, stop));
  const std::string& sha = in.sha();
  if (auto table = TRY(load_table(options, in, stop)))
    return std::unique_ptr<Mapping>(std::move(table));
  Sorted sorted;
  {
    ExternalSortOptions sorting = sort_options();
    sorting.stop = stop;
    auto sort = TRY(ExternalSort::create(std::move(sorting), options.sort, options.space));
    ExternalSort::Input& input = sort->input(0);
    const auto add = [&](Pair pair) {
      uint8_t record[16];
      put_u64(record, __builtin_bswap64(pair.id));
      put_u64(record + 8, __builtin_bswap64(pair.body));
      return input.add(record);
    };
    TRY(in.read(add, stop));
    sorted = TRY(write_sorted(*sort, *options.space, options.path));
  }
  Account table_account = options.table;
  const uint64_t slots = std::bit_ceil(std::max<uint64_t>(sorted.pairs * 3 / 2, 1024));
  if (slots * sizeof(Pair) <= options.most_table_bytes) {
    if (auto lease = table_account.try_acquire(Bytes(slots * sizeof(Pair)))) {
      auto table = std::make_unique<Table>(TRY(Pages::map(std::move(*lease))), sha);
      TRY(for_each_pair(sorted, stop, [&](uint64_t, Pair pair) { (void)table->insert(pair); }));
      return std::unique_ptr<Mapping>(std::move(table));
    }
  }
  const uint64_t pages = (sorted.pairs + kPagePairs - 1) / kPagePairs;
  auto lease = table_account.try_acquire(Bytes(std::max<uint64_t>(pages * 8, kPageBytes)));
  if (!lease)
    return fail(Code::kMemoryLimit,
                fmt::format("{}: the index of {} pairs needs {}; raise --memory", options.path,
                            grouped(sorted.pairs), to_string(Bytes(pages * 8))));
  Pages index = TRY(Pages::map(std::move(*lease)));
  TRY(for_each_pair(sorted, stop, [&](uint64_t at, Pair pair) {
    if (at % kPagePairs == 0) index.as<uint64_t>()[at / kPagePairs] = pair.id;
  }));
  const uint64_t pairs = sorted.pairs;
  return std::unique_ptr<Mapping>(
      std::make_unique<Search>(std::move(sorted.file), std::move(index), pairs, sha));
}

}  // namespace spillway::exporter

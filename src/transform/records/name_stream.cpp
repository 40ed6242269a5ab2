#include "transform/records/name_stream.hpp"

#include <fmt/format.h>

#include <cstring>

#include "format/parquet/parquet_footer.hpp"

namespace spillway::transform {
namespace {

// Frames as those of the products' sort, so that whatever it can hold can be compared.
ExternalSortOptions sort_options() {
  ExternalSortOptions options;
  options.frame_bytes = size_t{256} << 10;
  options.memory = Bytes(size_t{8} << 20);
  options.fold = [](std::span<uint8_t> kept, Record next) { return compare(kept, next) == 0; };
  return options;
}

class FileNames final : public NameStream {
 public:
  explicit FileNames(std::unique_ptr<RecordFile::Reader> reader) : reader_(std::move(reader)) {}
  Result<std::optional<Record>> next() override {
    const auto record = TRY(reader_->next());
    if (!record) return std::optional<Record>();
    return std::optional<Record>(TRY(read_molecule(*record)).key_and_text);
  }

 private:
  std::unique_ptr<RecordFile::Reader> reader_;
};

Record name_of(Record input) { return input.first(input.size() - 1); }

// A Parquet file in key order, checked as it goes.
class OrderedNames final : public NameStream {
 public:
  OrderedNames(std::unique_ptr<format::RowReader> reader, std::string path)
      : reader_(std::move(reader)), path_(std::move(path)) {}
  Result<std::optional<Record>> next() override {
    format::InputRow row;
    if (!TRY(reader_->next(row))) return std::optional<Record>();
    ++row_;
    if (!row.problem.empty())
      return fail(Code::kTooLarge, fmt::format("{}: row {}: {}", path_, row_, row.problem));
    if (!row.text) return fail(Code::kCorrupt, fmt::format("{}: row {} is null", path_, row_));
    if (!order_.ascends(*row.text)) {
      return fail(
          Code::kCorrupt,
          fmt::format("{}: says that it is ordered by key, and row {} is not", path_, row_));
    }
    return std::optional<Record>(order_.name());
  }

 private:
  std::unique_ptr<format::RowReader> reader_;
  std::string path_;
  KeyOrder order_;
  uint64_t row_ = 0;
};

class SortedNames final : public NameStream {
 public:
  SortedNames(std::unique_ptr<ExternalSort> sort, ExternalSort::Stream stream)
      : sort_(std::move(sort)), stream_(std::move(stream)) {}
  Result<std::optional<Record>> next() override {
    const auto record = TRY(stream_.next());
    if (!record) return std::optional<Record>();
    return std::optional<Record>(name_of(*record));
  }

 private:
  std::unique_ptr<ExternalSort> sort_;
  ExternalSort::Stream stream_;
};

}  // namespace

int compare(Record a, Record b) {
  const size_t both = std::min(a.size(), b.size());
  const int order = both == 0 ? 0 : std::memcmp(a.data(), b.data(), both);
  if (order != 0) return order;
  return a.size() < b.size() ? -1 : a.size() > b.size();
}

bool KeyOrder::ascends(std::string_view text) {
  const Record name = name_of(maker_.input(text));
  const bool after = last_.empty() || compare({last_.data(), last_.size()}, name) < 0;
  last_.assign(name.begin(), name.end());
  return after;
}

std::unique_ptr<NameStream> names_of(std::unique_ptr<RecordFile::Reader> reader) {
  return std::make_unique<FileNames>(std::move(reader));
}

Bytes known_cost(std::string_view path) {
  return format::RowReader::cost(path) + ExternalSort::floor(sort_options());
}

Result<bool> is_key_ordered(const std::string& path, Account account) {
  const auto metadata = TRY(format::parquet_metadata(path, std::move(account)));
  const auto has = [&](const char* key, std::string_view value) {
    const auto at = metadata.find(key);
    return at != metadata.end() && at->second == value;
  };
  return has("spillway.order", "key") && has("spillway.key", "xxh3-128/1");
}

format::RowOptions known_rows(const format::RowOptions& inputs) {
  format::RowOptions rows;
  rows.header = inputs.header;
  rows.delimiter = inputs.delimiter;
  rows.encoding = inputs.encoding;
  return rows;
}

Result<void> check_known(const std::string& path, const format::RowOptions& rows, Account account) {
  TRY(format::RowReader::open(path, rows, std::move(account)));
  return {};
}

Result<KnownNames> open_known(KnownOptions options, Account account) {
  const bool is_parquet = format::RowReader::is_parquet(options.path);
  const bool ours =
      is_parquet &&
      TRY(format::parquet_metadata(options.path, account)).count("spillway.version") > 0;
  options.rows.first_token = !ours;
  options.rows.most_text = format::RowReader::kMaxRecord;
  auto reader = TRY(format::RowReader::open(options.path, options.rows, account));
  KnownNames known;
  known.guessed = reader->guessed_column();
  if (ours && TRY(is_key_ordered(options.path, account))) {
    known.names = std::make_unique<OrderedNames>(std::move(reader), options.path);
    return known;
  }
  const format::RowKind kind = reader->kind();
  ExternalSortOptions sorting = sort_options();
  sorting.stop = options.stop;
  const size_t most_text = ExternalSort::max_record(sorting) - RecordMaker::kInputBytes;
  auto sort = TRY(ExternalSort::create(std::move(sorting), account, options.space));
  RecordMaker maker{RecordShape{}};
  format::InputRow row;
  uint64_t rows = 0;
  while (TRY(reader->next(row))) {
    if (++rows % 1024 == 0 && options.stop.stop_requested())
      return fail(Code::kCancelled, "stopped while reading " + options.path);
    if (!row.text || !row.problem.empty()) {
      ++known.unread;
      continue;
    }
    // Of a record only the canonical form is a name.
    if (kind == format::RowKind::kLine) {
      if (row.text->size() > most_text) {
        ++known.too_long;
        continue;
      }
      TRY(sort->input(0).add(maker.input(*row.text)));
    }
    if (ours) continue;
    const auto canonical = options.canonical(*row.text, kind);
    if (!canonical)
      ++known.unread;
    else if (canonical->size() > most_text)
      ++known.too_long;
    else if (*canonical != *row.text)
      TRY(sort->input(0).add(maker.input(*canonical)));
  }
  reader.reset();
  auto stream = TRY(sort->stream());
  known.names = std::make_unique<SortedNames>(std::move(sort), std::move(stream));
  return known;
}

Result<void> AntiJoin::add(std::unique_ptr<NameStream> stream) {
  Side side{std::move(stream), std::nullopt};
  side.name = TRY(side.stream->next());
  sides_.push_back(std::move(side));
  return {};
}

Result<bool> AntiJoin::contains(Record name) {
  for (Side& side : sides_) {
    int order = -1;
    while (side.name && (order = compare(*side.name, name)) < 0) {
      if (++walked_ % 4096 == 0 && stop_.stop_requested())
        return fail(Code::kCancelled, "stopped while looking for known molecules");
      side.name = TRY(side.stream->next());
    }
    if (side.name && order == 0) return true;
  }
  return false;
}

}  // namespace spillway::transform

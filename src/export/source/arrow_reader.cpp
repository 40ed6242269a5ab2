#include "export/source/arrow_reader.hpp"

#include <arrow/api.h>
#include <arrow/io/memory.h>
#include <arrow/ipc/api.h>
#include <arrow/ipc/message.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "core/file/file.hpp"
#include "core/file/folders.hpp"
#include "export/block/flat_table.hpp"
#include "export/block/label_block.hpp"
#include "format/known_format.hpp"

namespace spillway::exporter {
namespace {

constexpr size_t kMostMetadata = size_t{1} << 20;
constexpr size_t kMainWindow = size_t{512} << 10;  // whole batches
constexpr size_t kNumberWindow = size_t{16} << 10;
constexpr size_t kMostColumn = kMaxBlockBytes + (size_t{32} << 10);  // of one row: table or frame
constexpr size_t kLongWindow = kMostColumn;
constexpr size_t kLongRead = size_t{256}
                             << 10;  // of a long column at a time, unless a row is longer

enum ColumnName {
  kX,
  kY,
  kZ,
  kListOffsets,
  kSupervoxels,
  kFrameOffsets,
  kFrames,
  kSizes,
  kLabelOffsets,
  kLabels,
  kColumns
};
constexpr size_t columns_of(ArrowReader::Columns columns) {
  return columns == ArrowReader::Columns::kAll ? kColumns : kLabelOffsets;
}
constexpr size_t room_of(size_t column) {
  const bool is_long = column == kSupervoxels || column == kFrames || column == kLabels;
  return is_long ? kLongWindow : kNumberWindow;
}

// A column of the batch in hand, and what of it is in memory.
struct Column {
  uint64_t begin = 0, bytes = 0;  // in the file
  std::span<uint8_t> room;
  uint64_t at = 0;  // file offset of `held`
  std::span<const uint8_t> held;
};

class Reader final : public ArrowReader {
 public:
  Reader(Pages pages, Columns columns) : pages_(std::move(pages)), used_(columns_of(columns)) {
    uint8_t* at = pages_.data();
    main_.room = {at, kMainWindow};
    at += kMainWindow;
    for (size_t i = 0; i < used_; ++i) {
      columns_[i].room = {at, room_of(i)};
      at += room_of(i);
    }
  }

  Result<void> open(const std::string& path) override {
    path_ = path;
    file_ = File();  // before the next one: one is open at a time
    file_ = TRY(File::open(path));
    before_ = TRY(file_.info());
    size_ = before_.size;
    at_ = rows_ = row_ = 0;
    ahead_ = kMainWindow;
    main_.held = {};
    TRY(read_schema());
    schema_size_ = at_;
    return {};
  }

  Result<std::optional<ArrowRow>> next() override {
    while (row_ == rows_) {
      if (TRY(next_batch())) continue;
      TRY(must_be_unchanged(path_, before_));
      return std::optional<ArrowRow>();
    }
    ArrowRow row;
    for (size_t d = 0; d < 3; ++d) row.at[d] = TRY(number<int32_t>(kX + d, row_));
    row.block_size = TRY(number<uint32_t>(kSizes, row_));
    row.supervoxels = TRY(piece(kSupervoxels, kListOffsets, 8));
    row.frame = TRY(piece(kFrames, kFrameOffsets, 1));
    row.offset = columns_[kFrames].at +
                 static_cast<uint64_t>(row.frame.data() - columns_[kFrames].held.data());
    if (used_ == kColumns) {
      row.labels = TRY(piece(kLabels, kLabelOffsets, 8));
      if (row.labels.size() != row.supervoxels.size())
        return bad(fmt::format("row {}: {} labels for {} supervoxels", row_, row.labels.size() / 8,
                               row.supervoxels.size() / 8));
    }
    row.message = message_;
    row.number = row_++;
    row.is_last = row_ == rows_;
    row.is_lasting = is_held_;
    return std::optional<ArrowRow>(row);
  }
  uint64_t schema_size() const override { return schema_size_; }

 private:
  // [offset, offset + length) of the file in `window`, which is filled from there on, as far as
  // `end` but not more than `most`, when it does not hold that yet.
  Result<std::span<const uint8_t>> view(Column& window, uint64_t offset, size_t length,
                                        uint64_t end, size_t most) {
    const bool has = offset >= window.at && offset - window.at <= window.held.size() &&
                     length <= window.held.size() - (offset - window.at);
    if (!has) {
      if (length > window.room.size() || offset > end || length > end - offset)
        return bad("ends too early");
      const size_t wanted = std::min(window.room.size(), std::max(length, most));
      const auto part = window.room.first(std::min<uint64_t>(wanted, end - offset));
      window.held = {};
      TRY(file_.read_at(offset, part));
      window.at = offset;
      window.held = part;
    }
    return window.held.subspan(offset - window.at, length);
  }

  Result<std::span<const uint8_t>> of_column(size_t index, uint64_t begin, size_t length) {
    Column& column = columns_[index];
    return view(column, column.begin + begin, length, column.begin + column.bytes, kLongRead);
  }
  template <class T>
  Result<T> number(size_t column, uint64_t index) {
    const auto bytes = TRY(of_column(column, index * sizeof(T), sizeof(T)));
    T value;
    std::memcpy(&value, bytes.data(), sizeof value);
    return value;
  }
  // What the row has of a column with offsets, in items of `width` bytes.
  Result<std::span<const uint8_t>> piece(size_t column, size_t offsets, uint64_t width) {
    const auto bytes = TRY(of_column(offsets, 4 * row_, 8));
    int32_t ends[2];
    std::memcpy(ends, bytes.data(), sizeof ends);
    if (ends[0] < 0 || ends[1] < ends[0] ||
        width * static_cast<uint64_t>(ends[1]) > columns_[column].bytes)
      return bad(fmt::format("row {}: offsets {} to {}", row_, ends[0], ends[1]));
    const uint64_t length = width * static_cast<uint64_t>(ends[1] - ends[0]);
    if (length > kMostColumn) return bad(fmt::format("row {}: {} bytes", row_, length));
    return of_column(column, width * static_cast<uint64_t>(ends[0]), length);
  }

  // The metadata of the next message; empty at the end of the stream. at_ is then at its body.
  Result<std::span<const uint8_t>> next_message() {
    const auto head = TRY(view(main_, at_, 8, size_, ahead_));
    uint32_t prefix[2];
    std::memcpy(prefix, head.data(), sizeof prefix);
    if (prefix[0] != 0xFFFFFFFFu) return bad("no message begins here");
    if (prefix[1] == 0) return std::span<const uint8_t>();
    if (prefix[1] > std::min(kMostMetadata, kMainWindow - 8) || prefix[1] > size_ - at_ - 8)
      return bad(fmt::format("metadata of {} bytes", prefix[1]));
    const auto message = TRY(view(main_, at_, 8 + size_t{prefix[1]}, size_, ahead_)).subspan(8);
    at_ += 8 + prefix[1];
    return message;
  }

  Result<void> read_schema() {
    if (const auto head =
            TRY(view(main_, 0, std::min<uint64_t>(size_, format::kFormatBytes), size_, ahead_));
        head.size() >= 4 && format::known_format(head) != "an Arrow stream") {
      const auto is = format::known_format_not(head, "an Arrow stream");
      if (!is.empty()) return bad(is);
    }
    const auto bytes = TRY(next_message());
    if (bytes.empty()) return bad("does not begin with a schema");
    // The body is empty; Message wants one.
    auto message = arrow::ipc::Message::Open(
        std::make_shared<arrow::Buffer>(bytes.data(), static_cast<int64_t>(bytes.size())),
        std::make_shared<arrow::Buffer>(nullptr, 0));
    if (!message.ok()) return bad(message.status().ToString());
    if ((*message)->type() != arrow::ipc::MessageType::SCHEMA)
      return bad("does not begin with a schema");
    arrow::ipc::DictionaryMemo memo;
    const auto schema = arrow::ipc::ReadSchema(**message, &memo);
    if (!schema.ok()) return bad(schema.status().ToString());
    static constexpr const char* kNames[] = {
        "chunk_x",          "chunk_y", "chunk_z", "labels", "supervoxels", "dvid_compressed_block",
        "uncompressed_size"};
    static const std::shared_ptr<arrow::DataType> kTypes[] = {
        arrow::int32(), arrow::int32(),  arrow::int32(), arrow::list(arrow::uint64()),
        nullptr,        arrow::binary(), arrow::uint32()};
    if ((*schema)->num_fields() != 7) return bad("does not have the seven fields of a shard");
    for (int i = 0; i < 7; ++i) {
      const auto& field = (*schema)->field(i);
      const auto& type = kTypes[i == 4 ? 3 : i];
      const bool same = type->id() == arrow::Type::LIST
                            ? field->type()->id() == arrow::Type::LIST &&
                                  field->type()->field(0)->type()->Equals(arrow::uint64())
                            : field->type()->Equals(type);
      if (field->name() != kNames[i] || !same)
        return bad(fmt::format("field {} is {} {}", i, field->name(), field->type()->ToString()));
    }
    return {};
  }

  // Places the columns of the next record batch; false at the end.
  Result<bool> next_batch() {
    const uint64_t begin = at_;
    auto bytes = TRY(next_message());
    if (bytes.empty()) return false;
    const FlatTable table = TRY(FlatTable::root(bytes));
    const BatchFields fields = TRY(BatchFields::of(bytes));
    if (fields.type != BatchFields::kRecordBatch) return bad("no record batch");
    const auto value = [&](uint64_t at) {
      return at == 0 ? Result<uint64_t>(uint64_t{0}) : table.number<uint64_t>(at);
    };
    const uint64_t body = TRY(value(fields.body_length));
    if (body > size_ - at_) return bad("a batch longer than the file");
    if (fields.is_compressed) return bad("compressed bodies are not of this format");
    const uint64_t rows = TRY(value(fields.rows));
    if (fields.buffers == 0) return bad("a batch without buffers");
    if (TRY(table.number<uint32_t>(fields.buffers)) != 19) return bad("a batch of another shape");
    uint64_t offsets[19], lengths[19];
    for (size_t i = 0; i < 19; ++i) {
      offsets[i] = TRY(table.number<uint64_t>(fields.buffers + 4 + 16 * i));
      lengths[i] = TRY(table.number<uint64_t>(fields.buffers + 4 + 16 * i + 8));
      if (offsets[i] > body || lengths[i] > body - offsets[i])
        return bad("a buffer beyond its batch");
    }
    if (rows > (uint64_t{1} << 31)) return bad("too many rows");
    for (const unsigned i : {1u, 3u, 5u, 18u}) {
      if (lengths[i] < 4 * rows) return bad("a column shorter than its batch");
    }
    for (const unsigned i : {7u, 11u, 15u}) {
      if (rows > 0 && lengths[i] < 4 * (rows + 1)) return bad("offsets shorter than their batch");
    }
    // A batch that the window can hold is read whole, and its columns are looked at there.
    const uint64_t whole = at_ - begin + body;
    std::span<const uint8_t> held;
    is_held_ = whole <= main_.room.size();
    ahead_ = is_held_ ? kMainWindow : 4096;  // behind a large batch there is mostly another
    if (is_held_) held = TRY(view(main_, begin, whole, size_, ahead_)).subspan(at_ - begin);
    static constexpr size_t kBuffers[kColumns] = {1, 3, 5, 11, 13, 15, 16, 18, 7, 9};
    for (size_t i = 0; i < used_; ++i) {
      Column& column = columns_[i];
      column.begin = at_ + offsets[kBuffers[i]];
      column.bytes = lengths[kBuffers[i]];
      column.at = column.begin;
      column.held = is_held_ ? held.subspan(offsets[kBuffers[i]], lengths[kBuffers[i]])
                             : std::span<const uint8_t>();
    }
    rows_ = rows;
    row_ = 0;
    message_ = {begin, whole};
    at_ += body;
    return true;
  }

  tl::unexpected<Error> bad(const std::string& what) const {
    return fail(Code::kInvalid, fmt::format("{}: at byte {}: {}", path_, at_, what));
  }

  Pages pages_;
  const size_t used_;  // columns, the first ones
  std::string path_;
  File file_;
  FileInfo before_;
  uint64_t size_ = 0, at_ = 0;
  Column main_;
  size_t ahead_ = kMainWindow;
  std::array<Column, kColumns> columns_;
  uint64_t rows_ = 0, row_ = 0, schema_size_ = 0;
  ArrowMessage message_;
  bool is_held_ = false;  // the batch, whole
};

}  // namespace

Bytes ArrowReader::room(Columns columns) {
  size_t bytes = kMainWindow;
  for (size_t i = 0; i < columns_of(columns); ++i) bytes += room_of(i);
  return Bytes(bytes);
}

Result<std::unique_ptr<ArrowReader>> ArrowReader::create(Lease lease, Columns columns) {
  CHECK(lease.bytes() >= room(columns));
  return std::unique_ptr<ArrowReader>(
      std::make_unique<Reader>(TRY(Pages::map(std::move(lease))), columns));
}

}  // namespace spillway::exporter

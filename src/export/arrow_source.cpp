#include "export/arrow_source.hpp"

#include <arrow/api.h>
#include <arrow/io/memory.h>
#include <arrow/ipc/api.h>
#include <arrow/ipc/message.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "core/file_io.hpp"
#include "export/arrow_shard.hpp"

namespace spillway::exporter {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMostMetadata = size_t{1} << 20;
constexpr size_t kMostRow = 2 * kMaxBlockBytes + (size_t{64} << 10);  // a table and a frame
constexpr size_t kMostCheckedRow = kMostRow + kMaxBlockBytes;         // and labels

// Where the columns of one record batch are in the file.
struct BatchPlace {
  uint64_t rows = 0;
  uint64_t x = 0, y = 0, z = 0, label_offsets = 0, labels = 0, supervoxel_offsets = 0,
           supervoxels = 0, frame_offsets = 0, frames = 0, sizes = 0;
  uint64_t label_bytes = 0, supervoxel_bytes = 0, frame_bytes = 0;
  uint64_t begin = 0, end = 0;  // of the message
};

class ArrowSource final : public ArrowFile {
 public:
  ArrowSource(std::string folder, Account account)
      : folder_(std::move(folder)), account_(std::move(account)) {}
  ~ArrowSource() override { close(); }

  Result<void> list() {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(folder_, error)) {
      if (entry.path().extension() == ".arrow") {
        files_.push_back(entry.path().filename().string());
        bytes_total_ += entry.file_size(error);
      }
    }
    if (error) return fail(Code::kIo, fmt::format("listing {}: {}", folder_, error.message()));
    if (files_.empty()) return fail(Code::kInvalid, folder_ + ": has no .arrow files");
    std::sort(files_.begin(), files_.end());
    return {};
  }

  // Nothing but this file, with its labels.
  void only(std::string file) {
    files_.push_back(std::move(file));
    with_labels_ = true;
  }

  Result<std::optional<BlockUnit>> next(std::stop_token stop) override {
    if (!TRY(has_row())) return std::nullopt;
    const size_t room = std::max(kChunkBytes, size_t{row_bytes()});
    BlockUnit unit;
    unit.kind = BlockUnit::Kind::kRow;
    unit.bytes = TRY(Pages::map(TRY(account_.acquire(Bytes(room), stop))));
    size_t used = 0;
    messages_.clear();
    do {
      TRY(read_row(unit, used));
    } while (TRY(has_row()) && used + row_bytes() <= room && unit.items.size() < 4096);
    unit.bytes.shrink_to(std::max<size_t>(used, 1));
    return std::optional(std::move(unit));
  }
  const std::string& name() const override { return folder_; }
  const std::vector<Message>& messages() const override { return messages_; }
  uint64_t schema_size() const override { return schema_size_; }

 private:
  // Positions on the next row; false at the end of all files.
  Result<bool> has_row() {
    while (row_ == batch_.rows) {
      if (fd_ >= 0 && TRY(next_batch())) {
        row_ = 0;
      } else if (file_ == files_.size()) {
        return false;
      } else {
        TRY(open(folder_ + "/" + files_[file_++]));
        continue;
      }
      if (batch_.rows == 0) continue;
      has_shape_ = false;
    }
    if (!has_shape_) TRY(read_shape());
    return true;
  }
  size_t row_bytes() const {
    return (with_labels_ ? 16 : 8) * (label_end_ - label_begin_) + (frame_end_ - frame_begin_);
  }

  Result<void> open(const std::string& path) {
    close();
    path_ = path;
    fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd_ < 0) return fail_errno("opening " + path);
    struct stat info {};
    if (::fstat(fd_, &info) != 0) return fail_errno("reading " + path);
    size_ = static_cast<uint64_t>(info.st_size);
    at_ = 0;
    batch_ = {};
    row_ = 0;
    const auto message = TRY(next_message());
    if (!message || message->type() != arrow::ipc::MessageType::SCHEMA)
      return bad("does not begin with a schema");
    schema_size_ = at_;
    arrow::ipc::DictionaryMemo memo;
    const auto schema = arrow::ipc::ReadSchema(*message, &memo);
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
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }

  // The metadata of the next message; none at the end of the stream. at_ is then at its body.
  Result<std::unique_ptr<arrow::ipc::Message>> next_message() {
    uint32_t prefix[2];
    if (at_ + 8 > size_) return bad("ends without an end mark");
    TRY(read(at_, {reinterpret_cast<uint8_t*>(prefix), 8}));
    if (prefix[0] != 0xFFFFFFFFu) return bad("no message begins here");
    if (prefix[1] == 0) return std::unique_ptr<arrow::ipc::Message>();
    if (prefix[1] > kMostMetadata || at_ + 8 + prefix[1] > size_)
      return bad(fmt::format("metadata of {} bytes", prefix[1]));
    auto buffer = arrow::AllocateBuffer(prefix[1]);
    if (!buffer.ok()) return fail(Code::kMemoryLimit, buffer.status().ToString());
    TRY(read(at_ + 8, {(*buffer)->mutable_data(), prefix[1]}));
    at_ += 8 + prefix[1];
    // The body is looked at by range; Message wants one, and does not open it.
    auto message = arrow::ipc::Message::Open(std::shared_ptr<arrow::Buffer>(std::move(*buffer)),
                                             std::make_shared<arrow::Buffer>(nullptr, 0));
    if (!message.ok()) return bad(message.status().ToString());
    return std::move(*message);
  }

  // Leaves the place of the next record batch in batch_; false at the end.
  Result<bool> next_batch();

  Result<void> read_shape() {
    uint8_t pair[8];
    TRY(read(batch_.supervoxel_offsets + 4 * row_, pair));
    int32_t ends[2];
    std::memcpy(ends, pair, 8);
    if (ends[0] < 0 || ends[1] < ends[0] ||
        8 * static_cast<uint64_t>(ends[1]) > batch_.supervoxel_bytes)
      return bad(fmt::format("row {}: list offsets {} to {}", row_, ends[0], ends[1]));
    label_begin_ = static_cast<uint64_t>(ends[0]);
    label_end_ = static_cast<uint64_t>(ends[1]);
    if (with_labels_) TRY(read_mapped_shape());
    TRY(read(batch_.frame_offsets + 4 * row_, pair));
    std::memcpy(ends, pair, 8);
    if (ends[0] < 0 || ends[1] < ends[0] || static_cast<uint64_t>(ends[1]) > batch_.frame_bytes)
      return bad(fmt::format("row {}: block offsets {} to {}", row_, ends[0], ends[1]));
    frame_begin_ = static_cast<uint64_t>(ends[0]);
    frame_end_ = static_cast<uint64_t>(ends[1]);
    if (row_bytes() > (with_labels_ ? kMostCheckedRow : kMostRow))
      return bad(fmt::format("row {}: {} bytes", row_, row_bytes()));
    has_shape_ = true;
    return {};
  }
  Result<void> read_mapped_shape() {
    uint8_t pair[8];
    TRY(read(batch_.label_offsets + 4 * row_, pair));
    int32_t ends[2];
    std::memcpy(ends, pair, 8);
    if (ends[0] < 0 || ends[1] < ends[0] || 8 * static_cast<uint64_t>(ends[1]) > batch_.label_bytes)
      return bad(fmt::format("row {}: label offsets {} to {}", row_, ends[0], ends[1]));
    mapped_begin_ = static_cast<uint64_t>(ends[0]);
    const uint64_t count = static_cast<uint64_t>(ends[1]) - mapped_begin_;
    if (count != label_end_ - label_begin_)
      return bad(fmt::format("row {}: {} labels for {} supervoxels", row_, count,
                             label_end_ - label_begin_));
    return {};
  }

  Result<void> read_row(BlockUnit& unit, size_t& used) {
    BlockUnit::Item item;
    const uint64_t columns[3] = {batch_.x, batch_.y, batch_.z};
    for (size_t d = 0; d < 3; ++d)
      TRY(read(columns[d] + 4 * row_, {reinterpret_cast<uint8_t*>(&item.at[d]), 4}));
    TRY(read(batch_.sizes + 4 * row_, {reinterpret_cast<uint8_t*>(&item.block_size), 4}));
    item.ordinal = blocks_.fetch_add(1, std::memory_order_relaxed);
    item.offset = batch_.frames + frame_begin_;
    item.begin = used;
    item.length = row_bytes();
    item.labels = static_cast<uint32_t>(label_end_ - label_begin_);
    const size_t table = 8 * size_t{item.labels}, frame = frame_end_ - frame_begin_;
    TRY(read(batch_.supervoxels + 8 * label_begin_, {unit.bytes.data() + used, table}));
    TRY(read(batch_.frames + frame_begin_, {unit.bytes.data() + used + table, frame}));
    if (with_labels_) {
      TRY(read(batch_.labels + 8 * mapped_begin_,
               {unit.bytes.data() + used + table + frame, table}));
      messages_.push_back({batch_.begin, batch_.end - batch_.begin, row_});
    }
    used += item.length;
    unit.items.push_back(item);
    bytes_read_.fetch_add(item.length, std::memory_order_relaxed);
    ++row_;
    has_shape_ = false;
    return {};
  }

  // Through one window, since a shard is mostly read from begin to end.
  Result<void> read(uint64_t offset, std::span<uint8_t> out) {
    if (offset + out.size() > size_) return bad("ends too early");
    if (out.size() > window_.size() / 2) return read_fully_at(fd_, offset, out, path_);
    if (fd_ != window_fd_ || offset < window_at_ ||
        offset + out.size() > window_at_ + window_used_ || window_file_ != file_) {
      window_used_ = std::min<uint64_t>(window_.size(), size_ - offset);
      TRY(read_fully_at(fd_, offset, std::span(window_).first(window_used_), path_));
      window_at_ = offset;
      window_fd_ = fd_;
      window_file_ = file_;
    }
    std::memcpy(out.data(), window_.data() + (offset - window_at_), out.size());
    return {};
  }
  tl::unexpected<Error> bad(const std::string& what) const {
    return fail(Code::kInvalid, fmt::format("{}: at byte {}: {}", path_, at_, what));
  }

  std::string folder_, path_;
  Account account_;
  std::vector<std::string> files_;  // names: about 60 bytes a shard
  size_t file_ = 0;
  int fd_ = -1, window_fd_ = -1;
  size_t window_file_ = 0;
  uint64_t size_ = 0, at_ = 0;
  BatchPlace batch_;
  uint64_t row_ = 0;
  bool has_shape_ = false;
  uint64_t label_begin_ = 0, label_end_ = 0, frame_begin_ = 0, frame_end_ = 0;
  bool with_labels_ = false;
  uint64_t mapped_begin_ = 0, schema_size_ = 0;
  std::vector<Message> messages_;  // of at most 4096 items
  std::vector<uint8_t> window_ = std::vector<uint8_t>(131072);
  uint64_t window_at_ = 0, window_used_ = 0;
};

// The few fields of Message.fbs and its RecordBatch that say where the buffers are, by hand: Arrow
// C++ reads a batch only with its whole body, which may be gigabytes.
class Table {
 public:
  static Result<Table> root(std::span<const uint8_t> bytes) {
    Table table(bytes, 0);
    table.at_ = TRY(table.number<uint32_t>(0));
    return table;
  }
  // 0 when the field is not there.
  Result<uint64_t> field(uint32_t index) const {
    const auto back = TRY(number<int32_t>(at_));
    const int64_t vtable = int64_t(at_) - back;
    if (vtable < 0) return fail(Code::kInvalid, "damaged metadata");
    const auto size = TRY(number<uint16_t>(static_cast<uint64_t>(vtable)));
    const uint64_t slot = 4 + 2 * uint64_t{index};
    if (slot + 2 > size) return uint64_t{0};
    const auto offset = TRY(number<uint16_t>(static_cast<uint64_t>(vtable) + slot));
    return offset == 0 ? uint64_t{0} : at_ + offset;
  }
  Result<uint64_t> reference(uint64_t at) const { return at + TRY(number<uint32_t>(at)); }
  Table table_at(uint64_t at) const { return Table(bytes_, at); }
  template <class T>
  Result<T> number(uint64_t at) const {
    if (at + sizeof(T) > bytes_.size()) return fail(Code::kInvalid, "damaged metadata");
    T value;
    std::memcpy(&value, bytes_.data() + at, sizeof value);
    return value;
  }

 private:
  Table(std::span<const uint8_t> bytes, uint64_t at) : bytes_(bytes), at_(at) {}
  std::span<const uint8_t> bytes_;
  uint64_t at_;
};

Result<bool> ArrowSource::next_batch() {
  const uint64_t begin = at_;
  const auto message = TRY(next_message());
  if (!message) return false;
  if (message->type() != arrow::ipc::MessageType::RECORD_BATCH) return bad("no record batch");
  const std::span<const uint8_t> bytes(message->metadata()->data(),
                                       static_cast<size_t>(message->metadata()->size()));
  // Message: version, header_type, header, bodyLength. RecordBatch: length, nodes, buffers,
  // compression.
  const Table root = TRY(Table::root(bytes));
  const uint64_t body_field = TRY(root.field(3));
  const uint64_t body = body_field == 0 ? 0 : TRY(root.number<uint64_t>(body_field));
  const uint64_t header = TRY(root.field(2));
  if (header == 0 || body > size_ - at_) return bad("a batch longer than the file");
  const Table batch = root.table_at(TRY(root.reference(header)));
  if (TRY(batch.field(3)) != 0) return bad("compressed bodies are not of this format");
  const uint64_t length_field = TRY(batch.field(0));
  BatchPlace place;
  place.rows = length_field == 0 ? 0 : TRY(batch.number<uint64_t>(length_field));
  const uint64_t buffers_field = TRY(batch.field(2));
  if (buffers_field == 0) return bad("a batch without buffers");
  const uint64_t buffers = TRY(batch.reference(buffers_field));
  if (TRY(batch.number<uint32_t>(buffers)) != 19) return bad("a batch of another shape");
  uint64_t offsets[19], lengths[19];
  for (size_t i = 0; i < 19; ++i) {
    offsets[i] = TRY(batch.number<uint64_t>(buffers + 4 + 16 * i));
    lengths[i] = TRY(batch.number<uint64_t>(buffers + 4 + 16 * i + 8));
    if (offsets[i] > body || lengths[i] > body - offsets[i])
      return bad("a buffer beyond its batch");
  }
  if (place.rows > (uint64_t{1} << 31)) return bad("too many rows");
  for (const size_t i : {1, 3, 5, 18}) {
    if (lengths[i] < 4 * place.rows) return bad("a column shorter than its batch");
  }
  for (const size_t i : {7, 11, 15}) {
    if (place.rows > 0 && lengths[i] < 4 * (place.rows + 1))
      return bad("offsets shorter than their batch");
  }
  place.begin = begin;
  place.end = at_ + body;
  place.label_offsets = at_ + offsets[7];
  place.labels = at_ + offsets[9];
  place.label_bytes = lengths[9];
  place.x = at_ + offsets[1];
  place.y = at_ + offsets[3];
  place.z = at_ + offsets[5];
  place.supervoxel_offsets = at_ + offsets[11];
  place.supervoxels = at_ + offsets[13];
  place.supervoxel_bytes = lengths[13];
  place.frame_offsets = at_ + offsets[15];
  place.frames = at_ + offsets[16];
  place.frame_bytes = lengths[16];
  place.sizes = at_ + offsets[18];
  batch_ = place;
  at_ += body;
  return true;
}

}  // namespace

Result<std::unique_ptr<BlockSource>> open_arrow_source(const std::string& folder, Account account) {
  auto source = std::make_unique<ArrowSource>(folder, std::move(account));
  TRY(source->list());
  return std::unique_ptr<BlockSource>(std::move(source));
}

Result<std::unique_ptr<ArrowFile>> open_arrow_file(const std::string& path, Account account) {
  const fs::path name(path);
  auto source = std::make_unique<ArrowSource>(name.parent_path().string(), std::move(account));
  source->only(name.filename().string());
  return std::unique_ptr<ArrowFile>(std::move(source));
}

Bytes arrow_source_floor() { return Bytes(kMostRow); }
Bytes arrow_file_floor() { return Bytes(kMostCheckedRow); }

}  // namespace spillway::exporter

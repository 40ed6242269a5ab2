#include "export/shard/arrow_shard.hpp"

#include <arrow/api.h>
#include <arrow/ipc/api.h>
#include <fmt/format.h>

#include <cstring>

#include "core/file/output.hpp"
#include "core/file/sha256.hpp"
#include "export/shard/batch_message.hpp"

namespace spillway::exporter {
namespace {

constexpr size_t kColumnBuffer = size_t{512} << 10;
constexpr uint64_t kMostColumn = (uint64_t{1} << 31) - 1;  // offsets are int32

// With zeros to a multiple of 8.
Result<void> pad(Output& file) {
  static constexpr uint8_t kZeros[8] = {};
  return file.append(std::span(kZeros).first(padded(file.size()) - file.size()));
}

// The values of one column of a batch: in memory, and on scratch beyond that; behind them what is
// looked at where it is until settle().
class Column {
 public:
  explicit Column(std::shared_ptr<ScratchSpace> space)
      : space_(std::move(space)), memory_(kColumnBuffer) {}

  void reserve(uint64_t rows) { lasting_.reserve(rows); }

  Result<void> append(std::span<const uint8_t> bytes) {
    TRY(settle());
    TRY(grow(bytes.size()));
    return hold(bytes);
  }
  Result<void> append_lasting(std::span<const uint8_t> bytes) {
    TRY(grow(bytes.size()));
    lasting_.push_back(bytes);  // at most a batch's rows
    return {};
  }
  Result<void> settle() {
    for (const auto bytes : lasting_) TRY(hold(bytes));
    lasting_.clear();
    return {};
  }
  uint64_t size() const { return size_; }
  // Writes all of it and forgets it.
  Result<void> move_to(Output& file) {
    if (file_.is_open()) {
      TRY(settle());
      TRY(spill());
      for (uint64_t at = 0; at < size_;) {
        const size_t part = std::min<uint64_t>(memory_.size(), size_ - at);
        TRY(file_.read_at(at, std::span(memory_).first(part)));
        TRY(file.append(std::span<const uint8_t>(memory_).first(part)));
        at += part;
      }
    } else {
      TRY(file.append(std::span<const uint8_t>(memory_).first(used_)));
      for (const auto bytes : lasting_) TRY(file.append(bytes));
    }
    clear();
    return pad(file);
  }
  void clear() {
    lasting_.clear();
    used_ = 0;
    size_ = 0;
    if (file_.is_open()) file_ = ScratchFile();
  }

 private:
  Result<void> grow(size_t bytes) {
    size_ += bytes;
    if (size_ > kMostColumn)
      return fail(Code::kTooLarge,
                  "a record batch has more than 2 GiB in one column; give a smaller --batch-size");
    return {};
  }
  Result<void> hold(std::span<const uint8_t> bytes) {
    if (used_ + bytes.size() > memory_.size()) TRY(spill());
    if (bytes.size() > memory_.size()) return to_scratch(bytes);
    std::memcpy(memory_.data() + used_, bytes.data(), bytes.size());
    used_ += bytes.size();
    return {};
  }
  Result<void> spill() {
    if (used_ == 0) return {};
    TRY(to_scratch(std::span<const uint8_t>(memory_).first(used_)));
    used_ = 0;
    return {};
  }
  Result<void> to_scratch(std::span<const uint8_t> bytes) {
    if (!file_.is_open()) file_ = TRY(space_->open());
    TRY(file_.append(bytes));
    return {};
  }
  std::shared_ptr<ScratchSpace> space_;
  std::vector<uint8_t> memory_;
  size_t used_ = 0;
  uint64_t size_ = 0;
  ScratchFile file_;
  std::vector<std::span<const uint8_t>> lasting_;
};

class Writer final : public ArrowShardWriter {
 public:
  Writer(uint64_t batch_rows, const std::shared_ptr<ScratchSpace>& space,
         std::unique_ptr<WriteBehind> behind, Lease lease)
      : batch_rows_(batch_rows),
        lease_(std::move(lease)),
        behind_(std::move(behind)),
        labels_(space),
        supervoxels_(space),
        frames_(space) {
    for (auto* column : {&x_, &y_, &z_, &sizes_}) column->reserve(batch_rows);
    for (auto* offsets : {&list_offsets_, &frame_offsets_}) offsets->reserve(batch_rows + 1);
    for (Column* column : {&supervoxels_, &frames_}) column->reserve(batch_rows);
  }

  Result<void> prepare() {
    const auto schema = shard_schema();
    auto message = arrow::ipc::SerializeSchema(*schema);
    if (!message.ok()) return fail(Code::kInternal, message.status().ToString());
    schema_message_ = std::move(*message);
    message_.emplace(TRY(BatchMessage::create(schema)));
    return {};
  }

  Result<void> begin(const std::string& arrow_path, const std::string& csv_path) override {
    figures_ = {};
    clear_batch();
    arrow_.reset();  // one at a time goes through behind_
    (void)arrow_hash_.hex();
    (void)csv_hash_.hex();
    arrow_ = TRY(create_output(
        arrow_path, {.partial = arrow_path, .behind = behind_.get(), .tap = &arrow_hash_}));
    csv_ = TRY(create_output(csv_path,
                             {.partial = csv_path, .buffer = size_t{64} << 10, .tap = &csv_hash_}));
    TRY(arrow_->append({schema_message_->data(), static_cast<size_t>(schema_message_->size())}));
    return csv_->append(
        fmt::format("# schema_size={}\nx,y,z,offset,size,batch_idx\n", schema_message_->size()));
  }

  Result<void> add(const RowView& row) override {
    TRY(supervoxels_.append(row.supervoxels));
    TRY(frames_.append(row.frame));
    return add_rest(row);
  }
  Result<void> add_lasting(const RowView& row) override {
    TRY(supervoxels_.append_lasting(row.supervoxels));
    TRY(frames_.append_lasting(row.frame));
    return add_rest(row);
  }
  Result<void> settle() override {
    TRY(supervoxels_.settle());
    return frames_.settle();
  }

  Result<ShardFigures> end() override {
    if (!x_.empty()) TRY(emit());
    static constexpr uint8_t kEnd[8] = {0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0};
    TRY(arrow_->append(kEnd));
    figures_.bytes = arrow_->size();
    figures_.csv_bytes = csv_->size();
    TRY(std::move(*arrow_).leave());
    TRY(std::move(*csv_).leave());
    figures_.sha256 = arrow_hash_.hex();
    figures_.csv_sha256 = csv_hash_.hex();
    return figures_;
  }

 private:
  Result<void> add_rest(const RowView& row) {
    x_.push_back(row.at[0]);
    y_.push_back(row.at[1]);
    z_.push_back(row.at[2]);
    sizes_.push_back(static_cast<int32_t>(row.block_size));
    TRY(labels_.append(row.mapped));
    list_offsets_.push_back(static_cast<int32_t>(labels_.size() / 8));
    frame_offsets_.push_back(static_cast<int32_t>(frames_.size()));
    ++figures_.rows;
    return x_.size() == batch_rows_ ? emit() : Result<void>();
  }

  Result<void> emit() {
    const BatchShape shape{x_.size(), labels_.size() / 8, frames_.size()};
    const uint64_t begin = arrow_->size();
    TRY(arrow_->append(message_->of(shape)));
    const uint64_t body = arrow_->size();
    for (const auto* column : {&x_, &y_, &z_}) TRY(append_numbers(*column));
    TRY(append_numbers(list_offsets_));
    TRY(labels_.move_to(*arrow_));
    TRY(append_numbers(list_offsets_));
    TRY(supervoxels_.move_to(*arrow_));
    TRY(append_numbers(frame_offsets_));
    TRY(frames_.move_to(*arrow_));
    TRY(append_numbers(sizes_));
    CHECK(arrow_->size() - body == BatchMessage::body_length(shape));
    for (size_t i = 0; i < x_.size(); ++i) {
      char line[160];
      const auto end = fmt::format_to_n(line, sizeof line, "{},{},{},{},{},{}\n", x_[i], y_[i],
                                        z_[i], begin, arrow_->size() - begin, i);
      TRY(csv_->append(std::string_view(line, end.size)));
    }
    ++figures_.batches;
    clear_batch();
    return {};
  }
  Result<void> append_numbers(const std::vector<int32_t>& values) {
    TRY(arrow_->append({reinterpret_cast<const uint8_t*>(values.data()), values.size() * 4}));
    return pad(*arrow_);
  }
  void clear_batch() {
    for (auto* column : {&x_, &y_, &z_, &sizes_}) column->clear();
    for (auto* offsets : {&list_offsets_, &frame_offsets_}) offsets->assign(1, 0);
    for (Column* column : {&labels_, &supervoxels_, &frames_}) column->clear();
  }

  const uint64_t batch_rows_;
  Lease lease_;  // of all but the write-behind
  std::unique_ptr<WriteBehind> behind_;
  Sha256 arrow_hash_, csv_hash_;
  std::unique_ptr<Output> arrow_, csv_;
  std::shared_ptr<arrow::Buffer> schema_message_;
  std::optional<BatchMessage> message_;
  std::vector<int32_t> x_, y_, z_, sizes_, list_offsets_, frame_offsets_;
  Column labels_, supervoxels_, frames_;
  ShardFigures figures_;
};

}  // namespace

Bytes ArrowShardWriter::room(uint64_t batch_rows) {
  return WriteBehind::room() + Bytes(3 * kColumnBuffer + (size_t{128} << 10) + 56 * batch_rows);
}

Result<std::unique_ptr<ArrowShardWriter>> ArrowShardWriter::create(
    uint64_t batch_rows, const std::shared_ptr<ScratchSpace>& space, Lease lease,
    WriteBehind::Tap tap) {
  CHECK(lease.bytes() >= room(batch_rows));
  auto behind = TRY(WriteBehind::create(lease.split(WriteBehind::room()), tap));
  auto writer = std::make_unique<Writer>(batch_rows, space, std::move(behind), std::move(lease));
  TRY(writer->prepare());
  return std::unique_ptr<ArrowShardWriter>(std::move(writer));
}

}  // namespace spillway::exporter

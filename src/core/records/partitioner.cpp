#include "core/records/partitioner.hpp"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>

#include "core/disk/corrupt.hpp"

namespace spillway {
namespace {

struct FrameHeader {
  uint32_t magic;
  uint32_t bytes;
  uint64_t checksum;
};
static_assert(sizeof(FrameHeader) == 16);
constexpr uint32_t kMagic = 0x31545250;  // "PRT1"
constexpr size_t kChunk = size_t{2} << 20;

size_t usable(const PartitionerOptions& options) {
  return options.frame_bytes / options.record_bytes * options.record_bytes;
}

}  // namespace

Bytes Partitioner::buffer_bytes(const PartitionerOptions& options) {
  return Bytes(options.writers * options.partitions * (kHeaderBytes + usable(options)));
}

Result<std::unique_ptr<Partitioner>> Partitioner::create(PartitionerOptions options, Lease buffers,
                                                         Account frames,
                                                         std::shared_ptr<ScratchSpace> space) {
  CHECK(options.record_bytes > 0 && options.frame_bytes >= options.record_bytes);
  CHECK(usable(options) + sizeof(FrameHeader) <= kExtentBytes);
  std::unique_ptr<Partitioner> made(new Partitioner);
  made->options_ = options;
  made->buffers_ = TRY(Pages::map(std::move(buffers)));
  made->frames_ = std::move(frames);
  made->space_ = std::move(space);
  made->writers_.resize(options.writers);
  for (size_t i = 0; i < options.writers; ++i) {
    Writer& writer = made->writers_[i];
    writer.owner_ = made.get();
    writer.frame_bytes_ = usable(options);
    writer.stride_ = kHeaderBytes + writer.frame_bytes_;
    writer.buffer_ = made->buffers_.data() + i * options.partitions * writer.stride_;
    writer.fill_.assign(options.partitions, 0);
    writer.records_.assign(options.partitions, 0);
    writer.kept_.assign(options.partitions, nullptr);
    writer.extents_.resize(options.partitions);
  }
  return made;
}

uint64_t Partitioner::records(size_t partition) const {
  uint64_t total = 0;
  for (const Writer& writer : writers_) total += writer.records_[partition];
  return total;
}

uint64_t Partitioner::spilled_bytes() const {
  uint64_t total = 0;
  for (const Writer& writer : writers_) total += writer.spilled_;
  return total;
}

Result<void> Partitioner::Writer::flush_all() {
  for (size_t partition = 0; partition < fill_.size(); ++partition) {
    if (fill_[partition] > 0) TRY(flush(partition));
  }
  return {};
}

Partitioner::Writer::Frame* Partitioner::Writer::keep(size_t bytes) {
  if (spilled_ > 0) return nullptr;
  bytes = (sizeof(Frame) + bytes + alignof(Frame) - 1) / alignof(Frame) * alignof(Frame);
  if (chunks_.empty() || chunk_used_ + bytes > chunks_.back().size()) {
    auto lease = owner_->frames_.try_acquire(Bytes(kChunk));
    if (!lease) return nullptr;
    auto pages = Pages::map(std::move(*lease));
    if (!pages) return nullptr;
    chunks_.push_back(std::move(*pages));
    chunk_used_ = 0;
  }
  auto* const frame = reinterpret_cast<Frame*>(chunks_.back().data() + chunk_used_);
  chunk_used_ += bytes;
  return frame;
}

Result<void> Partitioner::Writer::flush(size_t partition) {
  const uint32_t bytes = fill_[partition];
  const uint8_t* const from = buffer_ + partition * stride_ + kHeaderBytes;
  if (Frame* const frame = keep(bytes)) {
    *frame = {kept_[partition], bytes};
    std::memcpy(frame + 1, from, bytes);
    kept_[partition] = frame;
  } else {
    TRY(spill(partition, bytes));
  }
  records_[partition] += bytes / owner_->options_.record_bytes;
  fill_[partition] = 0;
  return {};
}

Result<void> Partitioner::Writer::spill(size_t partition, uint32_t bytes) {
  owner_->spilling_.store(true, std::memory_order_relaxed);
  if (!file_.is_open()) file_ = TRY(owner_->space_->open());
  uint8_t* const at = buffer_ + partition * stride_;
  const FrameHeader header{kMagic, bytes, XXH3_64bits(at + kHeaderBytes, bytes)};
  std::memcpy(at, &header, sizeof header);
  const uint32_t need = static_cast<uint32_t>(kHeaderBytes) + bytes;
  std::vector<Extent>& extents = extents_[partition];
  if (extents.empty() || extents.back().bytes + need > kExtentBytes) {
    extents.push_back(Extent{file_end_, 0, 0});
    file_end_ += kExtentBytes;
  }
  Extent& extent = extents.back();
  TRY(file_.write_at(extent.offset + extent.bytes, {at, need}));
  extent.bytes += need;
  ++extent.frames;
  spilled_ += need;
  return {};
}

Result<void> Partitioner::load(const Writer& writer, const Writer::Extent& extent,
                               std::span<uint8_t> buffer) const {
  CHECK(buffer.size() >= extent.bytes);
  return writer.file_.read_at(extent.offset, buffer.first(extent.bytes));
}

std::optional<std::span<const uint8_t>> Partitioner::parse_frame(std::span<const uint8_t> extent,
                                                                 size_t& at) {
  FrameHeader header;
  if (at > extent.size() || extent.size() - at < sizeof header) return std::nullopt;
  std::memcpy(&header, extent.data() + at, sizeof header);
  const std::span<const uint8_t> rest = extent.subspan(at + sizeof header);
  if (header.magic != kMagic || header.bytes > rest.size() ||
      XXH3_64bits(rest.data(), header.bytes) != header.checksum) {
    return std::nullopt;
  }
  at += sizeof header + header.bytes;
  return rest.first(header.bytes);
}

Result<std::span<const uint8_t>> Partitioner::frame_at(std::span<const uint8_t> buffer,
                                                       const Writer::Extent& extent,
                                                       size_t& at) const {
  const uint64_t offset = extent.offset + at;
  if (const auto frame = parse_frame(buffer.first(extent.bytes), at)) return *frame;
  return fail_corrupt(fmt::format("scratch in {}: a frame at offset {} does not match its checksum",
                                  space_->folder(), offset));
}

}  // namespace spillway

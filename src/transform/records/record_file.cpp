#include "transform/records/record_file.hpp"

#include <fmt/format.h>

#include <cstring>

#include "core/file/folders.hpp"

namespace spillway::transform {
namespace {

Result<std::pair<Pages, Lease>> lease_memory(Account& account, const std::string& path) {
  const Bytes buffers(2 * RecordFile::kFrame + FrameCodec::kHeaderBytes);
  auto pages = account.try_acquire(buffers);
  auto workspace = account.try_acquire(RecordFile::cost() - buffers);
  if (!pages || !workspace) {
    return fail(Code::kMemoryLimit,
                fmt::format("{}: needs {}; raise --memory", path, to_string(RecordFile::cost())));
  }
  return std::pair(TRY(Pages::map(std::move(*pages))), std::move(*workspace));
}

}  // namespace

Result<std::unique_ptr<RecordFile::Writer>> RecordFile::Writer::create(
    std::string path, Account account, std::shared_ptr<ScratchSpace> space) {
  std::unique_ptr<Writer> writer(new Writer);
  auto [memory, workspace] = TRY(lease_memory(account, path));
  writer->memory_ = std::move(memory);
  writer->workspace_ = std::move(workspace);
  writer->run_.file = name_of(path);
  writer->blob_ = Blob::create(std::move(path), Account(), std::move(space));
  return writer;
}

Result<void> RecordFile::Writer::add(Record record) {
  const auto length = static_cast<uint32_t>(record.size());
  if (record.size() + sizeof length > kFrame) {
    return fail(Code::kTooLarge, fmt::format("a record of {} bytes is too long", record.size()));
  }
  if (fill_ + sizeof length + record.size() > kFrame) TRY(flush());
  std::memcpy(memory_.data() + fill_, &length, sizeof length);
  std::memcpy(memory_.data() + fill_ + sizeof length, record.data(), record.size());
  fill_ += sizeof length + record.size();
  ++run_.records;
  return {};
}

Result<void> RecordFile::Writer::flush() {
  if (fill_ == 0) return {};
  const std::span<uint8_t> out(memory_.data() + kFrame, FrameCodec::frame_room(kFrame));
  const size_t size = codec_.encode({memory_.data(), fill_}, run_.frames, out);
  TRY(blob_->append(out.first(size)));
  run_.bytes += size;
  ++run_.frames;
  fill_ = 0;
  return {};
}

Result<DurableRun> RecordFile::Writer::finish() {
  TRY(flush());
  TRY(blob_->persist());
  TRY(sync_folder(folder_of(blob_->path())));
  blob_->keep();
  return run_;
}

Result<std::unique_ptr<RecordFile::Reader>> RecordFile::Reader::open(
    std::string path, const DurableRun& run, Account account, std::shared_ptr<ScratchSpace> space) {
  std::unique_ptr<Reader> reader(new Reader);
  auto [memory, workspace] = TRY(lease_memory(account, path));
  reader->memory_ = std::move(memory);
  reader->workspace_ = std::move(workspace);
  reader->run_ = run;
  if (run.frames > 0) {
    reader->blob_ = TRY(Blob::open(std::move(path), run.bytes, std::move(space)));
    reader->blob_->keep();
  }
  return reader;
}

Result<void> RecordFile::Reader::load() {
  const std::span<uint8_t> raw(memory_.data(), kFrame);
  const std::span<uint8_t> room(memory_.data() + kFrame, FrameCodec::frame_room(kFrame));
  const std::span<uint8_t> got = room.first(std::min<uint64_t>(room.size(), run_.bytes - offset_));
  const uint8_t* const at = TRY(blob_->read(offset_, got.size(), got));
  if (at != got.data()) std::memcpy(got.data(), at, got.size());
  if (got.size() < FrameCodec::kHeaderBytes)
    return fail(Code::kCorrupt, blob_->path() + " is cut short");
  const auto header =
      TRY(codec_.header(got.first<FrameCodec::kHeaderBytes>(), frame_, blob_->path()));
  rest_ = TRY(codec_.decode(got, frame_, raw, blob_->path()));
  offset_ += FrameCodec::kHeaderBytes + header.stored;
  ++frame_;
  return {};
}

Result<std::optional<Record>> RecordFile::Reader::next() {
  if (rest_.empty()) {
    if (frame_ == run_.frames) return std::optional<Record>();
    TRY(load());
  }
  uint32_t length = 0;
  if (rest_.size() >= sizeof length) std::memcpy(&length, rest_.data(), sizeof length);
  if (rest_.size() < sizeof length || rest_.size() - sizeof length < length)
    return fail(Code::kCorrupt, blob_->path() + " holds a record longer than its frame");
  const Record record = rest_.subspan(sizeof length, length);
  rest_ = rest_.subspan(sizeof length + length);
  return std::optional<Record>(record);
}

}  // namespace spillway::transform

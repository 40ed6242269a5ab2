#include "transform/records/record_file.hpp"

#include <fmt/format.h>

#include "core/disk/corrupt.hpp"
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
  const std::span<uint8_t> rooms(writer->memory_.data(), writer->memory_.size());
  writer->frames_.emplace(writer->codec_, rooms.first(kFrame), rooms.subspan(kFrame),
                          [to = writer.get()](std::span<const uint8_t> frame) -> Result<void> {
                            TRY(to->blob_->append(frame));
                            to->run_.bytes += frame.size();
                            ++to->run_.frames;
                            return {};
                          });
  return writer;
}

Result<void> RecordFile::Writer::add(Record record) {
  if (record.size() + kRecordLength > kFrame)
    return fail(Code::kTooLarge, fmt::format("a record of {} bytes is too long", record.size()));
  TRY(frames_->add(record));
  ++run_.records;
  return {};
}

Result<DurableRun> RecordFile::Writer::finish() {
  TRY(frames_->flush());
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

Result<std::optional<Record>> RecordFile::Reader::next() {
  if (rest_.empty()) {
    if (place_.frame == run_.frames) return std::optional<Record>();
    const std::span<uint8_t> rooms(memory_.data(), memory_.size());
    const auto read = [&](uint64_t offset, std::span<uint8_t> out) {
      return blob_->read(offset, out.size(), out);
    };
    rest_ = TRY(read_frame(codec_, place_, run_.bytes, rooms.subspan(kFrame), rooms.first(kFrame),
                           read, blob_->path()));
  }
  const auto record = take_record(rest_);
  if (!record) return fail_corrupt(blob_->path() + " holds a record longer than its frame");
  return record;
}

}  // namespace spillway::transform

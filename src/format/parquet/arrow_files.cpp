#include "format/parquet/arrow_files.hpp"

#include <arrow/buffer.h>
#include <xxhash.h>

#include <algorithm>

namespace spillway::format {

arrow::Result<int64_t> ArrowFile::ReadAt(int64_t position, int64_t nbytes, void* out) {
  const auto size = static_cast<int64_t>(source_->size());
  if (position < 0 || nbytes < 0) return arrow::Status::IOError("a read outside of the file");
  const int64_t count = std::clamp<int64_t>(size - position, 0, nbytes);
  auto read = source_->read_at(static_cast<uint64_t>(position),
                               {static_cast<uint8_t*>(out), static_cast<size_t>(count)});
  if (read) return count;
  arrow::Status status = arrow::Status::IOError(read.error().message());
  if (!error_) error_ = std::move(read).error();
  return status;
}

arrow::Result<std::shared_ptr<arrow::Buffer>> ArrowFile::ReadAt(int64_t position, int64_t nbytes) {
  const auto size = static_cast<int64_t>(source_->size());
  // No allocation is made on the word of a damaged file.
  const int64_t count = std::clamp<int64_t>(size - position, 0, nbytes);
  ARROW_ASSIGN_OR_RAISE(auto buffer, arrow::AllocateResizableBuffer(count, &pool_));
  ARROW_ASSIGN_OR_RAISE(const int64_t got, ReadAt(position, count, buffer->mutable_data()));
  ARROW_RETURN_NOT_OK(buffer->Resize(got));
  return std::shared_ptr<arrow::Buffer>(std::move(buffer));
}

arrow::Result<int64_t> ArrowFile::Read(int64_t nbytes, void* out) {
  ARROW_ASSIGN_OR_RAISE(const int64_t got, ReadAt(at_, nbytes, out));
  at_ += got;
  return got;
}

arrow::Result<std::shared_ptr<arrow::Buffer>> ArrowFile::Read(int64_t nbytes) {
  ARROW_ASSIGN_OR_RAISE(auto buffer, ReadAt(at_, nbytes));
  at_ += buffer->size();
  return buffer;
}

ArrowSink::ArrowSink(Output& sink)
    : sink_(sink), hash_(XXH3_createState(), [](XXH3_state_s* state) { XXH3_freeState(state); }) {
  CHECK(hash_ != nullptr);
  XXH3_64bits_reset(hash_.get());
}

uint64_t ArrowSink::hash() const { return XXH3_64bits_digest(hash_.get()); }

arrow::Status ArrowSink::Write(const void* data, int64_t nbytes) {
  if (hold_) {
    held_.append(static_cast<const char*>(data), static_cast<size_t>(nbytes));
    return arrow::Status::OK();
  }
  auto done = sink_.append({static_cast<const uint8_t*>(data), static_cast<size_t>(nbytes)});
  if (done) {
    XXH3_64bits_update(hash_.get(), data, static_cast<size_t>(nbytes));
    return arrow::Status::OK();
  }
  arrow::Status status = arrow::Status::IOError(done.error().message());
  if (!error_) error_ = std::move(done).error();
  return status;
}

}  // namespace spillway::format

#include "format/parquet/arrow_files.hpp"

#include <arrow/buffer.h>
#include <arrow/result.h>

#include <algorithm>
#include <mutex>

namespace spillway::format {
namespace {

class File final : public arrow::io::RandomAccessFile {
 public:
  explicit File(std::shared_ptr<const Source> source) : source_(std::move(source)) {}
  arrow::Status Close() override {
    closed_ = true;
    return arrow::Status::OK();
  }
  bool closed() const override { return closed_; }
  arrow::Result<int64_t> Tell() const override { return at_; }
  arrow::Status Seek(int64_t position) override {
    at_ = position;
    return arrow::Status::OK();
  }
  arrow::Result<int64_t> GetSize() override { return static_cast<int64_t>(source_->size()); }

  arrow::Result<int64_t> ReadAt(int64_t position, int64_t nbytes, void* out) override {
    const auto size = static_cast<int64_t>(source_->size());
    if (position < 0 || nbytes < 0) return arrow::Status::IOError("a read outside of the file");
    const int64_t count = std::clamp<int64_t>(size - position, 0, nbytes);
    auto read = source_->read_at(static_cast<uint64_t>(position),
                                 {static_cast<uint8_t*>(out), static_cast<size_t>(count)});
    if (!read) return arrow::Status::IOError(read.error().message());
    return count;
  }
  arrow::Result<std::shared_ptr<arrow::Buffer>> ReadAt(int64_t position, int64_t nbytes) override {
    const auto size = static_cast<int64_t>(source_->size());
    // No allocation is made on the word of a damaged file.
    const int64_t count = std::clamp<int64_t>(size - position, 0, nbytes);
    ARROW_ASSIGN_OR_RAISE(auto buffer, arrow::AllocateResizableBuffer(count));
    ARROW_ASSIGN_OR_RAISE(const int64_t got, ReadAt(position, count, buffer->mutable_data()));
    ARROW_RETURN_NOT_OK(buffer->Resize(got));
    return std::shared_ptr<arrow::Buffer>(std::move(buffer));
  }
  arrow::Result<int64_t> Read(int64_t nbytes, void* out) override {
    ARROW_ASSIGN_OR_RAISE(const int64_t got, ReadAt(at_, nbytes, out));
    at_ += got;
    return got;
  }
  arrow::Result<std::shared_ptr<arrow::Buffer>> Read(int64_t nbytes) override {
    ARROW_ASSIGN_OR_RAISE(auto buffer, ReadAt(at_, nbytes));
    at_ += buffer->size();
    return buffer;
  }

 private:
  std::shared_ptr<const Source> source_;
  int64_t at_ = 0;
  bool closed_ = false;
};

}  // namespace

std::shared_ptr<arrow::io::RandomAccessFile> arrow_file(std::shared_ptr<const Source> source) {
  return std::make_shared<File>(std::move(source));
}

arrow::Status ArrowSink::Write(const void* data, int64_t nbytes) {
  auto done = sink_.append({static_cast<const uint8_t*>(data), static_cast<size_t>(nbytes)});
  if (done) return arrow::Status::OK();
  arrow::Status status = arrow::Status::IOError(done.error().message());
  if (!error_) error_ = std::move(done).error();
  return status;
}

}  // namespace spillway::format

// Arrow's file interfaces over our Source and Output, so that Arrow's readers and writers see the
// same places, faults and errors as everything else.
//
// Threads  As Source and Output. Errors keep our text inside Arrow's status; take_error() has the
//          original.
#pragma once

#include <arrow/io/interfaces.h>
#include <arrow/result.h>
#include <arrow/status.h>

#include <memory>
#include <optional>
#include <string>

#include "core/file/output.hpp"

struct XXH3_state_s;

namespace spillway::format {

class ArrowFile final : public arrow::io::RandomAccessFile {
 public:
  ArrowFile(std::shared_ptr<const Source> source, arrow::MemoryPool& pool)
      : source_(std::move(source)), pool_(pool) {}
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
  arrow::Result<int64_t> ReadAt(int64_t position, int64_t nbytes, void* out) override;
  arrow::Result<std::shared_ptr<arrow::Buffer>> ReadAt(int64_t position, int64_t nbytes) override;
  arrow::Result<int64_t> Read(int64_t nbytes, void* out) override;
  arrow::Result<std::shared_ptr<arrow::Buffer>> Read(int64_t nbytes) override;
  std::optional<Error> take_error() { return std::exchange(error_, std::nullopt); }

 private:
  std::shared_ptr<const Source> source_;
  arrow::MemoryPool& pool_;
  std::optional<Error> error_;
  int64_t at_ = 0;
  bool closed_ = false;
};

// Hashes what passes (XXH3-64). Between hold() and release() bytes are kept for take_held().
class ArrowSink final : public arrow::io::OutputStream {
 public:
  explicit ArrowSink(Output& sink);
  arrow::Status Close() override {
    closed_ = true;
    return arrow::Status::OK();
  }
  bool closed() const override { return closed_; }
  arrow::Result<int64_t> Tell() const override {
    return static_cast<int64_t>(sink_.size() + held_.size());
  }
  using arrow::io::OutputStream::Write;
  arrow::Status Write(const void* data, int64_t nbytes) override;
  void hold() { hold_ = true; }
  void release() { hold_ = false; }
  std::string take_held() { return std::exchange(held_, {}); }
  uint64_t hash() const;
  std::optional<Error> take_error() { return std::exchange(error_, std::nullopt); }

 private:
  Output& sink_;
  std::unique_ptr<XXH3_state_s, void (*)(XXH3_state_s*)> hash_;
  std::string held_;
  std::optional<Error> error_;
  bool hold_ = false, closed_ = false;
};

}  // namespace spillway::format

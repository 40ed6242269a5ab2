// Arrow's file interfaces over our Source and Sink, so that Arrow's readers and writers see the
// same places, faults and errors as everything else.
//
// Threads  As Source and Sink. Errors keep our text inside Arrow's status; ArrowSink::error() has
//          the original.
#pragma once

#include <arrow/io/interfaces.h>
#include <arrow/result.h>
#include <arrow/status.h>

#include <memory>
#include <optional>

#include "format/source.hpp"

namespace spillway::format {

std::shared_ptr<arrow::io::RandomAccessFile> arrow_file(std::shared_ptr<const Source> source);

class ArrowSink final : public arrow::io::OutputStream {
 public:
  explicit ArrowSink(Sink& sink) : sink_(sink) {}
  arrow::Status Close() override {
    closed_ = true;
    return arrow::Status::OK();
  }
  bool closed() const override { return closed_; }
  arrow::Result<int64_t> Tell() const override { return static_cast<int64_t>(sink_.size()); }
  using arrow::io::OutputStream::Write;
  arrow::Status Write(const void* data, int64_t nbytes) override;
  std::optional<Error> take_error() { return std::exchange(error_, std::nullopt); }

 private:
  Sink& sink_;
  std::optional<Error> error_;
  bool closed_ = false;
};

}  // namespace spillway::format

// Reads the CSV beside an Arrow shard, line by line, and says where it does not agree with the file.
//
// Memory   A buffer of 64 KiB. Threads: one.
// Fails    kInvalid with the file and the line; kNotFound, kIo.
#pragma once

#include <memory>
#include <string>

#include "export/source/arrow_reader.hpp"
#include "export/spec/input_stream.hpp"

namespace spillway::exporter {

class CsvIndex {
 public:
  [[nodiscard]] static Result<CsvIndex> open(const std::string& path);
  [[nodiscard]] Result<void> expect_schema(uint64_t schema_size) const;
  // The next line must be of this row.
  [[nodiscard]] Result<void> expect(const ArrowRow& row);
  [[nodiscard]] Result<void> expect_end();

 private:
  Result<std::string> line();  // empty at the end
  tl::unexpected<Error> bad(const std::string& what) const;

  std::string path_;
  std::unique_ptr<ByteStream> source_;
  std::string buffer_;
  size_t at_ = 0;
  uint64_t line_ = 0, schema_size_ = 0;
};

}  // namespace spillway::exporter

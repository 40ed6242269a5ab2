// The lines of a byte stream, in a fixed buffer. They end with LF or CRLF; with CR where the first
// 64 KiB have that and no LF. A byte order mark of UTF-8 is left out.
//
// Memory   64 KiB and the longest line, at most `most` bytes.
// Threads  One.
// Fails    kInvalid: zero bytes in the first 64 KiB, so no text.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "format/byte_stream.hpp"

namespace spillway::format {

class TextLines {
 public:
  TextLines(std::unique_ptr<ByteStream> stream, size_t most)
      : stream_(std::move(stream)), buffer_(size_t{64} << 10), most_(most) {}

  // The next line without its end; none at the end of the stream. Valid until the next
  // call. Of a line longer than `most` the beginning, and was_cut() says so.
  [[nodiscard]] Result<std::optional<std::string_view>> next();
  bool was_cut() const { return cut_; }
  bool had_end() const { return ended_; }      // whether the line had a line end
  uint64_t line() const { return line_; }      // of the line just returned, from 1
  char end_byte() const { return end_byte_; }  // a line never has it; known after the first next()
  uint64_t bytes_read() const { return bytes_; }
  const std::string& name() const { return stream_->name(); }

 private:
  std::unique_ptr<ByteStream> stream_;
  std::vector<uint8_t> buffer_;
  [[nodiscard]] Result<bool> fill();

  size_t begin_ = 0, end_ = 0;
  std::string long_;  // a line that straddles buffers
  size_t most_;
  uint64_t line_ = 0, bytes_ = 0;
  char end_byte_ = '\n';
  bool cut_ = false, ended_ = false;
};

}  // namespace spillway::format

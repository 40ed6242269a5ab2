// Bodies of requests and replies, streamed: from and to leased memory or a file, never a whole
// object in a string.
//
// Threads  Called by the engine's thread while the one that asked waits; none of them may block for
//          long, for nothing else moves in the meantime.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "core/file/file.hpp"
#include "core/result.hpp"
#include "net/message.hpp"

namespace spillway::net {

// What is sent. It is read again from the start, or from anywhere, when a try is repeated.
class RequestBody {
 public:
  virtual ~RequestBody() = default;
  virtual uint64_t size() const = 0;
  // Fills `out`; it lies within size().
  [[nodiscard]] virtual Result<void> read_at(uint64_t offset, std::span<uint8_t> out) = 0;
};

// Bytes that outlive it.
class SpanBody final : public RequestBody {
 public:
  explicit SpanBody(std::span<const uint8_t> bytes) : bytes_(bytes) {}
  uint64_t size() const override { return bytes_.size(); }
  Result<void> read_at(uint64_t offset, std::span<uint8_t> out) override;

 private:
  std::span<const uint8_t> bytes_;
};

// A part of an open file, which stays the caller's. kIo when it has become shorter.
class FileBody final : public RequestBody {
 public:
  FileBody(const File& file, uint64_t offset, uint64_t size)
      : file_(file), offset_(offset), size_(size) {}
  uint64_t size() const override { return size_; }
  Result<void> read_at(uint64_t offset, std::span<uint8_t> out) override;

 private:
  const File& file_;
  uint64_t offset_, size_;
};

// Where the body of a success goes. What a server says with an error goes to Outcome::explanation.
class ReplySink {
 public:
  virtual ~ReplySink() = default;
  // Once a try, before its bytes: what an earlier one brought is dropped.
  [[nodiscard]] virtual Result<void> begin(const ReplyHead& head) = 0;
  // False: not now; it comes again after Exchange::resume().
  [[nodiscard]] virtual Result<bool> take(std::span<const uint8_t> bytes) = 0;
  virtual void ended() {}  // the exchange is over, however; its outcome stands
};

// Into memory of the caller's. kTooLarge when there is more.
class SpanSink final : public ReplySink {
 public:
  explicit SpanSink(std::span<uint8_t> room) : room_(room) {}
  Result<void> begin(const ReplyHead& head) override;
  Result<bool> take(std::span<const uint8_t> bytes) override;
  size_t used() const { return used_; }

 private:
  std::span<uint8_t> room_;
  size_t used_ = 0;
};

// Into an open file from `offset` on. kTooLarge above `most`, kIo, kDiskFull.
class FileSink final : public ReplySink {
 public:
  FileSink(const File& file, uint64_t offset, uint64_t most)
      : file_(file), offset_(offset), most_(most) {}
  Result<void> begin(const ReplyHead& head) override;
  Result<bool> take(std::span<const uint8_t> bytes) override;
  uint64_t used() const { return used_; }

 private:
  const File& file_;
  uint64_t offset_, most_, used_ = 0;
};

}  // namespace spillway::net

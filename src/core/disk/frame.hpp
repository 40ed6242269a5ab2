// One frame of a spill file: a piece of up to kMaxRaw bytes, compressed where that pays, with what
// is needed to notice that it is not what was written.
//
// Layout   docs/formats.md, "Spill frames": 32 bytes of header (magic, raw and stored length,
//          codec, sequence number, XXH3-64 over header and payload), then the payload. Little-
//          endian.
// Memory   The codec's workspace, allocated at creation: FrameCodec::workspace(). encode() and
//          decode() allocate nothing: the caller's lease covers workspace and both buffers.
// Cost     LZ4 about 0.5 GB/s in, 2 GB/s out a core. A
//          payload that would not shrink by 5 % is stored as it is; after one that did not shrink
//          by a quarter the next 15 are stored untried, since what one producer writes is alike.
// Threads  One at a time.
// Fails    decode, header: kCorrupt, on a wrong magic, length, codec, sequence number or checksum.
//          No length is trusted before it is compared with a limit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "core/bytes.hpp"
#include "core/result.hpp"

namespace spillway {

enum class Codec : uint8_t { kStored = 0, kLz4 = 1 };

class FrameCodec {
 public:
  static constexpr size_t kHeaderBytes = 32;
  static constexpr size_t kMaxRaw = size_t{1} << 20;
  static Bytes workspace(Codec codec);  // what it allocates
  // The room encode() needs: a frame is never longer than its raw bytes and the header.
  static constexpr size_t frame_room(size_t raw) { return kHeaderBytes + raw; }

  FrameCodec(Codec codec, size_t max_raw);

  // Writes the frame of `raw` (1 to max_raw bytes) to `out`, which has frame_room(raw.size()), and
  // returns its length.
  size_t encode(std::span<const uint8_t> raw, uint64_t sequence, std::span<uint8_t> out);

  struct Header {
    uint32_t raw = 0;
    uint32_t stored = 0;  // bytes of payload behind the header
    Codec codec = Codec::kStored;
  };
  // Checks all that a header alone tells. `where` names the file in the message.
  [[nodiscard]] Result<Header> header(std::span<const uint8_t, kHeaderBytes> bytes,
                                      uint64_t sequence, const std::string& where) const;
  // `frame` is header and payload. The raw bytes: a view of the payload when it was stored, else of
  // `out` (room for header.raw).
  [[nodiscard]] Result<std::span<const uint8_t>> decode(std::span<const uint8_t> frame,
                                                        uint64_t sequence, std::span<uint8_t> out,
                                                        const std::string& where);

 private:
  Codec codec_;
  size_t max_raw_;
  unsigned untried_ = 0;              // frames to store without trying to compress
  std::unique_ptr<uint8_t[]> state_;  // LZ4's
};

}  // namespace spillway

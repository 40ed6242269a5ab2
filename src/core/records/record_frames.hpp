// Records behind each other in frames (core/disk/frame.hpp): each is its length (u32, little-endian) and
// its bytes; none lies across two frames. What sorted runs, record files and queues have in common.
//
// Memory   The caller's: what a frame holds (`raw`) and its encoded form (`stored`, FrameCodec::frame_room).
// Threads  One at a time.
// Fails    What reading and appending fail with; kCorrupt: a frame that is not the one that was written.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>

#include "core/disk/frame.hpp"
#include "core/result.hpp"

namespace spillway {

using Record = std::span<const uint8_t>;

constexpr size_t kRecordLength = sizeof(uint32_t);  // before each record

// Takes the first record off `rest`, which is not empty; nothing when its length cannot be.
std::optional<Record> take_record(std::span<const uint8_t>& rest);

class RecordWriter {
 public:
  using Append = std::function<Result<void>(std::span<const uint8_t> frame)>;
  RecordWriter(FrameCodec& codec, std::span<uint8_t> raw, std::span<uint8_t> stored, Append append)
      : codec_(codec), raw_(raw), stored_(stored), append_(std::move(append)) {}

  // At most raw.size() - kRecordLength bytes.
  [[nodiscard]] Result<void> add(Record record);
  [[nodiscard]] Result<void> flush();  // what no frame has yet

 private:
  FrameCodec& codec_;
  std::span<uint8_t> raw_, stored_;
  Append append_;
  size_t fill_ = 0;
  uint64_t frames_ = 0;
};

struct FramePlace {
  uint64_t offset = 0, frame = 0;  // its number, from 0
};
// As Blob::read(): the bytes, in `out` or in memory already.
using ReadBytes = std::function<Result<const uint8_t*>(uint64_t offset, std::span<uint8_t> out)>;

// The raw bytes of the frame at `place`, at the front of `raw`; `place` is behind it then. One read, of as
// much as `stored` holds. `end`: of all frames. `where` names them in messages.
[[nodiscard]] Result<std::span<const uint8_t>> read_frame(FrameCodec& codec, FramePlace& place,
                                                          uint64_t end, std::span<uint8_t> stored,
                                                          std::span<uint8_t> raw,
                                                          const ReadBytes& read,
                                                          const std::string& where);

}  // namespace spillway

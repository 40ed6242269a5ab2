#include "core/records/record_frames.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/disk/corrupt.hpp"

namespace spillway {

std::optional<Record> take_record(std::span<const uint8_t>& rest) {
  uint32_t length = 0;
  if (rest.size() < kRecordLength) return std::nullopt;
  std::memcpy(&length, rest.data(), kRecordLength);
  if (rest.size() - kRecordLength < length) return std::nullopt;
  const Record record = rest.subspan(kRecordLength, length);
  rest = rest.subspan(kRecordLength + length);
  return record;
}

Result<void> RecordWriter::add(Record record) {
  const auto length = static_cast<uint32_t>(record.size());
  if (fill_ + kRecordLength + length > raw_.size()) TRY(flush());
  std::memcpy(raw_.data() + fill_, &length, kRecordLength);
  if (length > 0) std::memcpy(raw_.data() + fill_ + kRecordLength, record.data(), length);
  fill_ += kRecordLength + length;
  return {};
}

Result<void> RecordWriter::flush() {
  if (fill_ == 0) return {};
  const size_t size = codec_.encode(raw_.first(std::exchange(fill_, 0)), frames_++, stored_);
  return append_(stored_.first(size));
}

Result<std::span<const uint8_t>> read_frame(FrameCodec& codec, FramePlace& place, uint64_t end,
                                            std::span<uint8_t> stored, std::span<uint8_t> raw,
                                            const ReadBytes& read, const std::string& where) {
  const uint64_t left = end - std::min(place.offset, end);
  if (left < FrameCodec::kHeaderBytes) return fail_corrupt(where + ": is cut short");
  stored = stored.first(std::min<uint64_t>(stored.size(), left));
  const std::span<const uint8_t> got(TRY(read(place.offset, stored)), stored.size());
  const auto header = TRY(codec.header(got.first<FrameCodec::kHeaderBytes>(), place.frame, where));
  if (header.raw > raw.size()) return fail_corrupt(where + ": a frame holds more than was written");
  const auto bytes = TRY(codec.decode(got, place.frame, raw, where));
  if (bytes.data() != raw.data()) std::memcpy(raw.data(), bytes.data(), bytes.size());
  place.offset += FrameCodec::kHeaderBytes + header.stored;
  ++place.frame;
  return std::span<const uint8_t>(raw.first(bytes.size()));
}

}  // namespace spillway

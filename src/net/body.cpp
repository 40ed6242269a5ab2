#include "net/body.hpp"

#include <fmt/format.h>

#include <cstring>

namespace spillway::net {

Result<void> SpanBody::read_at(uint64_t offset, std::span<uint8_t> out) {
  std::memcpy(out.data(), bytes_.data() + offset, out.size());
  return {};
}

Result<void> FileBody::read_at(uint64_t offset, std::span<uint8_t> out) {
  return file_.read_at(offset_ + offset, out);
}

Result<void> SpanSink::begin(const ReplyHead&) {
  used_ = 0;
  return {};
}

Result<bool> SpanSink::take(std::span<const uint8_t> bytes) {
  if (bytes.size() > room_.size() - used_)
    return fail(Code::kTooLarge, fmt::format("is longer than {} bytes", room_.size()));
  std::memcpy(room_.data() + used_, bytes.data(), bytes.size());
  used_ += bytes.size();
  return true;
}

Result<void> FileSink::begin(const ReplyHead&) {
  used_ = 0;
  return {};
}

Result<bool> FileSink::take(std::span<const uint8_t> bytes) {
  if (bytes.size() > most_ - used_)
    return fail(Code::kTooLarge, fmt::format("is longer than {} bytes", most_));
  TRY(file_.write_at(offset_ + used_, bytes));
  used_ += bytes.size();
  return true;
}

}  // namespace spillway::net

#include "format/rows/text_lines.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace spillway::format {

Result<bool> TextLines::fill() {
  const bool first = bytes_ == 0;
  begin_ = 0;
  end_ = TRY(stream_->read(buffer_));
  bytes_ += end_;
  if (!first) return end_ > 0;
  const std::string_view text(reinterpret_cast<const char*>(buffer_.data()), end_);
  if (const size_t zero = text.find('\0'); zero != std::string_view::npos) {
    return fail(Code::kInvalid,
                fmt::format("{}: byte {} is zero: this is no text, or UTF-16 without a mark: "
                            "--encoding utf-16",
                            name(), zero));
  }
  if (text.starts_with("\xEF\xBB\xBF")) begin_ = 3;
  // A CR that ends the buffer may have its LF behind it.
  const size_t cr = text.find('\r');
  const bool has_cr = cr != std::string_view::npos && (cr + 1 < end_ || end_ < buffer_.size());
  if (text.find('\n') == std::string_view::npos && has_cr) end_byte_ = '\r';
  return end_ > begin_;
}

Result<std::optional<std::string_view>> TextLines::next() {
  long_.clear();
  cut_ = ended_ = false;
  bool any = false;
  std::string_view line;
  while (!ended_) {
    if (begin_ == end_ && !TRY(fill())) break;
    any = true;
    const auto* const from = reinterpret_cast<const char*>(buffer_.data()) + begin_;
    const void* const found = std::memchr(from, end_byte_, end_ - begin_);
    ended_ = found != nullptr;
    const size_t length =
        ended_ ? static_cast<size_t>(static_cast<const char*>(found) - from) : end_ - begin_;
    begin_ += length + (ended_ ? 1 : 0);
    if (ended_ && long_.empty()) {
      line = {from, length};
      cut_ = length > most_;
      line = line.substr(0, most_);
      break;
    }
    const size_t room = most_ - std::min(most_, long_.size());
    cut_ = cut_ || length > room;
    long_.append(from, std::min(length, room));
    line = long_;
  }
  if (!any) return std::optional<std::string_view>();
  ++line_;
  if (!cut_ && line.ends_with('\r')) line.remove_suffix(1);
  return std::optional<std::string_view>(line);
}

}  // namespace spillway::format

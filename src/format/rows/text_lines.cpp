#include "format/rows/text_lines.hpp"

#include <algorithm>
#include <cstring>

namespace spillway::format {

Result<std::optional<std::string_view>> TextLines::next() {
  long_.clear();
  cut_ = ended_ = false;
  bool any = false;
  std::string_view line;
  while (!ended_) {
    if (begin_ == end_) {
      begin_ = 0;
      end_ = TRY(stream_->read(buffer_));
      bytes_ += end_;
      if (end_ == 0) break;
    }
    any = true;
    const auto* const from = reinterpret_cast<const char*>(buffer_.data()) + begin_;
    const void* const found = std::memchr(from, '\n', end_ - begin_);
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

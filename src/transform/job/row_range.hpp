// Which rows of the input are worked on, counted from 0 over all files.
#pragma once

#include <cstdint>
#include <string>

#include "core/result.hpp"

namespace spillway::transform {

struct RowRange {
  static constexpr uint64_t kEnd = ~uint64_t{0};
  uint64_t first = 0, end = kEnd;  // without `end`
  bool is_all() const { return first == 0 && end == kEnd; }
};

std::string row_range_text(const RowRange& range);  // "10..20", "10.."
// "A..B", either of which may be left out. kUsage.
[[nodiscard]] Result<RowRange> parse_row_range(const std::string& text);

}  // namespace spillway::transform

#include "transform/job/row_range.hpp"

#include <fmt/format.h>

#include <charconv>

#include "core/printable.hpp"

namespace spillway::transform {

std::string row_range_text(const RowRange& range) {
  return range.end == RowRange::kEnd ? fmt::format("{}..", range.first)
                                     : fmt::format("{}..{}", range.first, range.end);
}

Result<RowRange> parse_row_range(const std::string& text) {
  const auto wrong = [&] {
    return fail(Code::kUsage,
                fmt::format("--rows {}: wants A..B: from row A, counted from 0, up to "
                            "row B and without it; either may be left out",
                            printable(text, 100)));
  };
  const size_t dots = text.find("..");
  if (dots == std::string::npos) return wrong();
  RowRange range;
  const auto read = [](std::string_view word, uint64_t& number) {
    const auto parsed = std::from_chars(word.data(), word.data() + word.size(), number);
    return word.empty() || (parsed.ec == std::errc() && parsed.ptr == word.data() + word.size());
  };
  const std::string_view words(text);
  if (!read(words.substr(0, dots), range.first) || !read(words.substr(dots + 2), range.end) ||
      range.first >= range.end)
    return wrong();
  return range;
}

}  // namespace spillway::transform

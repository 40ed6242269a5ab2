#include "expand/problem/argument.hpp"

#include <fmt/format.h>

#include <charconv>

namespace spillway::expand {

Result<uint64_t> parse_argument(std::string_view word, const ArgumentRange& range) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  const bool is_number = !word.empty() && end == word.data() + word.size() &&
                         (error == std::errc() || error == std::errc::result_out_of_range);
  if (!is_number) {
    return fail(Code::kUsage, fmt::format("{}: \"{}\" is not a number ({} to {})", range.what, word,
                                          range.least, range.greatest));
  }
  if (error != std::errc() || value < range.least || value > range.greatest) {
    return fail(Code::kUsage, fmt::format("{}: {} is out of range ({} to {})", range.what, word,
                                          range.least, range.greatest));
  }
  return value;
}

}  // namespace spillway::expand

#include "core/bytes.hpp"

#include <fmt/format.h>

#include <array>
#include <cctype>
#include <cmath>
#include <cstdlib>

namespace spillway {
namespace {

struct Unit {
  std::string_view name;
  double factor;
};
constexpr std::array<Unit, 13> kUnits{{{"", 1},
                                       {"b", 1},
                                       {"k", 1024.0},
                                       {"kib", 1024.0},
                                       {"kb", 1e3},
                                       {"m", 1048576.0},
                                       {"mib", 1048576.0},
                                       {"mb", 1e6},
                                       {"g", 1073741824.0},
                                       {"gib", 1073741824.0},
                                       {"gb", 1e9},
                                       {"tib", 1099511627776.0},
                                       {"tb", 1e12}}};

}  // namespace

Result<Bytes> parse_bytes(std::string_view text) {
  size_t digits = 0;
  while (digits < text.size() &&
         (std::isdigit(static_cast<unsigned char>(text[digits])) || text[digits] == '.')) {
    ++digits;
  }
  const std::string number(text.substr(0, digits));
  std::string unit;
  for (char c : text.substr(digits)) {
    if (c != ' ') unit += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  char* end = nullptr;
  const double value = std::strtod(number.c_str(), &end);
  if (digits > 0 && *end == '\0') {
    for (const Unit& candidate : kUnits) {
      if (candidate.name != unit) continue;
      const double bytes = value * candidate.factor;
      if (bytes < 9e18) return Bytes(static_cast<uint64_t>(std::llround(bytes)));
    }
  }
  return fail(Code::kUsage,
              fmt::format("'{}' is not a size; write it like 512MiB, 4GiB or 1500000", text));
}

std::string to_string(Bytes bytes) {
  constexpr std::array<std::string_view, 5> kNames{"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes.count());
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < kNames.size()) {
    value /= 1024;
    ++unit;
  }
  const bool whole = std::abs(value - std::round(value)) < 0.05;
  return whole ? fmt::format("{:.0f} {}", value, kNames[unit])
               : fmt::format("{:.1f} {}", value, kNames[unit]);
}

std::string grouped(uint64_t count) {
  std::string digits = fmt::format("{}", count);
  for (size_t at = digits.size(); at > 3; at -= 3) digits.insert(at - 3, ",");
  return digits;
}

}  // namespace spillway

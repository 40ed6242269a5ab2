#include "format/parquet/parquet_seal.hpp"

#include <fmt/format.h>
#include <xxhash.h>

#include <charconv>

#include "core/result.hpp"

namespace spillway::format {
namespace {

// Where the digits are: behind the key, a field header (field 2, binary) and their length.
size_t digits_in(std::string_view footer) {
  static const std::string before = fmt::format("{}\x18{}", kSealKey, char(kOpenSeal.size()));
  const size_t at = footer.find(before);
  if (at == std::string_view::npos || footer.size() - at - before.size() < kOpenSeal.size())
    return std::string_view::npos;
  return at + before.size();
}

std::optional<uint64_t> hex(std::string_view digits) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + 16, value, 16);
  if (error != std::errc() || end != digits.data() + 16) return std::nullopt;
  // One way to write a number only: what else reads the same is damage.
  if (fmt::format("{:016x}", value) != digits) return std::nullopt;
  return value;
}

}  // namespace

void close_seal(std::string& footer, uint64_t pages) {
  const size_t at = digits_in(footer);
  CHECK(at != std::string_view::npos);
  const std::string digits =
      fmt::format("{:016x}{:016x}", pages, XXH3_64bits(footer.data(), footer.size()));
  footer.replace(at, digits.size(), digits);
}

std::optional<OpenedSeal> open_seal(std::string& footer) {
  const size_t at = digits_in(footer);
  if (at == std::string_view::npos) return std::nullopt;
  const std::string digits = footer.substr(at, kOpenSeal.size());
  footer.replace(at, digits.size(), kOpenSeal);
  OpenedSeal opened;
  opened.footer = XXH3_64bits(footer.data(), footer.size());
  const auto pages = hex(std::string_view(digits).substr(0, 16));
  const auto told = hex(std::string_view(digits).substr(16));
  if (!pages || !told) {
    opened.told.footer = ~opened.footer;  // no such hash was written
    return opened;
  }
  opened.told = {*pages, *told};
  return opened;
}

}  // namespace spillway::format

#include "format/rows/usual_columns.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>

#include "core/printable.hpp"

namespace spillway::format {
namespace {

constexpr std::array<std::string_view, 14> kUsual{
    "smiles",       "canonicalsmiles", "isomericsmiles",   "cansmiles",       "isosmiles",
    "smilesstring", "molsmiles",       "structuresmiles",  "moleculesmiles",  "compoundsmiles",
    "smi",          "structure",       "openeyecansmiles", "openeyeisosmiles"};

std::string letters_of(std::string_view name) {
  std::string letters;
  for (const char c : name) {
    constexpr std::string_view kBetween = " _-.";
    if (kBetween.find(c) != std::string_view::npos) continue;
    letters += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return letters;
}

}  // namespace

Result<std::optional<size_t>> usual_column(const std::vector<std::string>& names,
                                           const std::string& path) {
  const auto plain = std::find(names.begin(), names.end(), "smiles");
  if (plain != names.end()) {
    const bool one = std::count(plain, names.end(), "smiles") == 1;
    return one ? std::optional<size_t>(plain - names.begin()) : std::nullopt;
  }
  std::vector<size_t> found;
  std::string told;
  for (size_t i = 0; i < names.size(); ++i) {
    if (std::find(kUsual.begin(), kUsual.end(), letters_of(names[i])) == kUsual.end()) continue;
    found.push_back(i);
    told +=
        fmt::format("{}'{}' (column {})", told.empty() ? "" : " or ", printable(names[i]), i + 1);
  }
  if (found.empty()) return std::optional<size_t>();
  if (found.size() == 1) return std::optional<size_t>(found[0]);
  return fail(Code::kUsage,
              fmt::format("{}: the molecules may be in {}: say which with --smiles-column", path,
                          printable(told, 500)));
}

}  // namespace spillway::format

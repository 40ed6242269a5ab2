#include "format/rows/row_name.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

namespace spillway::format {
namespace {

constexpr std::array<std::pair<std::string_view, RowFormat>, 6> kFormats{{
    {".parquet", RowFormat::kParquet},
    {".smi", RowFormat::kSmiles},
    {".smiles", RowFormat::kSmiles},
    {".csv", RowFormat::kCsv},
    {".tsv", RowFormat::kTsv},
    {".sdf", RowFormat::kSdf},
}};
constexpr std::array<std::pair<std::string_view, Packing>, 4> kPackings{{
    {"", Packing::kNone},
    {".gz", Packing::kGzip},
    {".bz2", Packing::kBzip2},
    {".zst", Packing::kZstd},
}};
constexpr size_t kLongestSuffix = 16;

}  // namespace

std::optional<RowName> row_name(std::string_view path) {
  std::string end(path.substr(path.size() - std::min(path.size(), kLongestSuffix)));
  std::transform(end.begin(), end.end(), end.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  for (const auto& [format_suffix, format] : kFormats) {
    for (const auto& [packing_suffix, packing] : kPackings) {
      if (format == RowFormat::kParquet && packing != Packing::kNone) continue;
      if (end.ends_with(std::string(format_suffix).append(packing_suffix)))
        return RowName{format, packing};
    }
  }
  return std::nullopt;
}

const std::vector<std::string>& row_suffixes() {
  static const std::vector<std::string> all = [] {
    std::vector<std::string> made;
    for (const auto& [format_suffix, format] : kFormats) {
      for (const auto& [packing_suffix, packing] : kPackings) {
        if (format == RowFormat::kParquet && packing != Packing::kNone) continue;
        made.push_back(std::string(format_suffix).append(packing_suffix));
      }
    }
    return made;
  }();
  return all;
}

}  // namespace spillway::format

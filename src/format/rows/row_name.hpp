// What a file of rows is by its name: `.csv.gz`, `.SMI`. Upper and lower case are the same.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::format {

enum class RowFormat { kParquet, kSmiles, kCsv, kTsv, kSdf };
enum class Packing { kNone, kGzip, kBzip2, kZstd };

struct RowName {
  RowFormat format = RowFormat::kSmiles;
  Packing packing = Packing::kNone;
};
std::optional<RowName> row_name(std::string_view path);  // none: not a name of rows

// All endings that row_name() knows, in lower case.
const std::vector<std::string>& row_suffixes();

}  // namespace spillway::format

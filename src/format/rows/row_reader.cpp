#include "format/rows/row_reader.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "format/rows/parquet_rows.hpp"
#include "format/rows/text_rows.hpp"

namespace spillway::format {

const std::vector<std::string>& RowReader::suffixes() {
  static const std::vector<std::string> all{".parquet", ".smi",    ".smi.gz", ".smiles",
                                            ".csv",     ".csv.gz", ".sdf",    ".sdf.gz"};
  return all;
}

Result<void> check_carried(size_t columns, const std::string& path) {
  if (columns <= RowReader::kMostCarriedColumns) return {};
  return fail(Code::kTooLarge,
              fmt::format("{}: {} columns to carry, more than {}; name those that matter: --carry "
                          "A,B",
                          path, grouped(columns), grouped(RowReader::kMostCarriedColumns)));
}

Result<std::unique_ptr<RowReader>> RowReader::open(const std::string& path,
                                                   const RowOptions& options, Account account) {
  const auto& known = suffixes();
  if (std::none_of(known.begin(), known.end(),
                   [&](const std::string& suffix) { return path.ends_with(suffix); })) {
    return fail(Code::kUsage, fmt::format("{}: not a kind of file that is read here: {}", path,
                                          fmt::join(known, ", ")));
  }
  auto source = TRY(open_source(path));
#ifdef SPILLWAY_HAVE_ARROW
  if (is_parquet(path)) return open_parquet_rows(std::move(source), options, std::move(account));
#else
  if (is_parquet(path))
    return fail(Code::kUsage, path + ": Parquet needs Arrow, which this build lacks: ./run build");
#endif
  return open_text_rows(std::move(source), options);
}

}  // namespace spillway::format

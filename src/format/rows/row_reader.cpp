#include "format/rows/row_reader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "format/magic.hpp"
#include "format/rows/parquet_rows.hpp"
#include "format/rows/text_rows.hpp"

namespace spillway::format {
namespace {

bool has_known_suffix(const std::string& path) {
  const auto& known = RowReader::suffixes();
  return std::any_of(known.begin(), known.end(),
                     [&](const std::string& suffix) { return path.ends_with(suffix); });
}

// Looks at the content: where a name lies, or says nothing, the file is called what it is.
Result<void> check_kind(const Source& source) {
  std::array<uint8_t, kMagicBytes> bytes{};
  const size_t count = std::min<uint64_t>(bytes.size(), source.size());
  TRY(source.read_at(0, std::span(bytes).first(count)));
  const FileKind kind = kind_of(std::span(bytes).first(count));
  const std::string& path = source.name();
  const bool known = has_known_suffix(path);
  const bool right = kind.magic == Magic::kUnknown || kind.magic == Magic::kGzip
                         ? known && !(kind.magic == Magic::kGzip && RowReader::is_parquet(path))
                         : kind.magic == Magic::kParquet && RowReader::is_parquet(path);
  if (right) return {};
  const std::string kinds = fmt::format("{}", fmt::join(RowReader::suffixes(), ", "));
  if (kind.magic == Magic::kUnknown)
    return fail(Code::kUsage,
                fmt::format("{}: not a kind of file that is read here: {}", path, kinds));
  return fail(known ? Code::kInvalid : Code::kUsage,
              fmt::format("{}: is {}, which is not {}{}{}", path, kind.name,
                          known ? "what its name says" : "read here: " + kinds,
                          kind.hint.empty() ? "" : "; ", kind.hint));
}

}  // namespace

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
  auto source = TRY(open_source(path));
  TRY(check_kind(*source));
#ifdef SPILLWAY_HAVE_ARROW
  if (is_parquet(path)) return open_parquet_rows(std::move(source), options, std::move(account));
#else
  if (is_parquet(path))
    return fail(Code::kUsage, path + ": Parquet needs Arrow, which this build lacks: ./run build");
#endif
  return open_text_rows(std::move(source), options);
}

}  // namespace spillway::format

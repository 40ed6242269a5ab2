#include "format/rows/row_reader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "format/magic.hpp"
#include "format/rows/parquet_rows.hpp"
#include "format/rows/text_rows.hpp"

namespace spillway::format {
namespace {

// Whether content of this kind is what the name says. Nothing tells plain text; gzip needs no name.
bool is_right(Magic magic, const RowName& name) {
  if (name.format == RowFormat::kParquet)
    return magic == Magic::kParquet || magic == Magic::kUnknown;
  switch (magic) {
    case Magic::kUnknown:
      return true;
    case Magic::kGzip:
      return name.packing == Packing::kNone || name.packing == Packing::kGzip;
    case Magic::kBzip2:
      return name.packing == Packing::kBzip2;
    case Magic::kZstd:
      return name.packing == Packing::kZstd;
    case Magic::kUtf16:
      return name.packing == Packing::kNone;
    default:
      return false;
  }
}

// Looks at the content: where a name lies, or says nothing, the file is called what it is.
Result<RowName> check_kind(const Source& source) {
  std::array<uint8_t, kMagicBytes> bytes{};
  const size_t count = std::min<uint64_t>(bytes.size(), source.size());
  TRY(source.read_at(0, std::span(bytes).first(count)));
  const FileKind kind = kind_of(std::span(bytes).first(count));
  const std::string& path = source.name();
  const auto known = row_name(path);
  if (known && is_right(kind.magic, *known)) return *known;
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

bool RowReader::is_parquet(std::string_view path) {
  const auto name = row_name(path);
  return name && name->format == RowFormat::kParquet;
}

Bytes RowReader::cost(std::string_view path) {
  const auto name = row_name(path);
  return cost() + (name ? unpacking_cost(name->packing) : Bytes(0));
}

const std::string& RowReader::guessed_column() const {
  static const std::string none;
  return none;
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
  const RowName name = TRY(check_kind(*source));
#ifdef SPILLWAY_HAVE_ARROW
  if (name.format == RowFormat::kParquet)
    return open_parquet_rows(std::move(source), options, std::move(account));
#else
  if (name.format == RowFormat::kParquet)
    return fail(Code::kUsage, path + ": Parquet needs Arrow, which this build lacks: ./run build");
#endif
  return open_text_rows(std::move(source), name, options, account);
}

}  // namespace spillway::format

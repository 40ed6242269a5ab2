#include "format/rows/text_rows.hpp"

#include <fmt/format.h>

#include "core/printable.hpp"
#include "format/rows/csv_rows.hpp"
#include "format/rows/row_name.hpp"
#include "format/rows/sdf_rows.hpp"
#include "format/unpacked_stream.hpp"

namespace spillway::format {
namespace {

// What stands behind the molecule of a line, without a CXSMILES extension between bars.
std::string_view name_behind(std::string_view rest) {
  rest = trimmed(rest);
  if (!rest.starts_with('|')) return rest;
  const size_t end = rest.find('|', 1);
  return end == std::string_view::npos ? rest : trimmed(rest.substr(end + 1));
}

class SmilesReader final : public TextReader {
 public:
  using TextReader::TextReader;

  Result<void> prepare(const RowOptions& options) {
    for (const std::string& word : options.carry) {
      if (word == "name" && carried_.empty()) continue;
      return fail(Code::kUsage, fmt::format("{}: a SMILES file has no column '{}' to carry; what "
                                            "stands behind the molecule is 'name'",
                                            lines_->name(), printable(word)));
    }
    if (options.carry.empty() && !options.carry_all) return {};
    carried_.push_back({"name", ColumnType::kString, true});
    ValueWriter(empty_carried_).null();
    return {};
  }

  Result<bool> next(InputRow& row) override {
    while (const auto line = TRY(lines_->next())) {
      const size_t begin = line->find_first_not_of(kBlanks);
      if (begin == std::string_view::npos || (*line)[begin] == '#') continue;
      put_text(row, *line);
      if (!carried_.empty()) carry(row, *line, begin);
      return true;
    }
    return false;
  }

 private:
  void carry(InputRow& row, std::string_view line, size_t begin) {
    const std::string_view name =
        name_behind(line.substr(std::min(line.find_first_of(kBlanks, begin), line.size())));
    carried_bytes_.clear();
    ValueWriter value(carried_bytes_);
    if (name.empty())
      value.null();
    else
      value.text(name);
    row.carried = carried_bytes_;
    const bool fits = carried_bytes_.size() <= kMaxCarried;
    if (fits && is_utf8(name)) return;
    row.carried = empty_carried_;
    row.problem = fits ? kCarriedNotUtf8 : kCarriedTooLong;
  }

  std::string carried_bytes_, empty_carried_;
};

Result<std::unique_ptr<RowReader>> open_smiles_rows(std::unique_ptr<TextLines> lines, uint64_t size,
                                                    const RowOptions& options) {
  auto reader = std::make_unique<SmilesReader>(std::move(lines), size);
  TRY(reader->prepare(options));
  return reader;
}

std::optional<Unpack> unpack_of(Packing packing) {
  if (packing == Packing::kBzip2) return Unpack::kBzip2;
  if (packing == Packing::kZstd) return Unpack::kZstd;
  return std::nullopt;
}

}  // namespace

Bytes unpacking_cost(Packing packing) {
  const auto unpack = unpack_of(packing);
  return unpack ? unpacking_cost(*unpack) : Bytes(0);
}

Result<std::unique_ptr<RowReader>> open_text_rows(std::unique_ptr<Source> source, RowName name,
                                                  const RowOptions& options, Account& account) {
  // Of packed text a ratio of 4 is guessed, which only the ETA sees.
  const uint64_t size = source->size() * (name.packing == Packing::kNone ? 1 : 4);
  const auto unpack = unpack_of(name.packing);
  auto stream = ByteStream::of(std::move(source),
                               unpack ? ByteStream::Gzip::kNever : ByteStream::Gzip::kByContent);
  if (unpack) stream = TRY(unpacked(std::move(stream), *unpack, account));
  auto lines = std::make_unique<TextLines>(as_utf8(std::move(stream), options.encoding),
                                           RowReader::kMaxRecord);
  const char delimiter = options.delimiter != '\0'        ? options.delimiter
                         : name.format == RowFormat::kTsv ? '\t'
                                                          : '\0';
  switch (name.format) {
    case RowFormat::kCsv:
    case RowFormat::kTsv:
      return open_csv_rows(std::move(lines), size, delimiter, options);
    case RowFormat::kSdf:
      return open_sdf_rows(std::move(lines), size, options);
    default:
      return open_smiles_rows(std::move(lines), size, options);
  }
}

}  // namespace spillway::format

// Rows of one text column (several, in CSV) from Parquet, SMILES, CSV and SDF files, with other
// columns carried along. Knows no chemistry: what the text means is the caller's business.
//
// .parquet           one string column; others by name
// .smi .smiles       the first token of each line; `name` is what stands behind it; blank lines and
//                    lines that begin with # are none
// .csv .tsv          RFC 4180, "" for a quote; commas, semicolons or tabs; line breaks within quotes
// .sdf               a record up to a line $$$$ is one text; its data fields can be carried, and its
//                    title as `name`
// and the text formats with .gz, .bz2 or .zst behind, in upper case or lower.
//
// Of a cell the first token is the text, as in a line of SMILES.
// Row      `text` is null where the file has a null or an empty field. A text above kMaxText is not
//          a row that can be worked on: `problem` says why, and text is its beginning. So is a
//          record that is broken; what is broken never ends the reading, damage to the packing does.
// Memory   cost(path). Text formats: fixed, and what unpacking takes is leased from `account`. Parquet: pages and batches of kBatchRows rows, whatever the
//          size of its row groups, charged to `account`; refusal is kMemoryLimit.
// Threads  One.
// Fails    kInvalid (wrong column, damaged packing), kCorrupt (Parquet), with file and byte or row;
//          kTooLarge (columns); kMemoryLimit.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/file/source.hpp"
#include "core/memory/budget.hpp"
#include "core/result.hpp"
#include "format/column.hpp"
#include "format/recoded_stream.hpp"
#include "format/rows/row_name.hpp"

namespace spillway::format {

struct RowOptions {
  std::vector<std::string> text_columns;  // names, or 1-based numbers; empty: usual_column()
  bool header = true;                     // CSV: the first line names the columns
  bool carry_all = false;                 // all other columns
  std::vector<std::string> carry;         // these
  bool first_token = true;              // Parquet: of a cell, as everywhere else; false: all of it
  size_t most_text = size_t{16} << 10;  // Parquet: kMaxText, or more
  char delimiter = '\0';                // CSV; none: tabs in .tsv, else what the first line has
  TextEncoding encoding = TextEncoding::kUtf8;  // of text without a byte order mark
};

enum class RowKind { kLine, kRecord };  // a token or cell; an SDF record

struct InputRow {
  std::optional<std::string_view> text;
  std::string_view problem;  // not empty: the row cannot be read; why
  std::string_view carried;  // ValueWriter's encoding, one value a carried column
};

class RowReader {
 public:
  static constexpr size_t kMaxText = size_t{16} << 10;     // of one text
  static constexpr size_t kMaxRecord = size_t{1} << 20;    // of one line, CSV record or SDF record
  static constexpr size_t kMaxCarried = size_t{64} << 10;  // of a row's carried values together
  static constexpr size_t kMostColumns = 16384;            // of a file
  static constexpr size_t kMostCarriedColumns = 1024;
  static constexpr int64_t kBatchRows = 256;

  static const std::vector<std::string>& suffixes() { return row_suffixes(); }
  static bool is_parquet(std::string_view path);
  static Bytes cost() { return Bytes(size_t{5} << 20); }  // of Parquet and plain or gzipped text
  static Bytes cost(std::string_view path);

  [[nodiscard]] static Result<std::unique_ptr<RowReader>> open(const std::string& path,
                                                               const RowOptions& options,
                                                               Account account);
  virtual ~RowReader() = default;
  // The next row; false at the end. Views are valid until the next call.
  [[nodiscard]] virtual Result<bool> next(InputRow& row) = 0;
  // The carried columns, in their order.
  virtual const std::vector<ColumnSpec>& carried() const = 0;
  virtual RowKind kind() const { return RowKind::kLine; }
  // CSV with a header: what stands in it above the text columns.
  virtual std::vector<std::string> headings() const { return {}; }
  // The column that the texts are from, where nobody named it and it is not called `smiles`.
  virtual const std::string& guessed_column() const;
  // How much of the file was read, 0..1.
  virtual double fraction() const = 0;
};

// kTooLarge when `columns` are more than can be carried.
[[nodiscard]] Result<void> check_carried(size_t columns, const std::string& path);

}  // namespace spillway::format

// What the readers of text formats share: lines, how far they are, and what a cell's text is.
#pragma once

#include <algorithm>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "format/rows/row_reader.hpp"
#include "format/rows/text_lines.hpp"

namespace spillway::format {

constexpr std::string_view kBlanks = " \t\r\v\f";
constexpr std::string_view kTooLong = "the text is longer than 16 KiB";
constexpr std::string_view kCarriedNotUtf8 =
    "a carried column is not UTF-8; say what it is: --encoding latin-1";
constexpr std::string_view kCarriedTooLong = "the carried columns are longer than 64 KiB together";
constexpr std::string_view kRecordTooLong = "the record is longer than 1 MiB";

inline std::string_view trimmed(std::string_view text) {
  const size_t begin = std::min(text.find_first_not_of(kBlanks), text.size());
  const size_t end = text.find_last_not_of(kBlanks);
  return text.substr(begin, end == std::string_view::npos ? 0 : end + 1 - begin);
}

// The first token of a cell, as of a line of SMILES: what may stand behind it is a name or an
// extension (CXSMILES), and no part of the molecule.
inline void put_text(InputRow& row, std::string_view cell, size_t most = RowReader::kMaxText,
                     std::string_view too_long = kTooLong) {
  row = InputRow{};
  const std::string_view rest = trimmed(cell);
  const std::string_view text = rest.substr(0, std::min(rest.find_first_of(kBlanks), rest.size()));
  if (text.empty()) return;
  row.text = text.substr(0, most);
  if (text.size() > most) row.problem = too_long;
}

class TextReader : public RowReader {
 public:
  TextReader(std::unique_ptr<TextLines> lines, uint64_t size)
      : lines_(std::move(lines)), size_(size) {}
  const std::vector<ColumnSpec>& carried() const override { return carried_; }
  double fraction() const override {
    const auto all = static_cast<double>(size_);
    return all > 0 ? std::min(1.0, static_cast<double>(lines_->bytes_read()) / all) : 1.0;
  }

 protected:
  std::unique_ptr<TextLines> lines_;
  uint64_t size_;  // of the text, about
  std::vector<ColumnSpec> carried_;
};

}  // namespace spillway::format

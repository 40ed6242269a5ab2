#include "format/rows/text_rows.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "core/printable.hpp"
#include "format/rows/text_lines.hpp"

namespace spillway::format {
namespace {

constexpr std::string_view kBlanks = " \t\r\v\f";
constexpr std::string_view kTooLong = "the text is longer than 16 KiB";
constexpr std::string_view kCarriedNotUtf8 = "a carried column is not UTF-8";
constexpr std::string_view kCarriedTooLong = "the carried columns are longer than 64 KiB together";

void put_text(InputRow& row, std::string_view text) {
  row = InputRow{};
  if (text.empty()) return;
  row.text = text.substr(0, RowReader::kMaxText);
  if (text.size() > RowReader::kMaxText) row.problem = kTooLong;
}

// Text lines and how far they are.
class TextReader : public RowReader {
 public:
  TextReader(std::unique_ptr<TextLines> lines, uint64_t size)
      : lines_(std::move(lines)), size_(size) {}
  const std::vector<ColumnSpec>& carried() const override { return carried_; }
  double fraction() const override {
    // Of gzip the inflated bytes are counted; a ratio of 4 is a guess that only ETA sees.
    const double all = static_cast<double>(size_) * (lines_->name().ends_with(".gz") ? 4.0 : 1.0);
    return all > 0 ? std::min(1.0, static_cast<double>(lines_->bytes_read()) / all) : 1.0;
  }

 protected:
  std::unique_ptr<TextLines> lines_;
  uint64_t size_;
  std::vector<ColumnSpec> carried_;
};

class SmilesReader final : public TextReader {
 public:
  using TextReader::TextReader;
  Result<bool> next(InputRow& row) override {
    while (const auto line = TRY(lines_->next())) {
      const size_t begin = line->find_first_not_of(kBlanks);
      if (begin == std::string_view::npos || (*line)[begin] == '#') continue;
      const size_t end = std::min(line->find_first_of(kBlanks, begin), line->size());
      put_text(row, line->substr(begin, end - begin));
      return true;
    }
    return false;
  }
};

class CsvReader final : public TextReader {
 public:
  using TextReader::TextReader;

  Result<void> prepare(const RowOptions& options) {
    std::vector<std::string> names;
    if (options.header) {
      if (!TRY(read_record()))
        return fail(Code::kInvalid, lines_->name() + ": is empty; a header line is missing");
      for (size_t i = 0; i < fields_.size(); ++i) names.emplace_back(field(i));
      width_ = names.size();
    } else {
      if (!TRY(read_record())) return {};
      width_ = fields_.size();
      held_ = true;
    }
    TRY(choose(options, names));
    return choose_carried(options, names);
  }

  Result<bool> next(InputRow& row) override {
    if (cell_ == columns_.size()) {
      if (columns_.empty()) return false;  // an empty file
      if (!held_ && !TRY(read_record())) return false;
      held_ = false;
      cell_ = 0;
      carry();
    }
    put_text(row, field(columns_[cell_++]));
    row.carried = carried_bytes_;
    if (record_cut_) row.problem = "the record is longer than 1 MiB";
    if (!carried_problem_.empty()) {
      row.carried = empty_carried_;
      row.problem = carried_problem_;
    }
    return true;
  }
  std::vector<std::string> headings() const override { return headings_; }

 private:
  std::string_view field(size_t index) const {
    return std::string_view(record_).substr(fields_[index].first, fields_[index].second);
  }
  std::string where() const { return fmt::format("{}:{}", lines_->name(), record_line_); }

  // One record into record_ and fields_; blank lines between records are skipped.
  Result<bool> read_record() {
    record_.clear();
    fields_.clear();
    record_cut_ = false;
    std::optional<std::string_view> line;
    do {
      line = TRY(lines_->next());
      if (!line) return false;
    } while (line->empty());
    record_line_ = lines_->line();
    bool quoted = false;  // within quotes
    bool closed = false;  // the field's quotes were closed
    size_t begin = 0;     // of the field, in record_
    const auto end_field = [&] {
      if (fields_.size() > kMostColumns) return;
      fields_.emplace_back(begin, record_.size() - begin);
      begin = record_.size();
      closed = false;
    };
    while (true) {
      record_cut_ = record_cut_ || lines_->was_cut();
      for (size_t i = 0; i < line->size(); ++i) {
        const char c = (*line)[i];
        if (quoted) {
          if (c != '"') {
            put(c);
          } else if (i + 1 < line->size() && (*line)[i + 1] == '"') {
            put(c);
            ++i;
          } else {
            quoted = false;
            closed = true;
          }
        } else if (c == ',') {
          end_field();
        } else if (c == '"' && record_.size() == begin && !closed) {
          quoted = true;
        } else if (closed) {
          return fail(Code::kInvalid, fmt::format("{}: text behind a closing quote", where()));
        } else {
          put(c);
        }
      }
      if (!quoted) break;
      put('\n');
      line = TRY(lines_->next());
      if (!line) return fail(Code::kInvalid, fmt::format("{}: a quote is never closed", where()));
    }
    end_field();
    if (fields_.size() > kMostColumns) {
      return fail(Code::kTooLarge, fmt::format("{}: a record of more than {} fields", where(),
                                               grouped(kMostColumns)));
    }
    if (width_ != 0 && fields_.size() != width_ && !record_cut_) {
      return fail(Code::kInvalid, fmt::format("{}: {} fields, where the first line has {}", where(),
                                              fields_.size(), width_));
    }
    while (fields_.size() < width_) fields_.emplace_back(record_.size(), 0);
    return true;
  }
  void put(char c) {
    if (record_.size() < kMaxRecord)
      record_ += c;
    else
      record_cut_ = true;
  }

  Result<size_t> column_of(const std::string& word, const std::vector<std::string>& names) const {
    const auto same = std::count(names.begin(), names.end(), word);
    if (same > 1) {
      return fail(Code::kUsage,
                  fmt::format("{}: {} columns are named '{}': give the number of the one that is "
                              "meant, from 1",
                              lines_->name(), same, printable(word)));
    }
    const auto at = std::find(names.begin(), names.end(), word);
    if (at != names.end()) return static_cast<size_t>(at - names.begin());
    size_t number = 0;
    const auto parsed = std::from_chars(word.data(), word.data() + word.size(), number);
    if (parsed.ec == std::errc() && parsed.ptr == word.data() + word.size()) {
      if (number >= 1 && number <= width_) return number - 1;
      return fail(Code::kUsage,
                  fmt::format("{}: no column {}: there are {}", lines_->name(), word, width_));
    }
    if (names.empty()) {
      return fail(Code::kUsage, fmt::format("{}: no column '{}': without a header columns have "
                                            "numbers, from 1",
                                            lines_->name(), word));
    }
    const bool other = names.size() == 1 && names[0].find_first_of(";\t|") != std::string::npos;
    return fail(
        Code::kUsage,
        fmt::format("{}: no column '{}'; there are {} ({})", lines_->name(), printable(word),
                    printable(fmt::format("{}", fmt::join(names, ", ")), 500),
                    other ? "fields are separated by commas here, and this line has another mark"
                          : "choose with --smiles-column, or --no-header when the first line is "
                            "data"));
  }

  Result<void> choose(const RowOptions& options, const std::vector<std::string>& names) {
    std::vector<std::string> words = options.text_columns;
    if (words.empty()) words = {options.header ? options.default_column : "1"};
    for (const std::string& word : words) {
      columns_.push_back(TRY(column_of(word, names)));
    }
    std::sort(columns_.begin(), columns_.end());  // read left to right
    if (std::adjacent_find(columns_.begin(), columns_.end()) != columns_.end())
      return fail(Code::kUsage, lines_->name() + ": a column is named twice");
    for (const size_t column : columns_) {
      if (!names.empty()) headings_.push_back(names[column]);
    }
    cell_ = columns_.size();
    return {};
  }

  Result<void> choose_carried(const RowOptions& options, const std::vector<std::string>& names) {
    for (const std::string& word : options.carry)
      carried_columns_.push_back(TRY(column_of(word, names)));
    if (options.carry_all) {
      for (size_t i = 0; i < width_; ++i) {
        if (std::find(columns_.begin(), columns_.end(), i) == columns_.end())
          carried_columns_.push_back(i);
      }
    }
    TRY(check_carried(carried_columns_.size(), lines_->name()));
    ValueWriter nothing(empty_carried_);
    for (const size_t column : carried_columns_) {
      const bool unnamed = names.empty() || names[column].empty();
      if (!unnamed && !is_utf8(names[column])) {
        return fail(Code::kInvalid,
                    fmt::format("{}: the name of column {}, '{}', is not UTF-8; convert the file: "
                                "iconv -t UTF-8",
                                lines_->name(), column + 1, printable(names[column])));
      }
      carried_.push_back({unnamed ? fmt::format("column_{}", column + 1) : names[column],
                          ColumnType::kString, true});
      nothing.null();
    }
    return {};
  }

  void carry() {
    carried_bytes_.clear();
    carried_problem_ = {};
    ValueWriter values(carried_bytes_);
    for (const size_t column : carried_columns_) {
      const std::string_view text = field(column);
      if (text.empty())
        values.null();
      else
        values.text(text);
      if (!is_utf8(text)) carried_problem_ = kCarriedNotUtf8;
    }
    if (carried_bytes_.size() > kMaxCarried) carried_problem_ = kCarriedTooLong;
  }

  std::string record_;
  std::vector<std::pair<size_t, size_t>> fields_;  // bounded by kMaxRecord
  size_t width_ = 0;
  uint64_t record_line_ = 0;
  bool held_ = false;  // the first record was read to learn the width
  bool record_cut_ = false;
  std::vector<size_t> columns_, carried_columns_;
  std::vector<std::string> headings_;
  std::string carried_bytes_, empty_carried_;
  std::string_view carried_problem_;
  size_t cell_ = 0;
};

class SdfReader final : public TextReader {
 public:
  using TextReader::TextReader;
  RowKind kind() const override { return RowKind::kRecord; }

  Result<void> prepare(const RowOptions& options) {
    if (options.carry_all) {
      return fail(Code::kUsage, lines_->name() +
                                    ": an SDF says nowhere which fields it has; name those to "
                                    "carry: --carry A,B");
    }
    TRY(check_carried(options.carry.size(), lines_->name()));
    ValueWriter nothing(empty_carried_);
    for (const std::string& name : options.carry) {
      carried_.push_back({name, ColumnType::kString, true});
      nothing.null();
    }
    values_.resize(carried_.size());
    return {};
  }

  Result<bool> next(InputRow& row) override {
    record_.clear();
    bool any = false, cut = false;
    for (auto& value : values_) value.reset();
    carried_size_ = 0;
    std::optional<std::string>* field = nullptr;  // being read
    while (const auto line = TRY(lines_->next())) {
      if (line->starts_with("$$$$")) {
        finish(row, cut);
        return true;
      }
      any = any || line->find_first_not_of(kBlanks) != std::string_view::npos;
      cut = cut || lines_->was_cut() || record_.size() + line->size() >= kMaxRecord;
      if (!cut) {
        record_ += *line;
        record_ += '\n';
      }
      field = next_field(*line, field);
    }
    if (!any) return false;
    return fail(Code::kCorrupt,
                fmt::format("{}:{}: the last record has no $$$$: the file is cut short",
                            lines_->name(), lines_->line()));
  }

 private:
  std::optional<std::string>* next_field(std::string_view line, std::optional<std::string>* field) {
    if (carried_.empty()) return nullptr;
    if (line.starts_with(">")) {
      const size_t begin = line.find('<');
      const size_t end = line.rfind('>');
      if (begin == std::string_view::npos || end <= begin) return nullptr;
      const std::string_view name = line.substr(begin + 1, end - begin - 1);
      for (size_t i = 0; i < carried_.size(); ++i) {
        if (carried_[i].name == name) return &values_[i];
      }
      return nullptr;
    }
    if (field == nullptr || line.empty()) return nullptr;
    carried_size_ += line.size() + 1;
    if (carried_size_ > kMaxCarried) return field;  // the row is refused; nothing more is kept
    if (*field)
      **field += '\n';
    else
      *field = std::string();
    **field += line;
    return field;
  }

  void finish(InputRow& row, bool cut) {
    row = InputRow{};
    row.text = record_;
    carried_bytes_.clear();
    ValueWriter values(carried_bytes_);
    bool utf8 = true;
    for (const auto& value : values_) {
      if (value)
        values.text(*value);
      else
        values.null();
      utf8 = utf8 && is_utf8(value.value_or(std::string()));
    }
    row.carried = carried_bytes_;
    if (cut) row.problem = "the record is longer than 1 MiB";
    const bool fits = carried_size_ <= kMaxCarried && carried_bytes_.size() <= kMaxCarried;
    if (utf8 && fits) return;
    row.carried = empty_carried_;
    row.problem = fits ? kCarriedNotUtf8 : kCarriedTooLong;
  }

  std::string record_;
  std::vector<std::optional<std::string>> values_;  // of the carried fields
  size_t carried_size_ = 0;
  std::string carried_bytes_, empty_carried_;
};

bool names_csv(std::string_view path) {
  return path.ends_with(".csv") || path.ends_with(".csv.gz");
}
bool names_sdf(std::string_view path) {
  return path.ends_with(".sdf") || path.ends_with(".sdf.gz");
}

}  // namespace

Result<std::unique_ptr<RowReader>> open_text_rows(std::unique_ptr<Source> source,
                                                  const RowOptions& options) {
  const std::string path = source->name();
  const uint64_t size = source->size();
  auto stream = ByteStream::of(std::move(source), ByteStream::Gzip::kByContent);
  auto lines = std::make_unique<TextLines>(std::move(stream), RowReader::kMaxRecord);
  if (names_csv(path)) {
    auto reader = std::make_unique<CsvReader>(std::move(lines), size);
    TRY(reader->prepare(options));
    return reader;
  }
  if (names_sdf(path)) {
    auto reader = std::make_unique<SdfReader>(std::move(lines), size);
    TRY(reader->prepare(options));
    return reader;
  }
  if (!options.carry.empty()) {
    return fail(Code::kUsage, path + ": a SMILES file has no other columns to carry");
  }
  return std::make_unique<SmilesReader>(std::move(lines), size);
}

}  // namespace spillway::format

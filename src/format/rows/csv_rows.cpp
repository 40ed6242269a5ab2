#include "format/rows/csv_rows.hpp"

#include <fmt/format.h>

#include <charconv>

#include "core/printable.hpp"
#include "format/rows/usual_columns.hpp"

namespace spillway::format {
namespace {

constexpr std::string_view kDelimiters = ",;\t";
constexpr size_t kShown = 200;  // bytes of a broken record's first line

std::string_view name_of(char delimiter) {
  return delimiter == '\t' ? "tabs" : delimiter == ';' ? "semicolons" : "commas";
}

// The lines, of which those of the record at hand can be read again.
class LinesAgain {
 public:
  explicit LinesAgain(TextLines& lines) : lines_(lines) {}

  // Valid until the next call.
  Result<std::optional<std::string_view>> next() {
    if (at_ < kept_.size()) {
      const size_t end = kept_.find(lines_.end_byte(), at_);
      const std::string_view line = std::string_view(kept_).substr(at_, end - at_);
      at_ = end + 1;
      cut_ = line.size() >= RowReader::kMaxRecord;
      ++line_;
      return std::optional<std::string_view>(line);
    }
    const auto line = TRY(lines_.next());
    if (!line) return line;
    cut_ = lines_.was_cut();
    ++line_;
    if (keeps_) {
      kept_.erase(0, mark_);
      mark_ = 0;
      kept_ += *line;
      kept_ += lines_.end_byte();
      at_ = kept_.size();
    }
    return line;
  }
  // What is read from here on, next() gives once more after again().
  void keep() {
    keeps_ = true;
    mark_ = at_;
    marked_line_ = line_;
  }
  void again() {
    keeps_ = false;
    at_ = mark_;
    line_ = marked_line_;
  }
  void let_go() { keeps_ = false; }
  size_t bytes_since_keep() const { return at_ - mark_; }
  bool was_cut() const { return cut_; }
  uint64_t line() const { return line_; }

 private:
  TextLines& lines_;
  std::string kept_;  // at most a record and a line
  size_t at_ = 0, mark_ = 0;
  uint64_t line_ = 0, marked_line_ = 0;
  bool keeps_ = false, cut_ = false;
};

class CsvReader final : public TextReader {
 public:
  CsvReader(std::unique_ptr<TextLines> lines, uint64_t size)
      : TextReader(std::move(lines), size), again_(*lines_) {}

  Result<void> prepare(const RowOptions& options, char delimiter) {
    std::vector<std::string> first = TRY(first_record(options, delimiter));
    if (first.empty()) {
      if (!options.header) return {};
      return fail(Code::kInvalid, lines_->name() + ": is empty; a header line is missing");
    }
    width_ = first.size();
    held_ = !options.header;
    const Names names = options.header ? std::move(first) : Names();
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
    const size_t column = columns_[cell_++];
    if (broken_.empty()) {
      put_text(row, field(column));
    } else {
      row = InputRow{};
      row.text = shown_;
      row.problem = broken_;
    }
    row.carried = carried_bytes_;
    if (!broken_.empty() || carried_problem_.empty()) return true;
    row.carried = empty_carried_;
    row.problem = carried_problem_;
    return true;
  }
  std::vector<std::string> headings() const override { return headings_; }
  const std::string& guessed_column() const override { return guessed_; }

 private:
  using Names = std::vector<std::string>;

  std::string_view field(size_t index) const {
    return std::string_view(record_).substr(fields_[index].first, fields_[index].second);
  }

  // The first record, with the delimiter that is given, or the one that suits it: that under which
  // the wanted columns are there; else the one that makes most fields, commas first.
  Result<Names> first_record(const RowOptions& options, char given) {
    Names best;
    std::optional<Error> problem;
    for (const char delimiter : given == '\0' ? kDelimiters : std::string_view(&given, 1)) {
      delimiter_ = delimiter;
      again_.keep();
      if (!TRY(read_record())) return Names();
      again_.again();
      if (!broken_.empty()) {
        if (problem) continue;  // what is wrong with commas is told
        problem.emplace(broken_code_, lines_->name() + ": " + broken_);
        continue;
      }
      Names names;
      for (size_t i = 0; i < fields_.size(); ++i) names.emplace_back(field(i));
      const bool wanted = options.header && has_wanted(names, options.text_columns);
      const bool commas_do = chosen_ == ',' && best.size() > 1;
      if (!wanted && !best.empty() && (commas_do || names.size() <= best.size())) continue;
      best = std::move(names);
      chosen_ = delimiter;
      if (wanted) break;
    }
    const bool too_large = problem && problem->code() == Code::kTooLarge;
    if (best.empty() || too_large) return fail(std::move(*problem));
    delimiter_ = chosen_;
    TRY(read_record());
    return best;
  }
  bool has_wanted(const Names& names, const Names& words) const {
    if (words.empty()) {
      const auto found = usual_column(names, lines_->name());
      return !found || *found;  // or several
    }
    return std::all_of(words.begin(), words.end(), [&](const std::string& word) {
      return std::find(names.begin(), names.end(), word) != names.end();
    });
  }

  // One record into record_ and fields_, and what is wrong with it into broken_; blank lines between
  // records are skipped.
  Result<bool> read_record() {
    std::optional<std::string_view> line;
    do {
      line = TRY(again_.next());
      if (!line) return false;
    } while (line->empty());
    record_.clear();
    fields_.clear();
    broken_.clear();
    record_line_ = again_.line();
    shown_.assign(line->substr(0, kShown));
    const bool first = width_ == 0;
    if (!first) again_.keep();
    State state;
    bool whole = parse_line(*line, state);
    while (whole && state.quoted) {
      record_ += '\n';
      line = TRY(again_.next());
      const bool too_long = line && (record_.size() + line->size() > kMaxRecord ||
                                     again_.bytes_since_keep() > kMaxRecord);
      if (!line || too_long) {
        break_at(line ? "a quote is not closed within 1 MiB"
                      : "a quote is not closed until the end");
        whole = false;
      } else {
        whole = parse_line(*line, state);
      }
    }
    if (!whole && !first)
      again_.again();
    else if (!first)
      again_.let_go();
    if (!whole) return true;
    end_field(state);
    if (!first && fields_.size() != width_)
      break_at(fmt::format("{} {}, where the first line has {}", fields_.size(),
                           fields_.size() == 1 ? "field" : "fields", width_));
    return true;
  }
  void break_at(std::string_view how, Code code = Code::kInvalid) {
    broken_ = fmt::format("line {}: {}", record_line_, how);
    broken_code_ = code;
  }

  struct State {
    bool quoted = false;  // within quotes
    bool closed = false;  // the field's quotes were closed
    size_t begin = 0;     // of the field, in record_
  };
  // False: broken_ says why, and where to go on is behind the record's first line.
  bool parse_line(std::string_view line, State& state) {
    if (again_.was_cut()) {
      break_at(kRecordTooLong, Code::kTooLarge);
      return false;
    }
    for (size_t i = 0; i < line.size(); ++i) {
      const char c = line[i];
      if (state.quoted) {
        if (c != '"') {
          record_ += c;
        } else if (i + 1 < line.size() && line[i + 1] == '"') {
          record_ += c;
          ++i;
        } else {
          state.quoted = false;
          state.closed = true;
        }
      } else if (c == delimiter_) {
        end_field(state);
        if (fields_.size() < kMostColumns) continue;
        break_at(fmt::format("more than {} fields", grouped(kMostColumns)), Code::kTooLarge);
        return false;
      } else if (c == '"' && record_.size() == state.begin && !state.closed) {
        state.quoted = true;
      } else if (state.closed) {
        break_at("text behind a closing quote");
        return false;
      } else {
        record_ += c;
      }
    }
    return true;
  }
  void end_field(State& state) {
    fields_.emplace_back(state.begin, record_.size() - state.begin);
    state.begin = record_.size();
    state.closed = false;
  }

  Result<size_t> column_of(const std::string& word, const Names& names) const {
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
    return fail(
        Code::kUsage,
        fmt::format(
            "{}: no column '{}'; there are {} (fields are separated by {} here; choose with "
            "--smiles-column, or --no-header when the first line is data)",
            lines_->name(), printable(word),
            printable(fmt::format("{}", fmt::join(names, ", ")), 500), name_of(delimiter_)));
  }

  Result<void> choose(const RowOptions& options, const Names& names) {
    std::vector<std::string> words = options.text_columns;
    if (words.empty() && options.header) {
      const auto usual = TRY(usual_column(names, lines_->name()));
      columns_.push_back(usual ? *usual : TRY(column_of("smiles", names)));
      if (names[columns_[0]] != "smiles") guessed_ = names[columns_[0]];
    } else if (words.empty()) {
      words = {"1"};
    }
    for (const std::string& word : words) columns_.push_back(TRY(column_of(word, names)));
    std::sort(columns_.begin(), columns_.end());  // read left to right
    if (std::adjacent_find(columns_.begin(), columns_.end()) != columns_.end())
      return fail(Code::kUsage, lines_->name() + ": a column is named twice");
    for (const size_t column : columns_) {
      if (!names.empty()) headings_.push_back(names[column]);
    }
    cell_ = columns_.size();
    return {};
  }

  Result<void> choose_carried(const RowOptions& options, const Names& names) {
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
                    fmt::format("{}: the name of column {}, '{}', is not UTF-8; say what the file "
                                "is: --encoding latin-1",
                                lines_->name(), column + 1, printable(names[column])));
      }
      carried_.push_back({unnamed ? fmt::format("column_{}", column + 1) : names[column],
                          ColumnType::kString, true});
      nothing.null();
    }
    return {};
  }

  void carry() {
    carried_problem_ = {};
    carried_bytes_ = broken_.empty() ? std::string() : empty_carried_;
    if (!broken_.empty()) return;
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

  LinesAgain again_;
  std::string record_;  // its fields behind each other; at most kMaxRecord
  std::string shown_, broken_;
  Code broken_code_ = Code::kInvalid;
  std::vector<std::pair<size_t, size_t>> fields_;  // bounded by kMostColumns
  size_t width_ = 0;
  uint64_t record_line_ = 0;
  bool held_ = false;  // the first record is data
  char delimiter_ = ',', chosen_ = ',';
  std::vector<size_t> columns_, carried_columns_;
  std::vector<std::string> headings_;
  std::string guessed_;
  std::string carried_bytes_, empty_carried_;
  std::string_view carried_problem_;
  size_t cell_ = 0;
};

}  // namespace

Result<std::unique_ptr<RowReader>> open_csv_rows(std::unique_ptr<TextLines> lines, uint64_t size,
                                                 char delimiter, const RowOptions& options) {
  auto reader = std::make_unique<CsvReader>(std::move(lines), size);
  TRY(reader->prepare(options, delimiter));
  return reader;
}

}  // namespace spillway::format

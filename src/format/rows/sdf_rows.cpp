#include "format/rows/sdf_rows.hpp"

#include <fmt/format.h>

#include "core/printable.hpp"

namespace spillway::format {
namespace {

constexpr size_t kHeaderLines = 4;  // title, program, comment, counts: no data fields among them
constexpr size_t kMostTold = 20;    // field names in a message

// The name in `> 25 <NAME> (3)`; none when there is none.
std::optional<std::string_view> field_name(std::string_view line) {
  const size_t begin = line.find('<');
  const size_t end = line.rfind('>');
  if (begin == std::string_view::npos || end <= begin) return std::nullopt;
  return line.substr(begin + 1, end - begin - 1);
}

class SdfReader final : public TextReader {
 public:
  using TextReader::TextReader;
  RowKind kind() const override { return RowKind::kRecord; }

  Result<void> prepare(const RowOptions& options) {
    if (options.carry_all) return refuse_all();
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
    begin_record();
    bool any = false;
    while (const auto line = TRY(lines_->next())) {
      if (line->starts_with("$$$$")) {
        finish(row);
        return true;
      }
      any = any || line->find_first_not_of(kBlanks) != std::string_view::npos;
      take(*line);
    }
    if (!any) return false;
    finish(row);
    row.problem = "the last record has no $$$$ line: is the file cut short?";
    return true;
  }

 private:
  using Value = std::optional<std::string>;

  Result<void> refuse_all() {
    begin_record();
    std::string told = "name";
    size_t count = 0;
    while (const auto line = TRY(lines_->next())) {
      if (line->starts_with("$$$$")) break;
      const auto name = take(*line);
      if (name && ++count <= kMostTold) told += "," + std::string(*name);
    }
    return fail(
        Code::kUsage,
        fmt::format("{}: an SDF says nowhere which fields it has; name those to carry (those "
                    "of its first record{}): --carry {}",
                    lines_->name(), count > kMostTold ? " begin so" : "", printable(told, 500)));
  }

  void begin_record() {
    record_.clear();
    title_.clear();
    cut_ = in_value_ = false;
    line_ = 0;
    for (Value& value : values_) value.reset();
    value_ = nullptr;
    carried_size_ = 0;
  }

  // A line of the record; the name of the field that begins there.
  std::optional<std::string_view> take(std::string_view line) {
    cut_ = cut_ || lines_->was_cut() || record_.size() + line.size() >= kMaxRecord;
    if (!cut_) {
      record_ += line;
      record_ += '\n';
    }
    if (++line_ == 1) title_ = trimmed(line.substr(0, kMaxCarried));
    if (line_ <= kHeaderLines) return std::nullopt;
    if (in_value_) {
      in_value_ = !line.empty();
      if (in_value_ && value_ != nullptr) add_to_value(line);
      return std::nullopt;
    }
    if (!line.starts_with('>')) return std::nullopt;
    in_value_ = true;
    const auto name = field_name(line);
    value_ = name ? value_of(*name) : nullptr;
    return name;
  }
  Value* value_of(std::string_view name) {
    for (size_t i = 0; i < carried_.size(); ++i) {
      if (carried_[i].name == name) return &values_[i];
    }
    return nullptr;
  }
  void add_to_value(std::string_view line) {
    carried_size_ += line.size() + 1;
    if (carried_size_ > kMaxCarried) return;  // the row is refused; nothing more is kept
    if (*value_)
      **value_ += '\n';
    else
      *value_ = std::string();
    **value_ += line;
  }

  void finish(InputRow& row) {
    row = InputRow{};
    row.text = record_;
    Value* const name = value_of("name");
    if (name != nullptr && !*name && !title_.empty()) *name = title_;
    carried_bytes_.clear();
    ValueWriter values(carried_bytes_);
    bool utf8 = true;
    for (const Value& value : values_) {
      if (value)
        values.text(*value);
      else
        values.null();
      utf8 = utf8 && is_utf8(value ? *value : std::string());
    }
    row.carried = carried_bytes_;
    if (cut_) row.problem = kRecordTooLong;
    const bool fits = carried_size_ <= kMaxCarried && carried_bytes_.size() <= kMaxCarried;
    if (utf8 && fits) return;
    row.carried = empty_carried_;
    row.problem = fits ? kCarriedNotUtf8 : kCarriedTooLong;
  }

  std::string record_, title_;
  std::vector<Value> values_;  // of the carried fields
  Value* value_ = nullptr;     // being read
  size_t line_ = 0;            // of the record, from 1
  bool in_value_ = false, cut_ = false;
  size_t carried_size_ = 0;
  std::string carried_bytes_, empty_carried_;
};

}  // namespace

Result<std::unique_ptr<RowReader>> open_sdf_rows(std::unique_ptr<TextLines> lines, uint64_t size,
                                                 const RowOptions& options) {
  auto reader = std::make_unique<SdfReader>(std::move(lines), size);
  TRY(reader->prepare(options));
  return reader;
}

}  // namespace spillway::format

#include "transform/job/stats.hpp"

#include <fmt/format.h>

#include <array>
#include <map>

#include "core/json.hpp"
#include "core/printable.hpp"
#include "format/parquet/parquet_footer.hpp"
#include "format/rows/row_reader.hpp"
#include "transform/job/plan.hpp"

namespace spillway::transform {
namespace {

struct Tally {
  uint64_t rows = 0;
  std::map<std::string, uint64_t, std::less<>> by_rule;
  std::map<uint64_t, uint64_t> by_step;
  std::array<uint64_t, 4> with_halogen{};  // rows with at least one F, Cl, Br, I
};

std::string table_of(const std::string& title,
                     const std::vector<std::pair<std::string, uint64_t>>& rows) {
  std::string text = fmt::format("\n{}\n", title);
  for (const auto& [name, count] : rows)
    text += fmt::format("  {:<36} {:>15}\n", name, grouped(count));
  return text;
}

std::string refusals_text(const std::string& counts) {
  const auto json = parse_json(counts);
  if (!json.is_object()) return "";
  std::vector<std::pair<std::string, uint64_t>> rows;
  for (const char* key : {"rows_in", "rows_ok", "rows_no_site", "rows_failed", "sites", "products",
                          "unique", "duplicates", "known"}) {
    if (json.contains(key) && json[key].is_number_unsigned())
      rows.emplace_back(key, json[key].get<uint64_t>());
  }
  for (const auto& [what, key] : {std::pair("rows refused: ", "rows_failed_by_reason"),
                                  std::pair("sites refused: ", "sites_failed")}) {
    if (!json.contains(key) || !json[key].is_object()) continue;
    for (const auto& [reason, count] : json[key].items()) {
      if (count.is_number_unsigned())
        rows.emplace_back(what + printable(reason), count.get<uint64_t>());
    }
  }
  return table_of("Counts of the run", rows);
}

constexpr size_t kMostRules = 4096, kMostSteps = 256;

// The columns that are counted have the types that apply gives them.
Result<void> check_types(const format::RowReader& reader, const std::string& path) {
  for (size_t i = 0; i < reader.carried().size(); ++i) {
    const format::ColumnSpec& column = reader.carried()[i];
    const bool right =
        i == 0 ? format::is_text(column.type) : column.type == format::ColumnType::kInt32;
    if (!right)
      return fail(Code::kInvalid, fmt::format("{}: column '{}' is not what apply and merge write",
                                              path, column.name));
  }
  return {};
}

}  // namespace

Result<std::string> stats_text(const std::string& path, Bytes memory, const std::stop_token& stop) {
  const ReadingMemory reading = TRY(memory_to_read(memory));
  const Account& account = reading.account;
  const auto metadata = TRY(format::parquet_metadata(path, account));
  const auto order = metadata.find("spillway.order");
  if (metadata.count("spillway.version") == 0 || order == metadata.end())
    return fail(Code::kInvalid, path + ": was not written by spillway transform");
  format::RowOptions options;
  options.text_columns = {"smiles"};
  options.carry = {"rule", "k", "n_F", "n_Cl", "n_Br", "n_I"};
  const auto reader = TRY(format::RowReader::open(path, options, account));
  TRY(check_types(*reader, path));
  Tally tally;
  format::InputRow row;
  while (TRY(reader->next(row))) {
    if (++tally.rows % 4096 == 0 && stop.stop_requested())
      return fail(Code::kCancelled, "stopped while reading " + path);
    format::ValueReader values(row.carried);
    const std::string_view rule = values.null() ? std::string_view() : values.text();
    const auto at = tally.by_rule.find(rule);
    if (at != tally.by_rule.end())
      ++at->second;
    else if (tally.by_rule.size() < kMostRules)
      tally.by_rule.emplace(rule, 1);
    else
      return fail(Code::kTooLarge, fmt::format("{}: row {}: more than {} rules", path, tally.rows,
                                               grouped(kMostRules)));
    ++tally.by_step[values.null() ? 0 : values.number()];
    if (tally.by_step.size() > kMostSteps)
      return fail(Code::kTooLarge,
                  fmt::format("{}: row {}: more than {} steps", path, tally.rows, kMostSteps));
    for (uint64_t& with : tally.with_halogen) with += !values.null() && values.number() > 0 ? 1 : 0;
  }
  std::string text = fmt::format("{}: {} products, in order of {}\n", path, grouped(tally.rows),
                                 printable(order->second));
  std::vector<std::pair<std::string, uint64_t>> rules;
  for (const auto& [rule, count] : tally.by_rule) rules.emplace_back(printable(rule), count);
  text += table_of("By rule", rules);
  std::vector<std::pair<std::string, uint64_t>> steps;
  for (const auto& [step, count] : tally.by_step)
    steps.emplace_back(fmt::format("k = {}", step), count);
  text += table_of("By step", steps);
  const char* const names[] = {"F", "Cl", "Br", "I"};
  std::vector<std::pair<std::string, uint64_t>> halogens;
  for (size_t i = 0; i < 4; ++i)
    halogens.emplace_back(fmt::format("with {}", names[i]), tally.with_halogen[i]);
  text += table_of("By halogen", halogens);
  const auto counts = metadata.find("spillway.counts");
  return counts == metadata.end() ? text : text + refusals_text(counts->second);
}

}  // namespace spillway::transform

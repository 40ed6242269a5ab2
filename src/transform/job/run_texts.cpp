#include "transform/job/run_texts.hpp"

#include <fmt/format.h>

#include <array>

#include "core/file/file.hpp"
#include "core/file/folders.hpp"
#include "core/file/source.hpp"
#include "core/json.hpp"
#include "core/printable.hpp"
#include "format/rows/row_reader.hpp"

namespace spillway::transform {
namespace {

OrderedJson options_json(const Chemistry& chemistry, const ApplyOptions& options) {
  OrderedJson json;
  OrderedJson rules = OrderedJson::array();
  for (const Chemistry::RuleName& rule : chemistry.rules) rules.push_back(rule.name);
  json["rules"] = std::move(rules);
  json["steps"] = options.steps;
  json["fragments"] = options.transform.fragments == Fragments::kKeep ? "keep" : "matched";
  json["descriptors"] = options.transform.descriptors == Descriptors::kNone    ? "none"
                        : options.transform.descriptors == Descriptors::kBasic ? "basic"
                                                                               : "all";
  json["inchikey"] = options.transform.inchikey;
  if (!options.rows_chosen.is_all()) json["rows"] = row_range_text(options.rows_chosen);
  if (options.known_stops) json["known_stops"] = true;
  json["order"] = options.order == OutputOrder::kKey ? "key" : "input";
  json["smiles_columns"] = options.rows.text_columns;
  json["header"] = options.rows.header;
  if (options.rows.delimiter != '\0')
    json["delimiter"] =
        options.rows.delimiter == '\t' ? "tab" : std::string(1, options.rows.delimiter);
  if (options.rows.encoding != format::TextEncoding::kUtf8)
    json["encoding"] = options.rows.encoding == format::TextEncoding::kUtf16 ? "utf-16" : "latin-1";
  json["carry"] = options.rows.carry_all ? OrderedJson("all") : OrderedJson(options.rows.carry);
  return json;
}

// Which chemistry made the products: they do not depend on the way.
OrderedJson chemistry_json(const Chemistry& chemistry) {
  return {{"rdkit", chemistry.rdkit}, {"way", chemistry.is_flat ? "flat" : "rdkit"}};
}

OrderedJson failed_json(const std::array<uint64_t, kReasonCount>& failed) {
  OrderedJson json = OrderedJson::object();
  for (size_t i = 0; i < kReasonCount; ++i) {
    if (failed[i] > 0) json[std::string(name(static_cast<Reason>(i)))] = failed[i];
  }
  return json;
}

OrderedJson tally_json(const RuleTally& tally) {
  return {{"sites", tally.sites},
          {"products", tally.products},
          {"sites_failed", failed_json(tally.failed)},
          {"unique", tally.unique},
          {"duplicates", tally.duplicates},
          {"known", tally.known}};
}

OrderedJson counts_json(const Chemistry& chemistry, const Counts& counts) {
  OrderedJson json;
  json["rows_in"] = counts.rows_in;
  json["rows_ok"] = counts.rows_ok;
  json["rows_no_site"] = counts.rows_no_site;
  json["rows_failed"] = counts.rows_failed;
  json["rows_failed_by_reason"] = failed_json(counts.rows_failed_by);
  json.update(tally_json(counts.total()));
  OrderedJson rules = OrderedJson::object();
  for (size_t i = 0; i < chemistry.rules.size(); ++i) {
    OrderedJson rule = tally_json(counts.rules[i]);
    rule["rows"] = counts.rules[i].rows;
    rules[chemistry.rules[i].name] = std::move(rule);
  }
  json["rules"] = std::move(rules);
  return json;
}

std::string range_text(size_t index) {
  const auto& ranges = Counts::kSiteRanges;
  if (index == 0 || ranges[index] == ranges[index - 1] + 1) return fmt::format("{}", ranges[index]);
  if (index + 1 == ranges.size()) return fmt::format("more than {}", ranges[index - 1]);
  return fmt::format("{} to {}", ranges[index - 1] + 1, ranges[index]);
}

// What the report beside `out` says of a finished run; null when it says no such thing.
OrderedJson finished_report(const std::string& out) {
  constexpr uint64_t kMostReport = uint64_t{16} << 20;
  const auto text = read_small_file(report_beside(out), kMostReport);
  if (!text) return {};
  const OrderedJson report = parse_json<OrderedJson>(*text);
  const OrderedJson job = report.is_object() ? report.value("job", OrderedJson()) : OrderedJson();
  return job.is_object() && job.value("ended", OrderedJson()) == "finished" ? job : OrderedJson();
}
}  // namespace

std::string configuration_text(const Chemistry& chemistry, const ApplyOptions& options,
                               const InputFiles& inputs,
                               const std::vector<std::pair<std::string, std::string>>& known) {
  OrderedJson json;
  json["format"] = 2;
  json["version"] = SPILLWAY_VERSION;
  json["rules_sha256"] = chemistry.rules_sha256;
  json["options"] = options_json(chemistry, options);
  json["rejects"] = !options.rejects.empty();
  OrderedJson files = OrderedJson::array();
  for (size_t i = 0; i < inputs.paths.size(); ++i)
    files.push_back({inputs.paths[i], inputs.identities[i]});
  json["inputs"] = std::move(files);
  json["known"] = known;
  return json.dump();
}

Result<void> must_be_parquet_name(const std::string& out) {
  if (format::RowReader::is_parquet(out)) return {};
  const std::string name = name_of(out);
  const size_t dot = name.find('.', 1);
  return fail(
      Code::kUsage,
      fmt::format("--out {}: {}; products are written as Parquet, under a name that ends in "
                  ".parquet",
                  out,
                  dot == std::string::npos
                      ? std::string("has no suffix")
                      : fmt::format("{} is not a format that is written", name.substr(dot))));
}

std::string report_beside(const std::string& out) { return out + ".report.json"; }

OrderedJson finished_report(const std::string& out, const std::string& configuration) {
  OrderedJson job = finished_report(out);
  const bool is_it =
      !job.is_null() && job.value("configuration", OrderedJson()).dump() == configuration;
  return is_it ? job : OrderedJson();
}

bool is_result_of(const std::string& out, const std::string& configuration) {
  std::array<uint8_t, 4> magic{};
  const auto file = File::open(out);
  if (!file || !file->read_at(0, magic)) return false;
  return std::string_view(reinterpret_cast<const char*>(magic.data()), 4) == "PAR1" &&
         !finished_report(out, configuration).is_null();
}

bool is_rejects_of(const std::string& out, const std::string& configuration,
                   const std::string& rejects) {
  const OrderedJson report = finished_report(out, configuration);
  return !report.is_null() &&
         report.value("rejects", OrderedJson()) == printable(rejects, kMostPath);
}

std::optional<RejectsMark> rejects_mark(const std::string& out) {
  const OrderedJson report = finished_report(out);
  if (report.is_null()) return std::nullopt;
  const OrderedJson path = report.value("rejects", OrderedJson());
  const OrderedJson sha256 = report.value("rejects_sha256", OrderedJson());
  if (!path.is_string() || !sha256.is_string()) return std::nullopt;
  return RejectsMark{path, sha256};
}

std::vector<std::pair<std::string, std::string>> footer_texts(const Chemistry& chemistry,
                                                              const ApplyOptions& options,
                                                              const Counts& counts) {
  return {{"spillway.version", SPILLWAY_VERSION},
          {"spillway.order", options.order == OutputOrder::kKey ? "key" : "input"},
          {"spillway.key", "xxh3-128/1"},
          {"spillway.rules_sha256", chemistry.rules_sha256},
          {"spillway.chemistry", chemistry_json(chemistry).dump()},
          {"spillway.options", options_json(chemistry, options).dump()},
          {"spillway.counts", counts_json(chemistry, counts).dump()}};
}

void describe(Report& report, const Chemistry& chemistry, const ApplyOptions& options,
              const Counts& counts, const std::map<size_t, RuleExampleRow>& examples,
              const RefusalExamples& refusals) {
  report.fact("options", options_json(chemistry, options).dump());
  report.fact("rules_sha256", OrderedJson(chemistry.rules_sha256).dump());
  report.fact("chemistry", chemistry_json(chemistry).dump());
  const OrderedJson all = counts_json(chemistry, counts);
  for (const auto& [key, value] : all.items()) report.fact(key, value.dump());
  ReportTable rules{
      "Products by rule",
      {"rule", "rows", "sites", "failed", "products", "unique", "duplicates", "known"},
      {}};
  for (size_t i = 0; i < chemistry.rules.size(); ++i) {
    const RuleTally& tally = counts.rules[i];
    rules.rows.push_back({chemistry.rules[i].name, fmt::format("{}", tally.rows),
                          fmt::format("{}", tally.sites),
                          fmt::format("{}", tally.sites - tally.products),
                          fmt::format("{}", tally.products), fmt::format("{}", tally.unique),
                          fmt::format("{}", tally.duplicates), fmt::format("{}", tally.known)});
  }
  report.table(std::move(rules));
  ReportTable sites{"Sites a molecule", {"sites", "molecules"}, {}};
  for (size_t i = 0; i < counts.sites_histogram.size(); ++i)
    sites.rows.push_back({range_text(i), fmt::format("{}", counts.sites_histogram[i])});
  report.table(std::move(sites));
  ReportTable failed{"Refused", {"reason", "rows", "sites", "the first of this process"}, {}};
  for (size_t i = 0; i < kReasonCount; ++i) {
    const uint64_t of_sites = counts.total().failed[i];
    if (counts.rows_failed_by[i] + of_sites == 0) continue;
    failed.rows.push_back({std::string(name(static_cast<Reason>(i))),
                           fmt::format("{}", counts.rows_failed_by[i]), fmt::format("{}", of_sites),
                           refusals.of(static_cast<Reason>(i))});
  }
  report.table(std::move(failed));
  if (!options.job.report.ends_with(".html")) return;
  for (const Chemistry::RuleName& rule : chemistry.rules) {
    const auto at = examples.find(rule.position);
    if (at == examples.end()) continue;
    const RuleExampleRow& row = at->second;
    auto drawn = chemistry.draw(
        {.source = row.source, .site_atoms = row.site_atoms, .product = row.product});
    if (drawn) report.picture({.title = rule.name, .html = std::move(*drawn)});
  }
}

}  // namespace spillway::transform

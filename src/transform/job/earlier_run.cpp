#include "transform/job/earlier_run.hpp"

#include "core/file/folders.hpp"
#include "core/file/sha256.hpp"
#include "core/json.hpp"
#include "core/printable.hpp"
#include "format/parquet/parquet_footer.hpp"
#include "format/parquet/parquet_seal.hpp"
#include "transform/job/run_texts.hpp"

namespace spillway::transform {

Result<std::string> seal_of(const std::string& path, Account account) {
  const auto metadata = TRY(format::parquet_metadata(path, std::move(account)));
  const auto seal = metadata.find(std::string(format::kSealKey));
  return seal == metadata.end() ? std::string() : seal->second;
}

namespace {

// counts_json()'s inverse, as far as a summary goes.
Result<Counts> counts_of(const std::string& text, const Chemistry& chemistry) {
  Counts counts(chemistry.rules.size());
  try {
    const OrderedJson json = parse_json<OrderedJson>(text);
    counts.rows_in = json.at("rows_in");
    counts.rows_ok = json.at("rows_ok");
    counts.rows_no_site = json.at("rows_no_site");
    counts.rows_failed = json.at("rows_failed");
    for (size_t i = 0; i < chemistry.rules.size(); ++i) {
      const OrderedJson& from = json.at("rules").at(chemistry.rules[i].name);
      RuleTally& to = counts.rules[i];
      to.rows = from.at("rows");
      to.sites = from.at("sites");
      to.products = from.at("products");
      to.unique = from.at("unique");
      to.duplicates = from.at("duplicates");
      to.known = from.at("known");
      for (size_t r = 0; r < kReasonCount; ++r)
        to.failed[r] = from.at("sites_failed").value(name(static_cast<Reason>(r)), uint64_t{0});
    }
  } catch (const std::exception& problem) {
    return fail(Code::kCorrupt, problem.what());
  }
  TRY(counts.balance());
  return counts;
}

}  // namespace

Result<std::optional<Counts>> finished_counts(const Chemistry& chemistry,
                                              const ApplyOptions& options,
                                              const std::string& configuration, Account account,
                                              const std::stop_token& stop) {
  const OrderedJson job = finished_report(options.out, configuration);
  if (job.is_null() || !TRY(is_file(options.out))) return std::nullopt;
  const auto metadata = format::parquet_metadata(options.out, account);
  if (!metadata) return std::nullopt;  // it is no whole file: another one is made
  const auto seal = metadata->find(std::string(format::kSealKey));
  const auto text = metadata->find("spillway.counts");
  const bool is_it = seal != metadata->end() && text != metadata->end() &&
                     job.value("checksum", OrderedJson()) == seal->second;
  if (!is_it) return std::nullopt;
  if (!options.rejects.empty()) {
    const auto mark = rejects_mark(options.out);
    const bool is_there = mark && mark->path == printable(options.rejects, kMostPath) &&
                          TRY(is_file(options.rejects)) &&
                          TRY(sha256_of_file(options.rejects, stop)) == mark->sha256;
    if (!is_there) return std::nullopt;
  }
  auto counts = counts_of(text->second, chemistry);
  return counts ? std::optional<Counts>(std::move(*counts)) : std::nullopt;
}

}  // namespace spillway::transform

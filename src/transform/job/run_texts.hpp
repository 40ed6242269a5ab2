// What a run of `transform apply` says of itself: its configuration, the footer's metadata, the
// report.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/job/report.hpp"
#include "core/json.hpp"
#include "transform/job/apply.hpp"
#include "transform/job/molecules.hpp"
#include "transform/records/refusal_examples.hpp"

namespace spillway::transform {

struct RuleExampleRow {  // one product of a rule, for the drawing
  std::string source;
  std::vector<int32_t> site_atoms;
  std::string product;
};

// What a journal must agree with to be continued: one line.
std::string configuration_text(const Chemistry& chemistry, const ApplyOptions& options,
                               const InputFiles& inputs,
                               const std::vector<std::pair<std::string, std::string>>& known);

// kUsage, when a file of this name would not be taken for Parquet.
[[nodiscard]] Result<void> must_be_parquet_name(const std::string& out);

constexpr size_t kMostPath = 4096;  // bytes of a path in a report

// Where a run leaves its report unless it is told: beside the output.
std::string report_beside(const std::string& out);
// Whether `out` is what a run of this configuration left: a Parquet file of ours whose report says so.
bool is_result_of(const std::string& out, const std::string& configuration);
// Whether the run of this configuration that wrote `out` wrote its refusals to `rejects`.
bool is_rejects_of(const std::string& out, const std::string& configuration,
                   const std::string& rejects);

// What the report beside `out` says of the rejects file of the run that wrote it.
struct RejectsMark {
  std::string path, sha256;
};
std::optional<RejectsMark> rejects_mark(const std::string& out);
// What it says under "job", when that run had this configuration; else null.
OrderedJson finished_report(const std::string& out, const std::string& configuration);

// spillway.version, .order, .key, .rules_sha256, .options, .counts: nothing that differs between two
// runs of the same job.
std::vector<std::pair<std::string, std::string>> footer_texts(const Chemistry& chemistry,
                                                              const ApplyOptions& options,
                                                              const Counts& counts);

void describe(Report& report, const Chemistry& chemistry, const ApplyOptions& options,
              const Counts& counts, const std::map<size_t, RuleExampleRow>& examples,
              const RefusalExamples& refusals);

}  // namespace spillway::transform

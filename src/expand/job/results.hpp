// What a search leaves in the output folder: layers.csv and result.json (docs/formats.md).
#pragma once

#include <cstdint>
#include <stop_token>
#include <string>

#include "core/job/report.hpp"
#include "core/result.hpp"
#include "expand/engine/search.hpp"
#include "expand/job/expand.hpp"

namespace spillway::expand {

const char* name_of(Identity identity);
const char* name_of(StatesOutput states);

struct Sums {
  uint64_t states = 0, generated = 0, duplicates = 0;
};
Sums sum_up(const SearchState& state);
// kInternal unless states = initial + generated - duplicates.
[[nodiscard]] Result<void> check_balance(const SearchState& state, const Sums& sums);

[[nodiscard]] Result<void> write_layers_csv(const std::string& path, const SearchState& state);
std::string result_json(const Problem& problem, const ExpandOptions& options,
                        const SearchState& state, const Sums& sums, bool complete);
// SHA256SUMS of what a finished run leaves, but the report; `result` is what result.json will hold.
[[nodiscard]] Result<void> write_checksums(const std::string& out, const std::string& result,
                                           const std::stop_token& stop);
// kCorrupt when the sums, where there are any, say otherwise of `result` or layers.csv, or states are gone.
[[nodiscard]] Result<void> check_result(const std::string& out, const std::string& result);
// The layers for the report: the first and the last thousand when there are more.
[[nodiscard]] Result<ReportTable> layers_table(const SearchState& state);
// The best state as text, "" for none.
std::string best_drawing(const Problem& problem, const SearchState& state);

}  // namespace spillway::expand

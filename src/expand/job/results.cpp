#include "expand/job/results.hpp"

#include <fmt/format.h>

#include <cstring>

#include "core/file/folders.hpp"
#include "core/file/output.hpp"
#include "core/file/sha256.hpp"
#include "core/file/source.hpp"
#include "core/json.hpp"

namespace spillway::expand {
namespace {

constexpr size_t kShownLayers = 1000;  // at either end

StateView view_of(StateForm form, const std::vector<uint8_t>& bytes) {
  StateView view{0, bytes};
  if (form == StateForm::kPacked) std::memcpy(&view.packed, bytes.data(), 8);
  return view;
}

}  // namespace

const char* name_of(Identity identity) {
  switch (identity) {
    case Identity::kFp128:
      return "fp128";
    case Identity::kExact:
      return "exact";
    case Identity::kFp64:
      return "fp64";
  }
  return "";
}

const char* name_of(StatesOutput states) {
  switch (states) {
    case StatesOutput::kNone:
      return "none";
    case StatesOutput::kIds:
      return "ids";
    case StatesOutput::kAll:
      return "all";
  }
  return "";
}

Sums sum_up(const SearchState& state) {
  const LayerRow total = state.layers.total();
  return {total.fresh, total.generated, total.duplicate};
}

Result<void> check_balance(const SearchState& state, const Sums& sums) {
  const uint64_t initial = state.layers.initial();
  if (sums.states == initial + sums.generated - sums.duplicates) return {};
  return fail(
      Code::kInternal,
      fmt::format("the counts do not balance: {} states, {} initial, {} generated, {} duplicates",
                  sums.states, initial, sums.generated, sums.duplicates));
}

Result<void> write_layers_csv(const std::string& path, const SearchState& state) {
  const auto file = TRY(create_output(path));
  TRY(file->append(std::string_view("depth,new,generated,duplicate,cumulative\n")));
  uint64_t cumulative = 0;
  std::string lines;
  TRY(state.layers.each([&](uint64_t depth, const LayerRow& row) -> Result<void> {
    cumulative += row.fresh;
    lines +=
        fmt::format("{},{},{},{},{}\n", depth, row.fresh, row.generated, row.duplicate, cumulative);
    if (lines.size() < 65536) return {};
    TRY(file->append(lines));
    lines.clear();
    return {};
  }));
  TRY(file->append(lines));
  return std::move(*file).commit();
}

std::string result_json(const Problem& problem, const ExpandOptions& options,
                        const SearchState& state, const Sums& sums, bool complete) {
  OrderedJson json;
  json["problem"] = problem.name();
  json["arguments"] = OrderedJson::parse(problem.arguments_json());
  json["identity"] = name_of(options.identity);
  json["states"] = sums.states;
  json["generated"] = sums.generated;
  json["duplicates"] = sums.duplicates;
  json["depth"] = state.layers.size() - 1;
  json["frontier"] = state.frontier;
  json["complete"] = complete;
  json["ids_xor"] = fmt::format("{:016x}", state.ids_xor);
  json["ids_sum"] = fmt::format("{:016x}", state.ids_sum);
  json["best"] = nullptr;
  if (state.has_best) {
    const StateView best = view_of(problem.traits().form, state.best);
    json["best"] = OrderedJson::parse(problem.best_json(best, state.best_score));
  }
  return json.dump(2) + "\n";
}

namespace {

constexpr const char* kChecksums = "/SHA256SUMS";

std::string result_line(const std::string& result) {
  Sha256 hash;
  hash.add({reinterpret_cast<const uint8_t*>(result.data()), result.size()});
  return checksum_line(hash.hex(), "result.json");
}

}  // namespace

Result<void> write_checksums(const std::string& out, const std::string& result,
                             const std::stop_token& stop) {
  std::string lines;
  for (const char* const name : {"layers.csv", "states/states.parquet"}) {
    const std::string path = out + "/" + name;
    if (TRY(exists(path))) lines += checksum_line(TRY(sha256_of_file(path, stop)), name);
  }
  return write_durably(out + kChecksums, lines + result_line(result));
}

Result<void> check_result(const std::string& out, const std::string& result) {
  if (!TRY(exists(out + kChecksums))) return {};
  const auto damaged = [&](const std::string& name) {
    return fail(Code::kCorrupt, fmt::format("{}/{}: is not there any more, or was changed "
                                            "(SHA256SUMS); run again with --resume never",
                                            out, name));
  };
  const std::string lines = TRY(read_small_file(out + kChecksums, 4096));
  if (!lines.ends_with(result_line(result))) return damaged("result.json");
  const std::string layers =
      out + "/layers.csv";  // states may be large: they only have to be there
  if (!TRY(exists(layers)) ||
      !lines.starts_with(checksum_line(TRY(sha256_of_file(layers)), "layers.csv")))
    return damaged("layers.csv");
  if (lines.find("states/states.parquet") != std::string::npos &&
      !TRY(exists(out + "/states/states.parquet")))
    return damaged("states/states.parquet");
  return {};
}

Result<ReportTable> layers_table(const SearchState& state) {
  ReportTable table{"Layers", {"depth", "new", "generated", "duplicate"}, {}};
  const uint64_t count = state.layers.size();
  TRY(state.layers.each([&](uint64_t depth, const LayerRow& row) -> Result<void> {
    if (depth >= kShownLayers && depth + kShownLayers < count) return {};
    table.rows.push_back({fmt::format("{}", depth), fmt::format("{}", row.fresh),
                          fmt::format("{}", row.generated), fmt::format("{}", row.duplicate)});
    return {};
  }));
  return table;
}

std::string best_drawing(const Problem& problem, const SearchState& state) {
  if (!state.has_best) return "";
  return problem.draw(view_of(problem.traits().form, state.best));
}

}  // namespace spillway::expand

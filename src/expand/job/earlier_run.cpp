#include "expand/job/earlier_run.hpp"

#include <fmt/format.h>

#include "core/file/folders.hpp"
#include "core/file/source.hpp"
#include "core/json.hpp"
#include "expand/engine/checkpoint.hpp"
#include "expand/job/results.hpp"

namespace spillway::expand {
namespace {

// Whether two configurations differ in nothing but the build of the problem.
bool is_other_build(OrderedJson a, OrderedJson b) {
  const auto build = [](OrderedJson& json) {
    const OrderedJson taken = json.is_object() ? json.value("build", OrderedJson()) : OrderedJson();
    if (json.is_object()) json.erase("build");
    return taken;
  };
  return build(a) != build(b) && a == b;
}

std::string other_build(const std::string& out) {
  return fmt::format(
      "{}: holds a run with another build of the library; choose another folder with --out, or "
      "start again with --resume never",
      out);
}

// The checkpoint in `work`; nothing when there is none.
Result<std::optional<Checkpoint>> stored_checkpoint(const WorkFolder& work) {
  if (!TRY(work.has_anchor())) return std::nullopt;
  auto parsed = parse_checkpoint(TRY(read_small_file(work.anchor(), uint64_t{1} << 30)));
  if (!parsed) {
    return fail(parsed.error().code(), fmt::format("{}: {}; run again with --resume never",
                                                   work.anchor(), parsed.error().message()));
  }
  return std::optional<Checkpoint>(std::move(*parsed));
}

}  // namespace

std::string configuration(const Problem& problem, const ExpandOptions& options) {
  OrderedJson json;
  json["format"] = 1;
  json["problem"] = problem.name();
  json["arguments"] = OrderedJson::parse(problem.arguments_json());
  if (const std::string build = problem.build(); !build.empty()) json["build"] = build;
  json["identity"] = name_of(options.identity);
  json["states"] = name_of(options.states);
  json["max_depth"] = options.max_depth ? OrderedJson(*options.max_depth) : OrderedJson(nullptr);
  return json.dump();
}

Result<std::optional<ExpandSummary>> finished(const std::string& out,
                                              const std::string& configured) {
  if (!TRY(exists(out + "/result.json"))) return std::nullopt;
  if (TRY(exists(out + "/.spillway/checkpoint.json"))) return std::nullopt;
  const OrderedJson report =
      parse_json<OrderedJson>(TRY(read_small_file(out + "/report.json", uint64_t{1} << 30)));
  const std::string text = TRY(read_small_file(out + "/result.json", uint64_t{1} << 30));
  const OrderedJson result = parse_json<OrderedJson>(text);
  const bool same = report.is_object() && report.contains("job") &&
                    report["job"].contains("configuration") &&
                    report["job"]["configuration"].dump() == configured && result.is_object();
  if (!same && report.is_object() && report.contains("job") && report["job"].is_object() &&
      is_other_build(report["job"].value("configuration", OrderedJson()),
                     OrderedJson::parse(configured))) {
    return fail(Code::kInvalid, other_build(out));
  }
  if (!same) {
    return fail(Code::kInvalid, fmt::format("{}: holds another finished run; choose another folder "
                                            "with --out, or put this one in its "
                                            "place with --resume never",
                                            out));
  }
  TRY(check_result(out, text));
  ExpandSummary summary;
  summary.states = result.value("states", uint64_t{0});
  summary.generated = result.value("generated", uint64_t{0});
  summary.duplicates = result.value("duplicates", uint64_t{0});
  summary.frontier = result.value("frontier", uint64_t{0});
  summary.depth = result.value("depth", uint32_t{0});
  summary.complete = result.value("complete", false);
  summary.out = out;
  summary.was_finished = true;
  return summary;
}

Result<std::string> read_checkpoint(const WorkFolder& work, const std::string& configured,
                                    const std::string& out) {
  const auto stored = TRY(stored_checkpoint(work));
  if (!stored) return std::string();
  if (is_other_build(OrderedJson::parse(stored->configuration), OrderedJson::parse(configured)))
    return fail(Code::kInvalid, other_build(out));
  if (stored->configuration != configured) {
    return fail(
        Code::kInvalid,
        fmt::format(
            "{}: holds another run ({}); give the same command, another --out, or --resume never",
            out, stored->configuration));
  }
  return stored->search;
}

std::string packing_of(const Problem& problem) {
  const ProblemTraits traits = problem.traits();
  return traits.form == StateForm::kPacked ? fmt::format("bits-{}", traits.key_bits)
                                           : fmt::format("bytes-{}", traits.max_state_bytes);
}

Result<void> widen_like_checkpoint(Problem& problem, const WorkFolder& work) {
  const auto stored = TRY(stored_checkpoint(work));
  if (!stored || stored->search == "null") return {};
  while (packing_of(problem) != stored->packing) {
    if (problem.widen()) continue;
    return fail(Code::kInvalid,
                fmt::format("{}: holds another run; choose another --out, or --resume never",
                            work.anchor()));
  }
  return {};
}

}  // namespace spillway::expand

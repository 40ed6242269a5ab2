#include "expand/job/plan.hpp"

#include <algorithm>

#include "expand/engine/search.hpp"
#include "expand/job/states_table.hpp"

namespace spillway::expand {
namespace {

std::optional<ExpandPlan> plan_within(const Problem& problem, const ExpandOptions& options,
                                      Bytes memory) {
  const Bytes reserve = std::max(12_MiB, memory / 24);
  const ProblemTraits traits = problem.traits();
  const Bytes own(traits.own_bytes);
  if (memory <= reserve + own) return std::nullopt;
  const Bytes leases = memory - reserve - own;
  const unsigned threads = std::max(1u, std::min(options.job.threads, traits.max_expanders));
  const auto search = SearchPlan::make(leases, threads, traits, options.identity);
  if (!search) return std::nullopt;
  // The states are written when the search has given back all but one thread's buffers.
  const Bytes states = states_cost(problem, options.states);
  if (search->worker + search->expander + states > leases) return std::nullopt;
  ExpandPlan plan;
  plan.memory.reserve(reserve, "code, libraries, stacks, small containers");
  plan.memory.account({"problem", 90, own, own}, "what " + problem.name() + " itself holds");
  search->list(plan.memory, threads);
  if (states > 0_B)
    plan.memory.later("states", states, "Parquet, after the search, in the place of the above");
  return plan;
}

}  // namespace

Result<ExpandPlan> plan_search(const Problem& problem, const ExpandOptions& options) {
  return plan_or_refuse<ExpandPlan>(
      options.job.memory, [&](Bytes memory) { return plan_within(problem, options, memory); });
}

Result<std::string> explain_memory(Problem& problem, const ExpandOptions& options) {
  const ExpandPlan plan = TRY(plan_search(problem, options));
  const auto [least, ignored] = least_plan<ExpandPlan>(
      1_MiB, [&](Bytes memory) { return plan_within(problem, options, memory); });
  return explain_plan(options.job, least, plan.memory,
                      "candidates and stores; what does not fit goes to scratch");
}

}  // namespace spillway::expand

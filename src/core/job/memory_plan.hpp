// What a job's --memory is made of: named parts, why each is there, and the accounts opened from
// them. A job makes its plan from the limit before it touches any data; when no plan fits, the
// refusal names the least limit that would do, part by part.
//
// Threads  One.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/bytes.hpp"
#include "core/job/job.hpp"
#include "core/memory/budget.hpp"
#include "core/result.hpp"

namespace spillway {

class MemoryPlan {
 public:
  struct Item {
    std::string name;
    Bytes bytes;
    std::string why;
    std::optional<AccountSpec> account;  // open() makes it
    bool later = false;                  // held when the others were given back
  };

  // What the process needs beside its leases: code, libraries, stacks, the allocator's slack.
  void reserve(Bytes bytes, std::string why);
  // An account; its floor is what the plan needs for it. Two of one name are shown as one.
  void account(AccountSpec spec, std::string why);
  // What the job's own parts lease from accounts that they open themselves.
  void part(std::string name, Bytes bytes, std::string why);
  // What is needed in the place of the others, after they were given back.
  void later(std::string name, Bytes bytes, std::string why);

  Bytes reserve() const { return reserve_; }
  Bytes total() const;
  bool has(std::string_view name) const;
  const std::vector<Item>& items() const { return items_; }
  std::string parts() const;  // "program 12 MiB, read 4 MiB"

  // The account of that name, opened in `budget`.
  [[nodiscard]] Result<Account> open(Budget& budget, std::string_view name) const;

 private:
  Bytes reserve_;
  std::vector<Item> items_;
};

// The least limit in steps of a MiB, from `from` on, for which `make` gives a plan, and that plan.
// Some limit must do.
template <class Plan>
std::pair<Bytes, Plan> least_plan(Bytes from,
                                  const std::function<std::optional<Plan>(Bytes)>& make) {
  for (Bytes memory = from;; memory += 1_MiB) {
    if (auto plan = make(memory)) return {memory, std::move(*plan)};
  }
}

// "--memory 1 MiB is too small: needs at least 21 MiB: program 12 MiB, ..."
Error too_small(Bytes memory, Bytes least, const MemoryPlan& plan);

// make(memory), or the refusal. A Plan is any type with a MemoryPlan `memory` in it.
template <class Plan>
Result<Plan> plan_or_refuse(Bytes memory, const std::function<std::optional<Plan>(Bytes)>& make) {
  if (auto plan = make(memory)) return std::move(*plan);
  const auto [least, plan] = least_plan(memory, make);
  return fail(too_small(memory, least, plan.memory));
}

// The text of --explain-memory. `shared`: what the rest of the memory is for.
std::string explain_plan(const JobOptions& job, Bytes least, const MemoryPlan& plan,
                         std::string_view shared);

}  // namespace spillway

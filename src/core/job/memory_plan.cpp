#include "core/job/memory_plan.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace spillway {
namespace {

std::string line(std::string_view name, Bytes bytes, std::string_view why) {
  return fmt::format("{:<10} {:>10}  {}\n", name, to_string(bytes), why);
}

}  // namespace

void MemoryPlan::reserve(Bytes bytes, std::string why) {
  reserve_ += bytes;
  items_.push_back({"program", bytes, std::move(why), std::nullopt});
}

void MemoryPlan::account(AccountSpec spec, std::string why) {
  items_.push_back({spec.name, spec.floor, std::move(why), spec});
}

void MemoryPlan::part(std::string name, Bytes bytes, std::string why) {
  items_.push_back({std::move(name), bytes, std::move(why), std::nullopt});
}

void MemoryPlan::later(std::string name, Bytes bytes, std::string why) {
  items_.push_back({std::move(name), bytes, std::move(why), std::nullopt, true});
}

Bytes MemoryPlan::total() const {
  Bytes sum;
  for (const Item& item : items_) {
    if (!item.later) sum += item.bytes;
  }
  return sum;
}

bool MemoryPlan::has(std::string_view name) const {
  return std::any_of(items_.begin(), items_.end(),
                     [&](const Item& item) { return item.name == name; });
}

std::string MemoryPlan::parts() const {
  std::string text;
  for (const Item& item : items_) {
    if (item.bytes == 0_B) continue;
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", item.name, to_string(item.bytes));
  }
  return text;
}

Result<Account> MemoryPlan::open(Budget& budget, std::string_view name) const {
  const auto item = std::find_if(items_.begin(), items_.end(), [&](const Item& candidate) {
    return candidate.name == name && candidate.account;
  });
  CHECK(item != items_.end());
  return budget.open(*item->account);
}

Error too_small(Bytes memory, Bytes least, const MemoryPlan& plan) {
  return Error(Code::kMemoryLimit, fmt::format("--memory {} is too small: needs at least {}: {}",
                                               to_string(memory), to_string(least), plan.parts()));
}

std::string explain_plan(const JobOptions& job, Bytes least, const MemoryPlan& plan,
                         std::string_view shared) {
  std::string text = line("memory", job.memory, "(" + job.memory_source + ")");
  text +=
      line("least", least,
           fmt::format("for this job with {} thread{}", job.threads, job.threads == 1 ? "" : "s"));
  for (const MemoryPlan::Item& item : plan.items()) {
    const bool may_grow = item.account && item.account->ceiling;
    if (item.bytes > 0_B || may_grow) text += line(item.name, item.bytes, item.why);
  }
  return text + line("shared", job.memory - plan.total(), shared);
}

}  // namespace spillway

#include "core/memory/governor.hpp"

#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>

// jemalloc's control call, when the program is linked with it.
extern "C" __attribute__((weak)) int mallctl(const char* name, void* old, size_t* old_size,
                                             void* fresh, size_t fresh_size);

namespace spillway {
namespace {
constexpr std::chrono::seconds kPurgeEvery{1};
}  // namespace

void purge_allocator() {
  if (mallctl != nullptr) {
    mallctl("arena.4096.purge", nullptr, nullptr, nullptr, 0);  // 4096: MALLCTL_ARENAS_ALL
  } else {
    ::malloc_trim(0);
  }
}

std::string ledger_line(const Budget& budget) {
  std::vector<AccountUsage> accounts = budget.usage();
  std::sort(accounts.begin(), accounts.end(),
            [](const auto& a, const auto& b) { return a.used > b.used; });
  std::string line;
  for (const AccountUsage& account : accounts) {
    if (account.used == Bytes(0)) break;
    line += fmt::format("{}{} {}", line.empty() ? "" : ", ", account.name, to_string(account.used));
  }
  return line;
}

Governor::Governor(Budget& budget, Options options)
    : budget_(budget),
      options_(std::move(options)),
      ticker_([this] { return options_.every; }, [this] { step(); }) {}

void Governor::step() {
  // What is given back between the looks is neither drift nor ours to judge: the larger ledger
  // counts.
  const Bytes before = budget_.used();
  const Bytes held = options_.sample().counted();
  const Bytes leased = std::max(before, budget_.used());
  const Verdict verdict = judge(held, leased);
  budget_.set_capacity(verdict.capacity);
  budget_.lend_floors_only(verdict.floors_only);
  if (verdict.purge) options_.purge();
  if (verdict.exceeded && options_.exceeded) {
    options_.exceeded(
        Error(Code::kMemoryLimit,
              fmt::format("the process holds {} of --memory {}: leased {} ({})", to_string(held),
                          to_string(options_.limit), to_string(leased), ledger_line(budget_))));
  }
}

Governor::Verdict Governor::judge(Bytes held, Bytes leased) {
  MutexLock lock(mutex_);
  if (held > leased) drift_ = std::max(drift_, held - leased);
  const Bytes beside = std::max(options_.reserve, drift_);
  Verdict verdict{};
  verdict.capacity = options_.limit > beside ? options_.limit - beside : Bytes(0);
  const auto above = [&](uint64_t percent) { return held > options_.limit / 100 * percent; };
  if (above(85)) {
    const Clock::Time now = options_.clock->now();
    verdict.purge = !purged_ || now - *purged_ >= kPurgeEvery;
    if (verdict.purge) purged_ = now;
  }
  verdict.floors_only = above(92);
  verdict.exceeded = above(97) && !told_;
  told_ = told_ || verdict.exceeded;
  return verdict;
}

}  // namespace spillway

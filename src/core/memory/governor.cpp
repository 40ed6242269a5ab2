#include "core/memory/governor.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace spillway {
namespace {
constexpr std::chrono::seconds kPurgeEvery{1};
constexpr std::chrono::seconds kWindow{5};
constexpr std::chrono::seconds kMostStarving{10};
constexpr uint64_t kEnter[] = {85, 92, 97};  // percent of the limit
constexpr uint64_t kLeaveBelow = 2;          // percent less
}  // namespace

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
      window_(options_.clock->now()),
      ticker_([this] { return options_.every; }, [this] { step(); }) {
  tune_allocator();
}

void Governor::step() {
  // What is given back between the looks is neither drift nor ours to judge: the larger ledger
  // counts.
  const Bytes before = budget_.used();
  const Bytes untouched = options_.untouched();
  const Bytes held = options_.sample().counted();
  const Bytes leased = std::max(before, budget_.used());
  const std::string waits = budget_.starved();
  const Bytes touched = leased > untouched ? leased - untouched : Bytes(0);
  const Verdict verdict = judge(held, touched, !waits.empty());
  budget_.set_capacity(verdict.capacity);
  budget_.lend_floors_only(verdict.level >= Pressure::kFloorsOnly);
  if (verdict.purge) options_.purge();
  if (verdict.changed && options_.on_pressure) options_.on_pressure(verdict.level, held);
  if (!verdict.exceeded || !options_.exceeded) return;
  const std::string ledger = fmt::format("the process holds {} of --memory {}: leased {} ({})",
                                         to_string(held), to_string(options_.limit),
                                         to_string(leased), ledger_line(budget_));
  options_.exceeded(
      Error(Code::kMemoryLimit,
            verdict.starved ? fmt::format("{}; raise --memory: {}", waits, ledger) : ledger));
}

Bytes Governor::drift(Bytes beside, Clock::Time now) {
  if (now - window_ >= kWindow) {
    drifts_ = {Bytes(0), now - window_ < 2 * kWindow ? drifts_[0] : Bytes(0)};
    window_ = now;
  }
  drifts_[0] = std::max(drifts_[0], beside);
  return std::max(drifts_[0], drifts_[1]);
}

Pressure Governor::level_of(Bytes held) const {
  int level = 0;
  for (int i = 0; i < 3; ++i) {
    const bool is_in = static_cast<int>(level_) > i;
    if (held > options_.limit / 100 * (kEnter[i] - (is_in ? kLeaveBelow : 0))) level = i + 1;
  }
  return static_cast<Pressure>(level);
}

Governor::Verdict Governor::judge(Bytes held, Bytes touched, bool waits) {
  MutexLock lock(mutex_);
  const Clock::Time now = options_.clock->now();
  const Bytes beside =
      std::max(options_.reserve, drift(held > touched ? held - touched : Bytes(0), now));
  Verdict verdict{};
  verdict.capacity = options_.limit > beside ? options_.limit - beside : Bytes(0);
  verdict.level = level_of(held);
  verdict.changed = verdict.level != level_;
  for (int i = static_cast<int>(level_); i < static_cast<int>(verdict.level); ++i)
    ++counts_[static_cast<size_t>(i)];
  level_ = verdict.level;
  if (level_ >= Pressure::kPurging) {
    verdict.purge = !purged_ || now - *purged_ >= kPurgeEvery;
    if (verdict.purge) purged_ = now;
  }
  if (!waits) {
    starving_.reset();
  } else if (!starving_) {
    starving_ = now;
  }
  verdict.starved = starving_ && now - *starving_ >= kMostStarving;
  verdict.exceeded = (level_ == Pressure::kExceeded || verdict.starved) && !told_;
  told_ = told_ || verdict.exceeded;
  return verdict;
}

Governor::PressureCounts Governor::pressure_counts() const {
  MutexLock lock(mutex_);
  return counts_;
}

Pressure Governor::pressure() const {
  MutexLock lock(mutex_);
  return level_;
}

}  // namespace spillway

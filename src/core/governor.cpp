#include "core/governor.hpp"

#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>

// jemalloc's control call, when the program is linked with it.
extern "C" __attribute__((weak)) int mallctl(const char* name, void* old, size_t* old_size,
                                             void* fresh, size_t fresh_size);

namespace spillway {
namespace {

void purge_allocator() {
  if (mallctl != nullptr) {
    mallctl("arena.4096.purge", nullptr, nullptr, nullptr, 0);  // 4096: MALLCTL_ARENAS_ALL
  } else {
    ::malloc_trim(0);
  }
}

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
    : budget_(budget), options_(std::move(options)) {
  thread_ = std::jthread([this](const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    while (!wake_.wait_for(lock, stop, options_.every, [] { return false; }) &&
           !stop.stop_requested())
      step();
  });
}

Governor::~Governor() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

void Governor::step() {
  // What is given back between the looks is neither drift nor ours to judge: the larger ledger
  // counts.
  const Bytes before = budget_.used();
  const Bytes held = options_.sample().counted();
  const Bytes leased = std::max(before, budget_.used());
  if (held > leased) drift_ = std::max(drift_, held - leased);
  const Bytes beside = std::max(options_.reserve, drift_);
  budget_.set_capacity(options_.limit > beside ? options_.limit - beside : Bytes(0));
  if (held > options_.limit / 100 * 85) purge_allocator();
  if (held > options_.limit / 100 * 97 && !told_) {
    told_ = true;
    if (options_.exceeded) {
      options_.exceeded(
          Error(Code::kMemoryLimit,
                fmt::format("the process holds {} of --memory {}: leased {} ({})", to_string(held),
                            to_string(options_.limit), to_string(leased), ledger_line(budget_))));
    }
  }
}

}  // namespace spillway

// Holds the ledger against the truth: the budget is the limit, the governor corrects drift.
//
// Samples the process's memory every 50 ms. What the process holds beyond its leases (at its peak,
// or the reserve if that is more) is taken off the budget's capacity: granted leases stand, new
// ones are refused, so accumulators spill. Of the limit:
//   85 %  the allocator is asked to give memory back, once a second at most
//   92 %  nothing is lent above the floors until the process holds less
//   97 %  `exceeded` is called, once, with the accounts: the job ends before the kernel ends it
//
// Threads  One of its own, joined by the destructor; it calls out with no mutex held.
// Cost     About 20 us a sample.
#pragma once

#include <chrono>
#include <functional>
#include <optional>

#include "core/clock.hpp"
#include "core/memory/budget.hpp"
#include "core/memory/procstat.hpp"
#include "core/ticker.hpp"

namespace spillway {

// Asks the allocator to give what it keeps for later back to the system.
void purge_allocator();

// What the process holds; nothing beside a sanitizer, whose own memory is many times that.
inline ProcessMemory governed_memory() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return {};
#else
  return process_memory();
#endif
}

class Governor {
 public:
  struct Options {
    Bytes limit;    // --memory
    Bytes reserve;  // what the program needs beside its leases
    std::chrono::milliseconds every{50};
    // Tests put theirs here.
    std::function<ProcessMemory()> sample = [] { return governed_memory(); };
    std::function<void()> purge = purge_allocator;
    const Clock* clock = &Clock::real();

    std::function<void(Error)> exceeded;
  };
  // `budget` outlives the governor.
  Governor(Budget& budget, Options options);

  // One sample, as the thread does it. For tests.
  void step() EXCLUDES(mutex_);

 private:
  struct Verdict {
    Bytes capacity;
    bool purge, floors_only, exceeded;
  };
  Verdict judge(Bytes held, Bytes leased) EXCLUDES(mutex_);

  Budget& budget_;
  const Options options_;
  Mutex mutex_;
  Bytes drift_ GUARDED_BY(mutex_);  // peak of what was held and not leased
  bool told_ GUARDED_BY(mutex_) = false;
  std::optional<Clock::Time> purged_ GUARDED_BY(mutex_);
  Ticker ticker_;
};

// "candidates 12 MiB, work 4 MiB, ...": the accounts that hold something, largest first.
std::string ledger_line(const Budget& budget);

}  // namespace spillway

// Holds the ledger against the truth: the budget is the limit, the governor corrects drift.
//
// Samples the process's memory every 50 ms. What the process holds beside its leases (the reserve if
// that is more) is taken off the budget's capacity: granted leases stand, new ones are refused, so
// accumulators spill. Of a lease only what was touched counts as held: a buffer that is leased and
// not yet used hides no drift. The most of the last 5 to 10 s counts, so that a spike passes.
//
// Pressure, of the limit; a level is left 2 % below where it is entered:
//   85 %  kPurging     the allocator is asked to give memory back, once a second at most
//   92 %  kFloorsOnly  nothing is lent above the floors
//   97 %  kExceeded    `exceeded` is called, once, with the accounts: the job ends before the kernel
//                      ends it
// `exceeded` is called, too, when somebody waits 10 s for what the drift leaves no room for.
//
// Threads  One of its own, joined by the destructor; it calls out with no mutex held.
// Cost     About 20 us a sample; looking which pages are touched takes a hundredth of its time at most.
#pragma once

#include <array>
#include <chrono>
#include <functional>
#include <optional>

#include "core/clock.hpp"
#include "core/memory/allocator.hpp"
#include "core/memory/budget.hpp"
#include "core/memory/mapped_buffers.hpp"
#include "core/memory/procstat.hpp"
#include "core/ticker.hpp"

namespace spillway {

// What the process holds; nothing beside a sanitizer, whose own memory is many times that.
inline ProcessMemory governed_memory() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return {};
#else
  return process_memory();
#endif
}

enum class Pressure { kNone, kPurging, kFloorsOnly, kExceeded };

class Governor {
 public:
  struct Options {
    Bytes limit;    // --memory
    Bytes reserve;  // what the program needs beside its leases
    std::chrono::milliseconds every{50};
    // Tests put theirs here.
    std::function<ProcessMemory()> sample = [] { return governed_memory(); };
    // Of what is leased.
    std::function<Bytes()> untouched = [] { return MappedBuffers::of_process().untouched(); };
    std::function<void()> purge = purge_allocator;
    const Clock* clock = &Clock::real();

    std::function<void(Error)> exceeded;
    // At every change of level, up or down: for a note of the job. May be empty.
    std::function<void(Pressure level, Bytes held)> on_pressure;
  };
  // `budget` outlives the governor.
  Governor(Budget& budget, Options options);

  // How often each level was entered from below it: [0] kPurging, [1] kFloorsOnly, [2] kExceeded.
  using PressureCounts = std::array<uint64_t, 3>;
  PressureCounts pressure_counts() const EXCLUDES(mutex_);
  Pressure pressure() const EXCLUDES(mutex_);

  // One sample, as the thread does it. For tests.
  void step() EXCLUDES(mutex_);

 private:
  struct Verdict {
    Bytes capacity;
    Pressure level;
    bool changed, purge, exceeded, starved;
  };
  Verdict judge(Bytes held, Bytes touched, bool waits) EXCLUDES(mutex_);
  Bytes drift(Bytes beside, Clock::Time now) REQUIRES(mutex_);
  Pressure level_of(Bytes held) const REQUIRES(mutex_);

  Budget& budget_;
  const Options options_;
  mutable Mutex mutex_;
  // The most that was held and not leased, of this window and the one before.
  std::array<Bytes, 2> drifts_ GUARDED_BY(mutex_);
  Clock::Time window_ GUARDED_BY(mutex_);
  Pressure level_ GUARDED_BY(mutex_) = Pressure::kNone;
  PressureCounts counts_ GUARDED_BY(mutex_){};
  bool told_ GUARDED_BY(mutex_) = false;
  std::optional<Clock::Time> purged_ GUARDED_BY(mutex_), starving_ GUARDED_BY(mutex_);
  Ticker ticker_;
};

// "candidates 12 MiB, work 4 MiB, ...": the accounts that hold something, largest first.
std::string ledger_line(const Budget& budget);

}  // namespace spillway

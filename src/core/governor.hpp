// Holds the ledger against the truth: the budget is the limit, the governor corrects drift.
//
// Samples the process's memory every 50 ms. What the process holds beyond its leases (at its peak,
// or the reserve if that is more) is taken off the budget's capacity: granted leases stand, new
// ones are refused, so accumulators spill. At 85 % of the limit the allocator is asked to give
// memory back; at 97 % `exceeded` is called once, with the accounts, so that the job ends before
// the kernel ends it.
//
// Threads  One of its own, joined by the destructor. `exceeded` runs on it.
// Cost     About 20 us a sample.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "core/budget.hpp"
#include "core/procstat.hpp"

namespace spillway {

class Governor {
 public:
  struct Options {
    Bytes limit;    // --memory
    Bytes reserve;  // what the program needs beside its leases
    std::chrono::milliseconds every{50};
    std::function<ProcessMemory()> sample = process_memory;  // tests put theirs here
    std::function<void(Error)> exceeded;
  };
  // `budget` outlives the governor.
  Governor(Budget& budget, Options options);
  ~Governor();

  // One sample, as the thread does it. For tests.
  void step();

 private:
  Budget& budget_;
  const Options options_;
  Bytes drift_;  // peak of what was held and not leased
  bool told_ = false;
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::jthread thread_;
};

// "candidates 12 MiB, work 4 MiB, ...": the accounts that hold something, largest first.
std::string ledger_line(const Budget& budget);

}  // namespace spillway

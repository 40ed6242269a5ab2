// Any number of outputs written in any order, with a bounded number open at once.
//
// An output is made when it is first asked for and stays open while memory and descriptors allow.
// When they do not, the one that was used longest ago is parked: it writes what it holds, closes
// its file and keeps only what reopening needs. finish() ends all of them, in the order of their
// numbers, so what is written at the end does not depend on what was parked when.
//
// Formats that cannot be appended to after a close (Parquet's footer) cannot be parked: plan() says
// when everything must be partitioned to scratch first and then written one output at a time.
//
// Memory   `open_cost` an open output (codec workspace, batch buffer, index), try_acquire from
//          `account`; one output's is leased at creation and kept, so parking always makes room.
//          `parked_cost` a parked one, and 64 bytes each, from the same account: kMemoryLimit when
//          that is refused.
// Threads  One at a time. Each thread of a parallel writer has a pool of its own.
// Cost     A look-up in a hash map; parking costs a write, a close and an open later.
// Fails    With the outputs' errors; kMemoryLimit.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <unordered_map>

#include "core/budget.hpp"
#include "core/bytes.hpp"
#include "core/result.hpp"

namespace spillway {

// What a format gives the pool. Created open.
class PooledOutput {
 public:
  virtual ~PooledOutput() = default;
  virtual Result<void> park() = 0;    // writes what it holds and closes its file
  virtual Result<void> reopen() = 0;  // to append on
  virtual Result<void> finish() = 0;  // called open, once; nothing follows
};

class WriterPool {
 public:
  struct Options {
    size_t most_open = 64;  // descriptors
    Bytes open_cost;
    Bytes parked_cost;
  };
  enum class Plan { kAllOpen, kPark, kPartitionFirst };
  // How `outputs` outputs are best written with `memory` bytes: all open, the least used parked, or
  // (not `appendable`) partitioned first.
  static Plan plan(uint64_t outputs, bool appendable, Bytes memory, const Options& options);

  using Make = std::function<Result<std::unique_ptr<PooledOutput>>(uint64_t output)>;
  [[nodiscard]] static Result<std::unique_ptr<WriterPool>> create(Options options, Account account,
                                                                  Make make);

  // The output with that number, open. Valid until the next call.
  [[nodiscard]] Result<PooledOutput*> open(uint64_t output);
  // Ends one output now and forgets it; asking for it again makes it anew.
  [[nodiscard]] Result<void> finish(uint64_t output);
  // Ends all outputs, by number.
  [[nodiscard]] Result<void> finish_all();

  size_t size() const { return outputs_.size(); }  // made and not finished
  size_t open_count() const { return recent_.size(); }
  uint64_t parked() const { return parked_; }  // times an output was parked

 private:
  struct Entry {
    std::unique_ptr<PooledOutput> output;
    Lease open, parked;
    bool is_open = false;
    std::list<uint64_t>::iterator place;  // in recent_
  };
  WriterPool() = default;
  Result<void> make_room(Lease& lease);
  Result<void> park_oldest();
  Result<Entry*> opened(uint64_t output);

  Options options_;
  Account account_;
  Make make_;
  Lease spare_;  // of one open output, while none uses it
  std::unordered_map<uint64_t, Entry> outputs_;
  std::list<uint64_t> recent_;  // the open ones, last used first
  uint64_t parked_ = 0;
};

}  // namespace spillway

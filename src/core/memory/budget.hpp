// The one budget of the process: every byte that a job holds in flight is a Lease on it.
//
// The rules, which are the proof that nothing deadlocks (1, 3, 4 and 6 bind the callers and are not
// checked here):
//  1. Lease before allocate, once a unit, for the unit's peak; then shrink_to() the truth.
//  2. Floor: each account owns `floor` bytes nobody else can take, enough for one unit of its work.
//  3. No hold-and-wait: a thread waits in acquire() only at the start of a unit, holding only
//     that unit's input.
//  4. Accumulators never wait: they use try_acquire() and spill their own state on refusal.
//     Spilling acquires nothing.
//  5. Sink first: grants go to the highest rank; FIFO within a rank.
//  6. A stage that waits for a particular input has a floor along that input's whole path.
//  7. A request above the account's ceiling, or above what the largest capacity there was could ever
//     lend it, fails at once with kTooLarge. One that only the present capacity is too low for waits:
//     a dip passes. Who waits for that, or for bytes of its own account (its ceiling), holds nobody
//     else up.
//
// Threads  Budget, Account: any. Lease: one owner at a time.
// Cost     One mutex; about 100 ns for an acquire and release without contention. Not for small
//          allocations. docs/memory.md tells the same in prose.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "core/bytes.hpp"
#include "core/result.hpp"

namespace spillway {

class Budget;
namespace detail {
struct AccountState;
struct LeaseMaker;
}  // namespace detail

// Bytes of one account, given back on destruction.
class [[nodiscard]] Lease {
 public:
  Lease() = default;  // empty
  Lease(Lease&& other) noexcept;
  Lease& operator=(Lease&& other) noexcept;
  ~Lease();

  Bytes bytes() const { return bytes_; }
  void shrink_to(Bytes bytes);  // bytes <= this->bytes()
  Lease split(Bytes bytes);     // takes `bytes` out into a lease of its own
  void join(Lease&& other);     // same account, or this one is empty
  void release() { shrink_to(Bytes(0)); }

 private:
  friend class Account;
  friend class Budget;
  friend struct detail::LeaseMaker;
  std::shared_ptr<detail::AccountState> account_;
  Bytes bytes_;
};

struct AccountSpec {
  std::string name;
  int rank = 0;  // higher is nearer to the sink
  Bytes floor;
  std::optional<Bytes> ceiling;  // none: what the others' floors leave
};

// A handle; copies mean the same account. Accounts live as long as the budget.
class Account {
 public:
  // Whether it was opened; a default-made one lends nothing.
  explicit operator bool() const { return state_ != nullptr; }
  const std::string& name() const;
  Bytes floor() const;
  Bytes ceiling() const;  // the most that one request can ever get, at the largest capacity there was
  Bytes used() const;
  Bytes peak() const;

  std::optional<Lease> try_acquire(Bytes bytes);
  [[nodiscard]] Result<Lease> acquire(Bytes bytes, std::stop_token stop);
  // For event loops: `done` runs once, on the thread that frees the bytes (or at once on this one),
  // never under a lock and never inside another `done`. kCancelled when the budget ends first.
  void acquire_async(Bytes bytes, std::function<void(Result<Lease>)> done);

 private:
  friend class Budget;
  std::shared_ptr<detail::AccountState> state_;
};

struct AccountUsage {
  std::string name;
  int rank;
  Bytes floor, ceiling, used, peak;
  uint64_t waits;  // acquire() calls that had to wait
  double waited_seconds;
  uint64_t refusals;  // try_acquire() calls refused
};

class Budget {
 public:
  // From now on the account has no floor: what it had belongs to all. For a stage that is over.
  void retire(const Account& account);

  // `capacity`: what leases may sum to, floors included. The Governor may lower it later (never
  // below the floors).
  static std::unique_ptr<Budget> create(Bytes capacity);
  // No lease is left and no thread waits; who waits asynchronously is called with kCancelled.
  ~Budget();

  // Fails with kMemoryLimit when the floors no longer fit; the message lists them: "needs at least
  // 38 MiB: read 4, ...".
  [[nodiscard]] Result<Account> open(AccountSpec spec);

  Bytes capacity() const;
  void set_capacity(Bytes capacity);  // granted leases stand; new ones wait
  // Somebody who waits for more than the present capacity can lend, whatever is given back: "sort
  // waits for 12 MiB and can have 8 MiB"; empty when there is none.
  std::string starved() const;
  // While set, nothing is lent above the floors; who asks for more waits or is refused as when
  // memory is short. The Governor's step before the limit.
  void lend_floors_only(bool only);
  Bytes used() const;
  Bytes peak() const;
  std::vector<AccountUsage> usage() const;

  struct Impl;  // opaque

 private:
  Budget();
  friend class Account;
  friend class Lease;
  std::shared_ptr<Impl> impl_;
};

}  // namespace spillway

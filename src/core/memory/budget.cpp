#include "core/memory/budget.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <limits>
#include <list>
#include <utility>

#include "core/mutex.hpp"
#include "core/sync_point.hpp"

namespace spillway {

namespace detail {
struct AccountState {
  const std::string name;
  const std::shared_ptr<Budget::Impl> owner;
  const size_t index;  // of its ledger there
};
struct LeaseMaker {
  static Lease make(std::shared_ptr<AccountState> account, uint64_t bytes) {
    Lease lease;
    lease.account_ = std::move(account);
    lease.bytes_ = Bytes(bytes);
    return lease;
  }
};
}  // namespace detail

namespace {

using Clock = std::chrono::steady_clock;

enum class Outcome { kWaiting, kGranted, kTooLarge, kEnded };

struct Waiter {
  std::shared_ptr<detail::AccountState> account;
  uint64_t bytes = 0;
  std::function<void(Result<Lease>)> done;  // asynchronous: owned by the queue; else:
  CondVar wake;
  // All under the budget's mutex until the waiter has left the queue.
  uint64_t ticket = 0;
  std::list<Waiter*>::iterator place;
  Outcome outcome = Outcome::kWaiting;
};

struct Ledger {  // of one account
  AccountSpec spec;
  uint64_t used = 0, peak = 0, waits = 0, refusals = 0;
  double waited = 0;
  std::list<Waiter*> waiting;  // by arrival
  uint64_t least_waiting = 0;  // nobody in `waiting` wants less
};

uint64_t above(uint64_t used, uint64_t floor) { return used > floor ? used - floor : 0; }

tl::unexpected<Error> too_large(const std::string& name, uint64_t bytes, uint64_t ceiling) {
  return fail(Code::kTooLarge,
              fmt::format("{} wants {} at once and can have {}; raise --memory", name,
                          to_string(Bytes(bytes)), to_string(Bytes(ceiling))));
}

using Ready = std::vector<std::unique_ptr<Waiter>>;  // to be called without the mutex

}  // namespace

// One mutex: a unit is 256 KiB to 4 MiB of work, an acquire about 100 ns.
struct Budget::Impl {
  mutable Mutex mutex;
  uint64_t capacity GUARDED_BY(mutex) = 0;
  uint64_t most GUARDED_BY(mutex) = 0;  // the largest capacity there was
  bool floors_only GUARDED_BY(mutex) = false;
  bool ended GUARDED_BY(mutex) = false;
  uint64_t floors GUARDED_BY(mutex) = 0;  // of all accounts: nobody else's
  uint64_t shared GUARDED_BY(mutex) = 0;  // lent above the floors
  uint64_t used GUARDED_BY(mutex) = 0, peak GUARDED_BY(mutex) = 0;
  std::deque<Ledger> ledgers GUARDED_BY(mutex);
  size_t waiters GUARDED_BY(mutex) = 0;
  uint64_t tickets GUARDED_BY(mutex) = 0;

  // What one request can get at a capacity of `whole`.
  uint64_t ceiling_of(const Ledger& ledger, uint64_t whole) const REQUIRES(mutex) {
    const uint64_t all = whole - floors + ledger.spec.floor.count();
    return ledger.spec.ceiling ? std::min(all, ledger.spec.ceiling->count()) : all;
  }
  // Whether it is the account's own ceiling that stands in the way.
  static bool is_capped(const Ledger& ledger, uint64_t bytes) {
    if (!ledger.spec.ceiling) return false;
    const uint64_t ceiling = ledger.spec.ceiling->count();
    return bytes > ceiling || ledger.used > ceiling - bytes;
  }
  // Whether it waits for something else than what others hold.
  bool is_held_back(const Ledger& ledger, uint64_t bytes) const REQUIRES(mutex) {
    return is_capped(ledger, bytes) || bytes > ceiling_of(ledger, capacity);
  }
  static bool is_within_floor(const Ledger& ledger, uint64_t bytes) {
    const uint64_t floor = ledger.spec.floor.count();
    return bytes <= floor && ledger.used <= floor - bytes;
  }
  bool fits(const Ledger& ledger, uint64_t bytes) const REQUIRES(mutex) {
    if (is_held_back(ledger, bytes)) return false;
    const uint64_t floor = ledger.spec.floor.count();
    const uint64_t more = above(ledger.used + bytes, floor) - above(ledger.used, floor);
    return more == 0 || (!floors_only && floors + shared + more <= capacity);
  }
  void take(Ledger& ledger, uint64_t bytes) REQUIRES(mutex) {
    const uint64_t floor = ledger.spec.floor.count();
    shared += above(ledger.used + bytes, floor) - above(ledger.used, floor);
    ledger.used += bytes;
    ledger.peak = std::max(ledger.peak, ledger.used);
    used += bytes;
    peak = std::max(peak, used);
  }

  void enqueue(Waiter* waiter) REQUIRES(mutex) {
    Ledger& ledger = ledgers[waiter->account->index];
    waiter->ticket = tickets++;
    ledger.least_waiting =
        ledger.waiting.empty() ? waiter->bytes : std::min(ledger.least_waiting, waiter->bytes);
    waiter->place = ledger.waiting.insert(ledger.waiting.end(), waiter);
    ++waiters;
  }
  std::list<Waiter*>::iterator leave(Ledger& ledger, std::list<Waiter*>::iterator at,
                                     Outcome outcome, Ready& ready) REQUIRES(mutex) {
    Waiter* const waiter = *at;
    waiter->outcome = outcome;
    --waiters;
    if (outcome == Outcome::kGranted) take(ledger, waiter->bytes);
    if (waiter->done) {
      ready.emplace_back(waiter);
    } else {
      waiter->wake.notify_one();
    }
    return ledger.waiting.erase(at);
  }
  // Grants what can be granted. An account's own floor passes every queue; beyond that nobody
  // overtakes a waiter of a higher rank, or an earlier one of the same, except one whom only the
  // ceiling of its own account holds back.
  void grant(Ready& ready) REQUIRES(mutex) {
    if (waiters == 0) return;
    for (Ledger& ledger : ledgers) grant_floor(ledger, ready);
    while (true) {
      Ledger* first = nullptr;
      for (Ledger& ledger : ledgers) {
        if (ledger.waiting.empty() || is_held_back(ledger, ledger.waiting.front()->bytes)) continue;
        if (first == nullptr || ledger.spec.rank > first->spec.rank ||
            (ledger.spec.rank == first->spec.rank &&
             ledger.waiting.front()->ticket < first->waiting.front()->ticket)) {
          first = &ledger;
        }
      }
      if (first == nullptr || !fits(*first, first->waiting.front()->bytes)) return;
      leave(*first, first->waiting.begin(), Outcome::kGranted, ready);
    }
  }
  void grant_floor(Ledger& ledger, Ready& ready) REQUIRES(mutex) {
    if (ledger.waiting.empty()) return;
    uint64_t least = std::numeric_limits<uint64_t>::max();
    for (auto at = ledger.waiting.begin(); at != ledger.waiting.end();) {
      // So that a look ends with the room, not with the queue.
      if (!is_within_floor(ledger, ledger.least_waiting)) return;
      if (is_within_floor(ledger, (*at)->bytes) && fits(ledger, (*at)->bytes)) {
        at = leave(ledger, at, Outcome::kGranted, ready);
      } else {
        least = std::min(least, (*at)->bytes);
        ++at;
      }
    }
    ledger.least_waiting = least;
  }
  // Whoever can have its bytes no more, whatever is given back.
  void refuse_impossible(Ready& ready) REQUIRES(mutex) {
    for (Ledger& ledger : ledgers) {
      const uint64_t ceiling = ceiling_of(ledger, most);
      for (auto at = ledger.waiting.begin(); at != ledger.waiting.end();)
        at = (*at)->bytes > ceiling ? leave(ledger, at, Outcome::kTooLarge, ready) : std::next(at);
    }
  }

  // Whether somebody who waits comes before a new request.
  bool is_behind(const Ledger& ledger, uint64_t bytes) const REQUIRES(mutex) {
    if (is_within_floor(ledger, bytes)) return false;
    for (const Ledger& other : ledgers) {
      if (other.waiting.empty()) continue;
      if (&other == &ledger) return true;
      if (other.spec.rank >= ledger.spec.rank &&
          !is_held_back(other, other.waiting.front()->bytes))
        return true;
    }
    return false;
  }

  Result<Lease> answer(const Waiter& waiter) const EXCLUDES(mutex) {
    switch (waiter.outcome) {
      case Outcome::kGranted:
        return detail::LeaseMaker::make(waiter.account, waiter.bytes);
      case Outcome::kTooLarge: {
        MutexLock lock(mutex);
        return too_large(waiter.account->name, waiter.bytes,
                         ceiling_of(ledgers[waiter.account->index], most));
      }
      case Outcome::kWaiting:
        return fail(Code::kCancelled, "stopped while waiting for memory");
      case Outcome::kEnded:
        break;
    }
    return fail(Code::kCancelled, "the budget has ended");
  }
  // One callback after the other, however many they make ready: the stack does not grow.
  static void deliver(Ready ready) {
    static thread_local std::deque<std::unique_ptr<Waiter>>* under_way = nullptr;
    if (ready.empty()) return;
    std::deque<std::unique_ptr<Waiter>> own;
    std::deque<std::unique_ptr<Waiter>>& queue = under_way != nullptr ? *under_way : own;
    for (auto& waiter : ready) queue.push_back(std::move(waiter));
    if (under_way != nullptr) return;
    under_way = &own;
    while (!own.empty()) {
      const std::unique_ptr<Waiter> waiter = std::move(own.front());
      own.pop_front();
      waiter->done(waiter->account->owner->answer(*waiter));
    }
    under_way = nullptr;
  }
  void give_back(size_t index, uint64_t bytes) EXCLUDES(mutex) {
    Ready ready;
    {
      MutexLock lock(mutex);
      Ledger& ledger = ledgers[index];
      const uint64_t floor = ledger.spec.floor.count();
      CHECK(ledger.used >= bytes);
      shared -= above(ledger.used, floor) - above(ledger.used - bytes, floor);
      ledger.used -= bytes;
      used -= bytes;
      grant(ready);
    }
    deliver(std::move(ready));
  }
};

Budget::Budget() : impl_(std::make_shared<Impl>()) {}
Budget::~Budget() {
  Ready ready;
  {
    MutexLock lock(impl_->mutex);
    impl_->ended = true;
    for (Ledger& ledger : impl_->ledgers) {
      for (auto at = ledger.waiting.begin(); at != ledger.waiting.end();)
        at = impl_->leave(ledger, at, Outcome::kEnded, ready);
    }
  }
  Impl::deliver(std::move(ready));
  MutexLock lock(impl_->mutex);
  DCHECK(impl_->used == 0);  // a lease outlives its budget
}

std::unique_ptr<Budget> Budget::create(Bytes capacity) {
  std::unique_ptr<Budget> budget(new Budget);
  MutexLock lock(budget->impl_->mutex);
  budget->impl_->capacity = budget->impl_->most = capacity.count();
  return budget;
}

Result<Account> Budget::open(AccountSpec spec) {
  Ready ready;
  Account account;
  {
    MutexLock lock(impl_->mutex);
    // What is lent above the floors is gone, too.
    const uint64_t taken = impl_->floors + impl_->shared;
    const bool fits = taken <= impl_->capacity && spec.floor.count() <= impl_->capacity - taken;
    if (spec.floor > Bytes(0) && !fits) {
      std::string parts;
      for (const Ledger& ledger : impl_->ledgers) {
        if (ledger.spec.floor > Bytes(0))
          parts += fmt::format("{} {}, ", ledger.spec.name, to_string(ledger.spec.floor));
      }
      return fail(Code::kMemoryLimit, fmt::format("needs at least {}: {}{} {}",
                                                  to_string(Bytes(impl_->floors) + spec.floor),
                                                  parts, spec.name, to_string(spec.floor)));
    }
    impl_->floors += spec.floor.count();
    account.state_ = std::make_shared<detail::AccountState>(
        detail::AccountState{spec.name, impl_, impl_->ledgers.size()});
    impl_->ledgers.emplace_back().spec = std::move(spec);
    impl_->refuse_impossible(ready);
  }
  Impl::deliver(std::move(ready));
  return account;
}

void Budget::retire(const Account& account) {
  Ready ready;
  {
    MutexLock lock(impl_->mutex);
    Ledger& ledger = impl_->ledgers[account.state_->index];
    impl_->floors -= ledger.spec.floor.count();
    impl_->shared += std::min(ledger.used, ledger.spec.floor.count());
    ledger.spec.floor = Bytes(0);
    impl_->grant(ready);
  }
  Impl::deliver(std::move(ready));
}

Bytes Budget::capacity() const {
  MutexLock lock(impl_->mutex);
  return Bytes(impl_->capacity);
}

void Budget::set_capacity(Bytes capacity) {
  Ready ready;
  {
    MutexLock lock(impl_->mutex);
    impl_->capacity = std::max(capacity.count(), impl_->floors);
    impl_->most = std::max(impl_->most, impl_->capacity);
    impl_->grant(ready);
  }
  Impl::deliver(std::move(ready));
}

std::string Budget::starved() const {
  MutexLock lock(impl_->mutex);
  if (impl_->waiters == 0 || impl_->capacity == impl_->most) return "";
  for (const Ledger& ledger : impl_->ledgers) {
    const uint64_t ceiling = impl_->ceiling_of(ledger, impl_->capacity);
    for (const Waiter* const waiter : ledger.waiting) {
      if (waiter->bytes <= ceiling) continue;
      return fmt::format("{} waits for {} and can have {}", ledger.spec.name,
                         to_string(Bytes(waiter->bytes)), to_string(Bytes(ceiling)));
    }
  }
  return "";
}

void Budget::lend_floors_only(bool only) {
  Ready ready;
  {
    MutexLock lock(impl_->mutex);
    impl_->floors_only = only;
    impl_->grant(ready);
  }
  Impl::deliver(std::move(ready));
}

Bytes Budget::used() const {
  MutexLock lock(impl_->mutex);
  return Bytes(impl_->used);
}

Bytes Budget::peak() const {
  MutexLock lock(impl_->mutex);
  return Bytes(impl_->peak);
}

std::vector<AccountUsage> Budget::usage() const {
  MutexLock lock(impl_->mutex);
  std::vector<AccountUsage> list;
  list.reserve(impl_->ledgers.size());
  for (const Ledger& ledger : impl_->ledgers) {
    list.push_back({ledger.spec.name, ledger.spec.rank, ledger.spec.floor,
                    Bytes(impl_->ceiling_of(ledger, impl_->most)), Bytes(ledger.used), Bytes(ledger.peak),
                    ledger.waits, ledger.waited, ledger.refusals});
  }
  return list;
}

const std::string& Account::name() const { return state_->name; }

Bytes Account::floor() const {
  Budget::Impl& impl = *state_->owner;
  MutexLock lock(impl.mutex);
  return impl.ledgers[state_->index].spec.floor;
}

Bytes Account::ceiling() const {
  Budget::Impl& impl = *state_->owner;
  MutexLock lock(impl.mutex);
  return Bytes(impl.ceiling_of(impl.ledgers[state_->index], impl.most));
}

Bytes Account::used() const {
  Budget::Impl& impl = *state_->owner;
  MutexLock lock(impl.mutex);
  return Bytes(impl.ledgers[state_->index].used);
}

Bytes Account::peak() const {
  Budget::Impl& impl = *state_->owner;
  MutexLock lock(impl.mutex);
  return Bytes(impl.ledgers[state_->index].peak);
}

std::optional<Lease> Account::try_acquire(Bytes bytes) {
  if (!state_) return std::nullopt;
  Budget::Impl& impl = *state_->owner;
  Ready ready;
  {
    MutexLock lock(impl.mutex);
    Ledger& ledger = impl.ledgers[state_->index];
    const bool behind = impl.waiters > 0 && impl.is_behind(ledger, bytes.count());
    if (impl.ended || behind || !impl.fits(ledger, bytes.count())) {
      ++ledger.refusals;
      return std::nullopt;
    }
    impl.take(ledger, bytes.count());
    // Its own waiters may now be held back by its ceiling, and hold nobody else up.
    if (impl.waiters > 0) impl.grant(ready);
  }
  Budget::Impl::deliver(std::move(ready));
  return detail::LeaseMaker::make(state_, bytes.count());
}

Result<Lease> Account::acquire(Bytes bytes, std::stop_token stop) {
  Budget::Impl& impl = *state_->owner;
  Waiter waiter;
  waiter.account = state_;
  waiter.bytes = bytes.count();
  Ready ready;
  {
    MutexLock lock(impl.mutex);
    Ledger& ledger = impl.ledgers[state_->index];
    const uint64_t ceiling = impl.ceiling_of(ledger, impl.most);
    if (impl.ended) return fail(Code::kCancelled, "the budget has ended");
    if (bytes.count() > ceiling) return too_large(state_->name, bytes.count(), ceiling);
    impl.enqueue(&waiter);
    impl.grant(ready);
    if (waiter.outcome == Outcome::kWaiting) ++ledger.waits;
    if (waiter.outcome == Outcome::kGranted && ready.empty())
      return detail::LeaseMaker::make(state_, bytes.count());
  }
  Budget::Impl::deliver(std::exchange(ready, {}));
  SYNC_POINT("budget.acquire.waiting");
  const auto begin = Clock::now();
  {
    // The callback takes the mutex so that a stop between the test and the wait is not lost; a stop
    // already requested calls back from here.
    std::stop_callback wake(stop, [&] {
      SYNC_POINT("budget.acquire.stopped");
      MutexLock inner(impl.mutex);
      waiter.wake.notify_one();
    });
    MutexLock lock(impl.mutex);
    while (waiter.outcome == Outcome::kWaiting && !stop.stop_requested())
      waiter.wake.wait(impl.mutex);
    Ledger& ledger = impl.ledgers[state_->index];
    ledger.waited += std::chrono::duration<double>(Clock::now() - begin).count();
    if (waiter.outcome == Outcome::kWaiting) {
      ledger.waiting.erase(waiter.place);
      --impl.waiters;
      impl.grant(ready);  // whoever waited behind this one
    }
  }  // the mutex first, then the callback, which may be waiting for it
  Budget::Impl::deliver(std::move(ready));
  return impl.answer(waiter);
}

void Account::acquire_async(Bytes bytes, std::function<void(Result<Lease>)> done) {
  Budget::Impl& impl = *state_->owner;
  auto waiter = std::make_unique<Waiter>();
  waiter->account = state_;
  waiter->bytes = bytes.count();
  waiter->done = std::move(done);
  Ready ready;
  {
    MutexLock lock(impl.mutex);
    if (impl.ended) {
      waiter->outcome = Outcome::kEnded;
      ready.push_back(std::move(waiter));
    } else if (bytes.count() > impl.ceiling_of(impl.ledgers[state_->index], impl.most)) {
      waiter->outcome = Outcome::kTooLarge;
      ready.push_back(std::move(waiter));
    } else {
      impl.enqueue(waiter.release());  // the queue's until it is served
      impl.grant(ready);
    }
  }
  Budget::Impl::deliver(std::move(ready));
}

Lease::Lease(Lease&& other) noexcept
    : account_(std::move(other.account_)), bytes_(std::exchange(other.bytes_, Bytes(0))) {}

Lease& Lease::operator=(Lease&& other) noexcept {
  if (this != &other) {
    release();
    account_ = std::move(other.account_);
    bytes_ = std::exchange(other.bytes_, Bytes(0));
  }
  return *this;
}

Lease::~Lease() { release(); }

void Lease::shrink_to(Bytes bytes) {
  CHECK(bytes <= bytes_);
  const Bytes returned = bytes_ - bytes;
  bytes_ = bytes;
  if (account_ && returned > Bytes(0))
    account_->owner->give_back(account_->index, returned.count());
}

Lease Lease::split(Bytes bytes) {
  CHECK(bytes <= bytes_);
  bytes_ -= bytes;
  return detail::LeaseMaker::make(account_, bytes.count());
}

void Lease::join(Lease&& other) {
  if (!account_) {
    *this = std::move(other);
    return;
  }
  CHECK(!other.account_ || other.account_ == account_);
  bytes_ += std::exchange(other.bytes_, Bytes(0));
  other.account_.reset();
}

}  // namespace spillway

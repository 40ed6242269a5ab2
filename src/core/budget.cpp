#include "core/budget.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <list>
#include <mutex>
#include <utility>

namespace spillway {
namespace {

using Clock = std::chrono::steady_clock;

struct Waiter {
  std::shared_ptr<detail::AccountState> account;
  uint64_t bytes = 0;
  std::function<void(Result<Lease>)> done;  // asynchronous; else:
  std::condition_variable wake;
  bool granted = false;
};

uint64_t above(uint64_t used, uint64_t floor) { return used > floor ? used - floor : 0; }

}  // namespace

namespace detail {
struct AccountState {
  AccountSpec spec;
  std::shared_ptr<void> owner;  // the Budget::Impl
  uint64_t ceiling = 0;         // 0: the capacity
  uint64_t used = 0, peak = 0, waits = 0, refusals = 0;
  double waited = 0;
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

// One mutex: a unit is 256 KiB to 4 MiB of work, an acquire about 100 ns.
struct Budget::Impl : std::enable_shared_from_this<Budget::Impl> {
  mutable std::mutex mutex;
  uint64_t capacity = 0;
  uint64_t floors = 0;  // of all accounts: nobody else's
  uint64_t shared = 0;  // lent above the floors
  uint64_t used = 0, peak = 0;
  std::vector<std::shared_ptr<detail::AccountState>> accounts;
  std::list<Waiter*> waiting;  // by rank, then by arrival

  bool fits(const detail::AccountState& account, uint64_t bytes) const {
    const uint64_t ceiling = ceiling_of(account);
    if (bytes > ceiling || account.used > ceiling - bytes) return false;
    const uint64_t more = above(account.used + bytes, account.spec.floor.count()) -
                          above(account.used, account.spec.floor.count());
    return more == 0 || floors + shared + more <= capacity;
  }
  uint64_t ceiling_of(const detail::AccountState& account) const {
    return account.spec.ceiling ? account.spec.ceiling->count()
                                : capacity - floors + account.spec.floor.count();
  }
  void take(detail::AccountState& account, uint64_t bytes) {
    const uint64_t floor = account.spec.floor.count();
    shared += above(account.used + bytes, floor) - above(account.used, floor);
    account.used += bytes;
    account.peak = std::max(account.peak, account.used);
    used += bytes;
    peak = std::max(peak, used);
  }
  // Grants what can be granted: an account's own floor passes the queue; beyond that nobody
  // overtakes a waiter of a higher or the same rank. Returns the asynchronous ones, to be called
  // without the mutex.
  std::vector<std::unique_ptr<Waiter>> grant() {
    std::vector<std::unique_ptr<Waiter>> ready;
    bool blocked = false;
    for (auto at = waiting.begin(); at != waiting.end();) {
      Waiter* const waiter = *at;
      const detail::AccountState& account = *waiter->account;
      const bool by_floor = account.used + waiter->bytes <= account.spec.floor.count();
      if ((blocked && !by_floor) || !fits(account, waiter->bytes)) {
        if (!by_floor) blocked = true;
        ++at;
        continue;
      }
      take(*waiter->account, waiter->bytes);
      waiter->granted = true;
      at = waiting.erase(at);
      if (waiter->done) {
        ready.emplace_back(waiter);
      } else {
        waiter->wake.notify_one();
      }
    }
    return ready;
  }
  void enqueue(Waiter* waiter) {
    auto at = std::find_if(waiting.begin(), waiting.end(), [&](const Waiter* other) {
      return other->account->spec.rank < waiter->account->spec.rank;
    });
    waiting.insert(at, waiter);
  }
  static void deliver(std::vector<std::unique_ptr<Waiter>> ready) {
    for (auto& waiter : ready)
      waiter->done(detail::LeaseMaker::make(waiter->account, waiter->bytes));
  }
  void give_back(detail::AccountState& account, uint64_t bytes) {
    std::vector<std::unique_ptr<Waiter>> ready;
    {
      std::lock_guard lock(mutex);
      const uint64_t floor = account.spec.floor.count();
      CHECK(account.used >= bytes);
      shared -= above(account.used, floor) - above(account.used - bytes, floor);
      account.used -= bytes;
      used -= bytes;
      ready = grant();
    }
    deliver(std::move(ready));
  }
};

Budget::Budget() : impl_(std::make_shared<Impl>()) {}
Budget::~Budget() {
  std::lock_guard lock(impl_->mutex);
  DCHECK(impl_->used == 0);  // a lease outlives its budget
  impl_->accounts.clear();   // they hold the budget, it holds them
}

std::unique_ptr<Budget> Budget::create(Bytes capacity) {
  std::unique_ptr<Budget> budget(new Budget);
  budget->impl_->capacity = capacity.count();
  return budget;
}

Result<Account> Budget::open(AccountSpec spec) {
  std::lock_guard lock(impl_->mutex);
  const uint64_t taken =
      impl_->floors + impl_->shared;  // what is lent above the floors is gone, too
  if (spec.floor > Bytes(0) && taken + spec.floor.count() > impl_->capacity) {
    std::string parts;
    for (const auto& account : impl_->accounts) {
      if (account->spec.floor > Bytes(0))
        parts += fmt::format("{} {}, ", account->spec.name, to_string(account->spec.floor));
    }
    return fail(Code::kMemoryLimit, fmt::format("needs at least {}: {}{} {}",
                                                to_string(Bytes(impl_->floors) + spec.floor), parts,
                                                spec.name, to_string(spec.floor)));
  }
  impl_->floors += spec.floor.count();
  Account account;
  account.state_ = std::make_shared<detail::AccountState>();
  account.state_->spec = std::move(spec);
  account.state_->owner = impl_;
  impl_->accounts.push_back(account.state_);
  return account;
}

void Budget::retire(const Account& account) {
  std::vector<std::unique_ptr<Waiter>> ready;
  {
    std::lock_guard lock(impl_->mutex);
    detail::AccountState& state = *account.state_;
    impl_->floors -= state.spec.floor.count();
    impl_->shared += std::min(state.used, state.spec.floor.count());
    state.spec.floor = Bytes(0);
    ready = impl_->grant();
  }
  Impl::deliver(std::move(ready));
}

Bytes Budget::capacity() const {
  std::lock_guard lock(impl_->mutex);
  return Bytes(impl_->capacity);
}

void Budget::set_capacity(Bytes capacity) {
  std::vector<std::unique_ptr<Waiter>> ready;
  {
    std::lock_guard lock(impl_->mutex);
    impl_->capacity = std::max(capacity.count(), impl_->floors);
    ready = impl_->grant();
  }
  Impl::deliver(std::move(ready));
}

Bytes Budget::used() const {
  std::lock_guard lock(impl_->mutex);
  return Bytes(impl_->used);
}

Bytes Budget::peak() const {
  std::lock_guard lock(impl_->mutex);
  return Bytes(impl_->peak);
}

std::vector<AccountUsage> Budget::usage() const {
  std::lock_guard lock(impl_->mutex);
  std::vector<AccountUsage> list;
  for (const auto& account : impl_->accounts) {
    list.push_back({account->spec.name, account->spec.rank, account->spec.floor,
                    Bytes(impl_->ceiling_of(*account)), Bytes(account->used), Bytes(account->peak),
                    account->waits, account->waited, account->refusals});
  }
  return list;
}

namespace {
Budget::Impl& impl_of(const detail::AccountState& account) {
  return *static_cast<Budget::Impl*>(account.owner.get());
}
}  // namespace

const std::string& Account::name() const { return state_->spec.name; }
Bytes Account::floor() const {
  Budget::Impl& impl = impl_of(*state_);
  std::lock_guard lock(impl.mutex);
  return state_->spec.floor;
}

Bytes Account::ceiling() const {
  Budget::Impl& impl = impl_of(*state_);
  std::lock_guard lock(impl.mutex);
  return Bytes(impl.ceiling_of(*state_));
}

Bytes Account::used() const {
  Budget::Impl& impl = impl_of(*state_);
  std::lock_guard lock(impl.mutex);
  return Bytes(state_->used);
}

Bytes Account::peak() const {
  Budget::Impl& impl = impl_of(*state_);
  std::lock_guard lock(impl.mutex);
  return Bytes(state_->peak);
}

std::optional<Lease> Account::try_acquire(Bytes bytes) {
  if (!state_) return std::nullopt;
  Budget::Impl& impl = impl_of(*state_);
  std::lock_guard lock(impl.mutex);
  const uint64_t floor = state_->spec.floor.count();
  const bool by_floor = bytes.count() <= floor && state_->used <= floor - bytes.count();
  // Whoever waits with the same or a higher rank comes first.
  const bool behind = !by_floor && !impl.waiting.empty() &&
                      impl.waiting.front()->account->spec.rank >= state_->spec.rank;
  if (behind || !impl.fits(*state_, bytes.count())) {
    ++state_->refusals;
    return std::nullopt;
  }
  impl.take(*state_, bytes.count());
  return detail::LeaseMaker::make(state_, bytes.count());
}

Result<Lease> Account::acquire(Bytes bytes, std::stop_token stop) {
  Budget::Impl& impl = impl_of(*state_);
  std::unique_lock lock(impl.mutex);
  if (bytes.count() > impl.ceiling_of(*state_)) {
    return fail(Code::kTooLarge, fmt::format("{} wants {} at once and can have {}; raise --memory",
                                             state_->spec.name, to_string(bytes),
                                             to_string(Bytes(impl.ceiling_of(*state_)))));
  }
  Waiter waiter;
  waiter.account = state_;
  waiter.bytes = bytes.count();
  impl.enqueue(&waiter);
  for (auto& ready : impl.grant()) {  // cannot be ours; deliver without the mutex
    lock.unlock();
    ready->done(detail::LeaseMaker::make(ready->account, ready->bytes));
    lock.lock();
  }
  if (!waiter.granted) {
    ++state_->waits;
    const auto begin = Clock::now();
    // The callback takes the mutex so that a stop between the test and the wait is not lost.
    lock.unlock();  // a stop already requested calls back from here
    std::stop_callback wake(stop, [&] {
      std::lock_guard inner(impl.mutex);
      waiter.wake.notify_one();
    });
    lock.lock();
    waiter.wake.wait(lock, [&] { return waiter.granted || stop.stop_requested(); });
    state_->waited += std::chrono::duration<double>(Clock::now() - begin).count();
    const bool granted = waiter.granted;
    std::vector<std::unique_ptr<Waiter>> ready;
    if (!granted) {
      impl.waiting.remove(&waiter);
      ready = impl.grant();  // whoever waited behind this one
    }
    lock.unlock();  // before the callback is destroyed: it may be waiting for the mutex
    Budget::Impl::deliver(std::move(ready));
    if (!granted) return fail(Code::kCancelled, "stopped while waiting for memory");
  }
  return detail::LeaseMaker::make(state_, bytes.count());
}

void Account::acquire_async(Bytes bytes, std::function<void(Result<Lease>)> done) {
  Budget::Impl& impl = impl_of(*state_);
  std::vector<std::unique_ptr<Waiter>> ready;
  bool too_large = false;
  {
    std::lock_guard lock(impl.mutex);
    too_large = bytes.count() > impl.ceiling_of(*state_);
    if (!too_large) {
      auto waiter = std::make_unique<Waiter>();
      waiter->account = state_;
      waiter->bytes = bytes.count();
      waiter->done = std::move(done);
      impl.enqueue(waiter.release());  // owned by the list until granted
      ready = impl.grant();
    }
  }
  if (too_large) {
    done(fail(Code::kTooLarge, fmt::format("{} wants {} at once, more than it can ever have",
                                           state_->spec.name, to_string(bytes))));
    return;
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
  if (account_ && returned > Bytes(0)) impl_of(*account_).give_back(*account_, returned.count());
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

#include "core/result.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <coroutine>
#include <optional>
#include <utility>

#include "core/memory/budget.hpp"

namespace spillway {
namespace {

struct Fixture {
  std::unique_ptr<Budget> budget = Budget::create(10_MiB);
  Account account = *budget->open({"work", 1, Bytes(0), std::nullopt});
  Result<Lease> lend(Bytes bytes) { return account.acquire(bytes, {}); }  // fails above 10 MiB
};
struct Two {
  Lease first, second;
};
size_t sum(const Lease& a, const Lease& b) { return a.bytes().count() + b.bytes().count(); }

TEST(Try, GivesBackWhatTheCallHeldWhenAnArgumentFails) {
  Fixture f;
  const auto call = [&]() -> Result<size_t> { return sum(TRY(f.lend(1_MiB)), TRY(f.lend(1_GiB))); };
  EXPECT_EQ(call().error().code(), Code::kTooLarge);
  EXPECT_EQ(f.budget->used(), 0_B);
}

TEST(Try, GivesBackWhatAListHoldsWhenItsValuesHaveVariables) {  // as tests/check_try.py wants it
  Fixture f;
  const auto make = [&]() -> Result<Two> {
    Lease first = TRY(f.lend(1_MiB));
    Lease second = TRY(f.lend(1_GiB));
    return Two{std::move(first), std::move(second)};
  };
  EXPECT_FALSE(make());
  EXPECT_EQ(f.budget->used(), 0_B);
}

// The least coroutine: runs when it is asked for its value.
template <class T>
class Task {
 public:
  struct promise_type {
    std::optional<Result<T>> value;
    Task get_return_object() { return Task(Handle::from_promise(*this)); }
    std::suspend_always initial_suspend() { return {}; }
    std::suspend_always final_suspend() noexcept { return {}; }
    void return_value(Result<T> result) { value.emplace(std::move(result)); }
    void unhandled_exception() { std::terminate(); }
  };
  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, {})) {}
  Task& operator=(Task&&) = delete;
  ~Task() {
    if (handle_) handle_.destroy();
  }
  Result<T> get() {
    while (!handle_.done()) handle_.resume();
    return std::move(*handle_.promise().value);
  }
  bool await_ready() const { return false; }
  bool await_suspend(std::coroutine_handle<>) {
    while (!handle_.done()) handle_.resume();
    return false;
  }
  Result<T> await_resume() { return get(); }

 private:
  using Handle = std::coroutine_handle<promise_type>;
  explicit Task(Handle handle) : handle_(handle) {}
  Handle handle_;
};

Task<Lease> lend(Fixture& f, Bytes bytes) { co_return f.lend(bytes); }
Result<void> check(bool passes) {
  if (passes) return {};
  return fail(Code::kInvalid, "checked");
}
Task<size_t> lend_twice(Fixture& f, Bytes second_bytes, bool passes) {
  CO_TRY(Lease first, co_await lend(f, 1_MiB));
  CO_TRY(const Lease second, co_await lend(f, second_bytes));
  CO_TRY_VOID(check(passes));
  co_return sum(first, second);
}

TEST(CoTry, GivesTheValueOrEndsTheCoroutineWithTheError) {
  Fixture f;
  EXPECT_EQ(*lend_twice(f, 2_MiB, true).get(), (3_MiB).count());
  EXPECT_EQ(lend_twice(f, 1_GiB, true).get().error().code(), Code::kTooLarge);
  EXPECT_EQ(lend_twice(f, 2_MiB, false).get().error().message(), "checked");
  EXPECT_EQ(f.budget->used(), 0_B) << "what a coroutine held is given back";
}

TEST(Error, TakesItsClassFromErrno) {
  const std::pair<int, Code> classes[] = {{ENOENT, Code::kNotFound},
                                          {ENOTDIR, Code::kNotFound},
                                          {EACCES, Code::kDenied},
                                          {EPERM, Code::kDenied},
                                          {EROFS, Code::kDenied},
                                          {EMFILE, Code::kTooManyFiles},
                                          {ENFILE, Code::kTooManyFiles},
                                          {ENOSPC, Code::kDiskFull},
                                          {EDQUOT, Code::kDiskFull},
                                          {EFBIG, Code::kDiskFull},
                                          {EIO, Code::kIo}};
  for (const auto& [number, code] : classes) {
    const Error error = Error::from_errno("opening x", number);
    EXPECT_EQ(error.code(), code) << error.message();
    EXPECT_EQ(error.system_errno(), number);
  }
  EXPECT_EQ(exit_code(Code::kTooManyFiles), 3);
  EXPECT_NE(Error::from_errno("opening x", EMFILE).message().find("ulimit -n"), std::string::npos);
}

}  // namespace
}  // namespace spillway

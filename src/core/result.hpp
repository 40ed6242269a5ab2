// Expected failures as values.
//
// Every function that can fail for a reason outside the program (disk, input, limits) returns
// Result<T>. A caller either handles the Error or passes it up with TRY, adding what only it knows
// with Error::with(). Exceptions stay at library borders: they are caught where the library is
// called and turned into an Error.
//
// Cost     An Error is one pointer; making one allocates. The success path allocates nothing.
// Threads  An Error belongs to one thread at a time; moving it to another is fine.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace spillway {

enum class Code {
  kUsage,         // the command line or an option is wrong                      exit 2
  kInvalid,       // the input's content is wrong                                exit 1
  kNotFound,      // a file or a name is not there                               exit 1
  kDenied,        // it is there, and we may not                                 exit 1
  kUnavailable,   // a service does not answer, or asks to come again later      exit 1
  kConflict,      // it is not (or is) what the request demanded: If-Match       exit 1
  kTooManyFiles,  // the process or the system has no descriptor left            exit 3
  kIo,            // the system refused a read, a write, an open                 exit 1
  kCorrupt,       // a checksum, a length or a sequence number does not match    exit 1
  kInternal,      // a bug of ours                                               exit 1
  kTooLarge,      // one item is above what its limit can ever give              exit 3
  kMemoryLimit,   // --memory is too small, or the process outgrew it            exit 3
  kScratchFull,   // --scratch-limit is reached, or the disk under it is full    exit 3
  kDiskFull,      // the disk under an output is full                            exit 3
  kCancelled,     // stopped by the user                                         exit 130
  kOverflow,      // a packed field is too narrow: the caller widens and retries (never reaches the
                  // user)
};

std::string_view name(Code code);
int exit_code(Code code);

class [[nodiscard]] Error {
 public:
  Error(Code code, std::string message, int system_errno = 0);

  // "opening /x/y: No space left on device": `what` names the action and its object. The class is
  // errno's: not found, denied, too many files, disk full; else kIo.
  static Error from_errno(std::string_view what, int system_errno);

  Code code() const { return rep_->code; }
  int system_errno() const { return rep_->system_errno; }
  const std::string& message() const { return rep_->message; }

  // Puts the caller's context in front: "reading checkpoint: <message>".
  Error with(std::string_view context) &&;
  Error clone() const { return Error(rep_->code, rep_->message, rep_->system_errno); }

 private:
  struct Rep {
    Code code;
    int system_errno;
    std::string message;
  };
  std::unique_ptr<Rep> rep_;
};

template <class T>
using Result = tl::expected<T, Error>;

inline tl::unexpected<Error> fail(Code code, std::string message, int system_errno = 0) {
  return tl::unexpected<Error>(Error(code, std::move(message), system_errno));
}
inline tl::unexpected<Error> fail(Error error) { return tl::unexpected<Error>(std::move(error)); }
// For the errno of the call just made.
tl::unexpected<Error> fail_errno(std::string_view what);

namespace detail {
template <class T>
T take(Result<T>& result) {
  if constexpr (!std::is_void_v<T>) return *std::move(result);
}
}  // namespace detail

// A programmer's error, always on; never for user data.
[[noreturn]] void check_failed(const char* condition, const char* file, int line);

}  // namespace spillway

// The value of `expression`, or return its error from this function. In a braced list only as its
// first element: gcc does not destroy the elements before the one that returns (bug 66139), and so
// tests/check_try.py refuses it there. Not for coroutines.
#define TRY(expression) SPILLWAY_TRY_(expression, SPILLWAY_NAME_(try_result_, __COUNTER__))
#define SPILLWAY_NAME_(a, b) SPILLWAY_NAME2_(a, b)
#define SPILLWAY_NAME2_(a, b) a##b
#define SPILLWAY_TRY_(expression, result)                                    \
  __extension__({                                                            \
    auto result = (expression);                                              \
    if (!result) [[unlikely]]                                                \
      return ::tl::unexpected<::spillway::Error>(std::move(result).error()); \
    ::spillway::detail::take(result);                                        \
  })

// The same in a coroutine, as statements of their own (gcc 12 breaks on an expression that co_returns):
//   CO_TRY(auto unit, co_await next());
//   CO_TRY_VOID(co_await put(std::move(unit)));
#define CO_TRY(target, expression) \
  CO_TRY_(target =, expression, SPILLWAY_NAME_(try_result_, __COUNTER__))
#define CO_TRY_VOID(expression) CO_TRY_(, expression, SPILLWAY_NAME_(try_result_, __COUNTER__))
#define CO_TRY_(target, expression, result)                                   \
  auto result = (expression);                                                 \
  if (!result) [[unlikely]]                                                   \
    co_return ::tl::unexpected<::spillway::Error>(std::move(result).error()); \
  target ::spillway::detail::take(result)

#define CHECK(condition) \
  ((condition) ? (void)0 : ::spillway::check_failed(#condition, __FILE__, __LINE__))
#ifdef SPILLWAY_DCHECK
#define DCHECK(condition) CHECK(condition)
#else
#define DCHECK(condition) ((void)sizeof(condition))
#endif

#include "core/result.hpp"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <system_error>

#include "core/printable.hpp"

namespace spillway {
namespace {

// Whatever a message was put together from, it cannot drive a terminal, fill a disk or tell a password.
std::string fit_to_print(std::string message) {
  constexpr size_t kMost = size_t{16} << 10;
  if (message.size() > kMost) {
    message.resize(kMost);
    message += "...";
  }
  return without_controls(without_secrets(message));
}

Code code_of(int system_errno) {
  switch (system_errno) {
    case ENOENT:
    case ENOTDIR:
      return Code::kNotFound;
    case EACCES:
    case EPERM:
    case EROFS:
      return Code::kDenied;
    case EMFILE:
    case ENFILE:
      return Code::kTooManyFiles;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return Code::kDiskFull;
    default:
      return Code::kIo;
  }
}

}  // namespace

std::string_view name(Code code) {
  switch (code) {
    case Code::kUsage:
      return "usage";
    case Code::kInvalid:
      return "invalid";
    case Code::kNotFound:
      return "not_found";
    case Code::kDenied:
      return "denied";
    case Code::kUnavailable:
      return "unavailable";
    case Code::kConflict:
      return "conflict";
    case Code::kTooManyFiles:
      return "too_many_files";
    case Code::kIo:
      return "io";
    case Code::kCorrupt:
      return "corrupt";
    case Code::kInternal:
      return "internal";
    case Code::kTooLarge:
      return "too_large";
    case Code::kMemoryLimit:
      return "memory_limit";
    case Code::kScratchFull:
      return "scratch_full";
    case Code::kDiskFull:
      return "disk_full";
    case Code::kCancelled:
      return "cancelled";
    case Code::kOverflow:
      return "overflow";
  }
  return "unknown";
}

int exit_code(Code code) {
  switch (code) {
    case Code::kUsage:
      return 2;
    case Code::kTooLarge:
    case Code::kMemoryLimit:
    case Code::kScratchFull:
    case Code::kDiskFull:
    case Code::kTooManyFiles:
      return 3;
    case Code::kCancelled:
      return 130;
    default:
      return 1;
  }
}

Error::Error(Code code, std::string message, int system_errno)
    : rep_(std::make_unique<Rep>(Rep{code, system_errno, fit_to_print(std::move(message))})) {}

Error Error::from_errno(std::string_view what, int system_errno) {
  const Code code = code_of(system_errno);
  std::string message = std::string(what) + ": " + std::generic_category().message(system_errno);
  if (code == Code::kTooManyFiles) message += "; raise the limit of open files (ulimit -n)";
  if (system_errno == EFBIG) message += " (ulimit -f, or the file system's largest file)";
  return Error(code, std::move(message), system_errno);
}

Error Error::with(std::string_view context) && {
  rep_->message = without_controls(without_secrets(context)) + ": " + rep_->message;
  return std::move(*this);
}

tl::unexpected<Error> fail_errno(std::string_view what) {
  const int system_errno = errno;
  return fail(Error::from_errno(what, system_errno));
}

void check_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "spillway: internal check failed at %s:%d: %s\n", file, line, condition);
  std::abort();
}

}  // namespace spillway

#include "net/http_client.hpp"

#include <fmt/format.h>

#include "core/mutex.hpp"
#include "core/printable.hpp"
#include "net/retry.hpp"

namespace spillway::net {
namespace {

struct Refusal {
  Code code;
  std::string what;
};

Refusal refusal_of(const ReplyHead& head) {
  const unsigned status = head.status;
  if (status >= 300 && status < 400) {
    // Whatever it is, what may be a password or a signature is not told.
    const std::string_view location = head.header("Location");
    const bool is_address = is_http(location) && location.find("://") != std::string_view::npos;
    const std::string place =
        is_address ? redacted(location)
                   : printable(location.substr(0, location.find_first_of("?#@")), 1024);
    return {Code::kInvalid,
            fmt::format("it moved to {}; give that address (only https to https is followed)",
                        place.empty() ? "another place" : place)};
  }
  if (status == 404 || status == 410) return {Code::kNotFound, "no such thing"};
  if (status == 401 || status == 403 || status == 407)
    return {Code::kDenied, "not allowed; fetch it with your own client and give the file"};
  if (status == 409 || status == 412)
    return {Code::kConflict, "what is there is not what the request was for"};
  if (status == 408 || status == 429 || status >= 500) {
    if (head.retry_after && *head.retry_after > std::chrono::minutes(2))
      return {
          Code::kUnavailable,
          fmt::format("try again later (it asks for {} s)",
                      std::chrono::duration_cast<std::chrono::seconds>(*head.retry_after).count())};
    return {Code::kUnavailable, "try again later"};
  }
  return {Code::kInvalid, "check the address"};
}

}  // namespace

bool is_success(const Request& request, const Outcome& outcome) {
  if (outcome.ending != Outcome::Ending::kReply) return false;
  const bool is_conditional =
      !request.header("If-None-Match").empty() || !request.header("If-Modified-Since").empty();
  const unsigned status = outcome.head.status;
  return outcome.head.is_success() || (status == 304 && is_conditional) ||
         (request.also != 0 && status == request.also);
}

Error error_of(const Request& request, Outcome& outcome, unsigned tries) {
  using Ending = Outcome::Ending;
  const std::string address = redacted(request.address);
  const std::string told = tries > 1 ? fmt::format(", {} times", tries) : "";
  const auto say = [&](Code code, std::string_view advice) {
    return Error(code, fmt::format("{}: {}{}; {}", address, outcome.reason, told, advice));
  };
  switch (outcome.ending) {
    case Ending::kLocal:
      return std::move(*outcome.local).with(address);
    case Ending::kStopped:
      return Error(Code::kCancelled, "stopped while waiting for " + address);
    case Ending::kEndless:
      return Error(Code::kInvalid,
                   address +
                       ": the reply has neither a length nor chunks, so that a cut would not "
                       "be seen; copy it to a disk first");
    case Ending::kUnreachable:
    case Ending::kHandshake:
    case Ending::kBroken:
    case Ending::kSilent:
      return say(Code::kUnavailable,
                 "check the address and the network, then run the same command again");
    case Ending::kFailed:
      return say(Code::kIo, "check the address and the server");
    case Ending::kReply:
      break;
  }
  const Refusal refusal = refusal_of(outcome.head);
  return Error(refusal.code, fmt::format("{}: the server answers {}{}: {}", address,
                                         outcome.head.status, told, refusal.what));
}

bool wait_before_next(const HttpOptions& options, std::chrono::milliseconds time,
                      const std::stop_token& stop) {
  if (options.wait) return options.wait(time) && !stop.stop_requested();
  struct {
    Mutex mutex;
    CondVar changed;
  } rest;
  const std::stop_callback wake(stop, [&] {
    MutexLock lock(rest.mutex);
    rest.changed.notify_all();
  });
  const auto end = std::chrono::steady_clock::now() + time;
  MutexLock lock(rest.mutex);
  while (!stop.stop_requested() && rest.changed.wait_until(rest.mutex, end)) {
  }
  return !stop.stop_requested();
}

Result<ReplyHead> HttpClient::send(const Request& request, ReplySink* sink,
                                   const std::stop_token& stop) const {
  TRY(check_address(request.address));
  TRY(check(request));
  BackOff tries(options_);
  while (true) {
    Outcome outcome;
    {
      const auto exchange = engine_->begin(request, sink, options_);
      if (!exchange->wait(stop))
        return fail(Code::kCancelled, "stopped while waiting for " + redacted(request.address));
      outcome = std::move(exchange->outcome());
    }
    if (is_success(request, outcome)) return std::move(outcome.head);
    const auto wait = tries.next(request, outcome);
    if (!wait) return fail(error_of(request, outcome, tries.tries()));
    if (!wait_before_next(options_, *wait, stop))
      return fail(Code::kCancelled, "stopped while waiting for " + redacted(request.address));
  }
}

}  // namespace spillway::net

// Requests over http and https, tried again where that can help, with errors by class.
//
// A reply is given whole or not at all: a connection that is cut, a length that does not match, an
// unfinished chunked body and a body without an end that can be seen are errors, never the end of
// the data. Redirects are followed from https to https only, and never for a signed request.
//
// status                 code           connection                        code
// 401, 403, 407          kDenied        not reached, reset, cut, silent   kUnavailable
// 404, 410               kNotFound      certificate, broken reply         kIo
// 409, 412               kConflict      the sink's or the body's          its own
// 408, 429, 5xx          kUnavailable
// 3xx, all other 4xx     kInvalid
//
// Memory, threads, cost: as the engine. Addresses in messages are redacted, servers' words printable.
#pragma once

#include <memory>
#include <stop_token>
#include <string>

#include "net/address.hpp"
#include "net/engine.hpp"

namespace spillway::net {

class HttpClient {
 public:
  explicit HttpClient(HttpOptions options = {}, std::shared_ptr<Engine> engine = Engine::shared())
      : options_(std::move(options)), engine_(std::move(engine)) {}

  // The head of a success (2xx, 304 to a conditional request, Request::also), whose body went to `sink`.
  // kCancelled after `stop`.
  [[nodiscard]] Result<ReplyHead> send(const Request& request, ReplySink* sink,
                                       const std::stop_token& stop) const;

  const HttpOptions& options() const { return options_; }
  Engine& engine() const { return *engine_; }

 private:
  HttpOptions options_;
  std::shared_ptr<Engine> engine_;
};

// What HttpClient and HttpStream share:
bool is_success(const Request& request, const Outcome& outcome);
[[nodiscard]] Error error_of(const Request& request, Outcome& outcome, unsigned tries);
// False when stopped.
bool wait_before_next(const HttpOptions& options, std::chrono::milliseconds time,
                      const std::stop_token& stop);

}  // namespace spillway::net

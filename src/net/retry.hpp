// When a request is sent again, and after what wait.
//
// Class                            again
// no connection, reset, cut, silent  yes, where the request may be repeated
// TLS handshake                    twice: most that go wrong there stay so
// 408, 500, 502, 504               yes, where the request may be repeated
// 429, 503                         yes: it was not carried out; not before Retry-After
// all else                         no
//
// The wait doubles from first_wait to longest_wait, and half of it is by chance, so that many who
// were turned away together do not come back together. A Retry-After above two minutes is not
// waited for: the error says it.
//
// Threads  A BackOff has one owner. May repeat: GET, HEAD, PUT and DELETE unless the request says no.
#pragma once

#include <chrono>
#include <optional>
#include <random>

#include "net/engine.hpp"

namespace spillway::net {

enum class Again { kNo, kFew, kYes };
Again again(const Request& request, const Outcome& outcome);

class BackOff {
 public:
  explicit BackOff(const HttpOptions& options)
      : options_(options), wait_(options.first_wait), chance_(std::random_device()()) {}
  unsigned tries() const { return tries_; }
  // After another try: how long to wait before the next; none: no more.
  std::optional<std::chrono::milliseconds> next(const Request& request, const Outcome& outcome);

 private:
  const HttpOptions& options_;
  unsigned tries_ = 0;
  std::chrono::milliseconds wait_;
  std::minstd_rand chance_;
};

}  // namespace spillway::net

// Reading over http and https: whole objects, byte ranges, and streams without end in sight.
//
// A reply is given whole or not at all: a connection that is cut, a length that does not match and
// an unfinished chunked body are errors, never the end of the data. Requests that can be repeated
// (ranges, whole objects, a stream before its first byte) are tried again after connection errors,
// 429, 500, 502, 503 and 504, waiting twice as long each time. Redirects are followed from https to
// https only.
//
// Memory   HttpClient: what curl keeps for a connection, about 200 KiB, 1 MiB with TLS. HttpStream:
//          that and a buffer of 256 KiB: the connection is held back while it is full.
// Threads  One at a time each.
// Cost     One connection each, kept open between requests; one request at a time.
// Fails    kUsage: no http address, or one with a password in it. kNotFound. kIo: with the status
//          or curl's reason, the address and what to do. kCancelled.
// Source   libcurl; RFC 9110 (ranges, retries).
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>

#include "core/result.hpp"

namespace spillway::net {

struct HttpOptions {
  std::chrono::milliseconds connect_timeout{20'000};
  std::chrono::milliseconds stall_timeout{60'000};  // without a byte
  unsigned tries = 6;
  std::chrono::milliseconds first_wait{500};
};

bool is_http(const std::string& address);  // begins with http:// or https://
[[nodiscard]] Result<void> check_address(const std::string& address);

class HttpClient {
 public:
  [[nodiscard]] static Result<std::unique_ptr<HttpClient>> create(HttpOptions options = {});
  virtual ~HttpClient() = default;

  // The whole object into `out`; how long it is, or none when there is no such object. kIo when it
  // is longer than `out`. A Content-Encoding is taken off.
  [[nodiscard]] virtual Result<std::optional<size_t>> get(const std::string& address,
                                                          std::span<uint8_t> out,
                                                          const std::stop_token& stop) = 0;
  // Bytes from `offset` on: out.size() of them, fewer only where the object ends.
  [[nodiscard]] virtual Result<std::optional<size_t>> get_range(const std::string& address,
                                                                uint64_t offset,
                                                                std::span<uint8_t> out,
                                                                const std::stop_token& stop) = 0;
};

class HttpStream {
 public:
  // Waits for the first byte of the body.
  [[nodiscard]] static Result<std::unique_ptr<HttpStream>> open(const std::string& address,
                                                                const std::stop_token& stop,
                                                                HttpOptions options = {});
  virtual ~HttpStream() = default;
  // Fills as much of `out` as there is; less only at the end, which the server has marked.
  [[nodiscard]] virtual Result<size_t> read(std::span<uint8_t> out,
                                            const std::stop_token& stop) = 0;
  virtual std::optional<uint64_t> length() const = 0;  // when the server said it
};

}  // namespace spillway::net

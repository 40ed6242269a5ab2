// One long reply over http or https, read as it comes.
//
// Tried again only before its first byte. While nobody reads, the connection is held back.
//
// Memory   A connection and a buffer of 256 KiB.
// Threads  One at a time. Cost: one copy.
// Fails    As HttpClient::send(); kUnavailable when it is cut, with the bytes until then.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>

#include "core/result.hpp"
#include "net/http_client.hpp"

namespace spillway::net {

class HttpStream {
 public:
  // Waits for the first byte of the body, or its end.
  [[nodiscard]] static Result<std::unique_ptr<HttpStream>> open(
      const std::string& address, const std::stop_token& stop,
      const HttpClient& client = HttpClient());
  virtual ~HttpStream() = default;
  // Fills as much of `out` as there is; less only at the end, which the server has marked.
  [[nodiscard]] virtual Result<size_t> read(std::span<uint8_t> out,
                                            const std::stop_token& stop) = 0;
  virtual std::optional<uint64_t> length() const = 0;  // when the server said it
};

}  // namespace spillway::net

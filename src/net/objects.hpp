// Reading objects over http and https: whole, or a range of bytes.
//
// Who reads an object in several requests gives the ETag of the first to the others: an object that
// was replaced in between is kConflict, never a mixture.
//
// Memory, threads, cost: as HttpClient, of which it is one.
// Fails    As HttpClient::send(); an object that is not there is an answer, not an error. kTooLarge
//          when a whole one is longer than its room. kInvalid: a server without ranges, or one that
//          sends other bytes than it was asked for; an end before the object's own is one, too.
// Source   RFC 9110, 13 (conditions) and 14 (ranges).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>

#include "core/result.hpp"
#include "net/http_client.hpp"

namespace spillway::net {

struct Fetched {
  size_t bytes = 0;              // that were read
  std::string etag;              // of the object; empty when the server gives none
  std::string last_modified;     // as it was written
  std::optional<uint64_t> size;  // of the object, where the reply says it
};

class Objects {
 public:
  explicit Objects(HttpClient client = HttpClient()) : client_(std::move(client)) {}

  // The whole object into `out`; a Content-Encoding is taken off. None: no such object.
  [[nodiscard]] Result<std::optional<Fetched>> get(const std::string& address,
                                                   std::span<uint8_t> out,
                                                   const std::stop_token& stop,
                                                   std::string_view etag = {}) const;
  // Bytes from `offset` on: out.size() of them, fewer only where the object ends.
  [[nodiscard]] Result<std::optional<Fetched>> get_range(const std::string& address,
                                                         uint64_t offset, std::span<uint8_t> out,
                                                         const std::stop_token& stop,
                                                         std::string_view etag = {}) const;

 private:
  HttpClient client_;
};

}  // namespace spillway::net

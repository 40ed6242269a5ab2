// Requests and what their replies say in front, without the network.
//
// Threads  Values. Fails: check(): kInvalid, naming the header.
// Source   RFC 9110 (semantics), RFC 9112 (framing).
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.hpp"

namespace spillway::net {

class RequestBody;

enum class Method { kGet, kHead, kPut, kPost, kDelete };
std::string_view name(Method method);

struct Header {
  std::string name, value;
};

struct Request {
  Method method = Method::kGet;
  std::string address;
  std::vector<Header> headers;    // If-Match, If-None-Match, Range, Authorization...
  RequestBody* body = nullptr;    // of PUT and POST; none: empty. Outlives the exchange
  bool is_signed = false;         // for this very address: no redirect is followed
  bool may_repeat = true;         // a try that may have been carried out; never for POST
  bool takes_off_coding = false;  // asks for a Content-Encoding and undoes it
  unsigned also = 0;  // a status that is an answer, too, beside 2xx and a condition's 304
  std::string_view header(std::string_view wanted) const;  // empty: not there
};
// A header may not hold line ends, nor a name what is no token: they would become other headers.
[[nodiscard]] Result<void> check(const Request& request);

// "bytes 0-99/1000"
struct ContentRange {
  uint64_t first = 0, last = 0;
  std::optional<uint64_t> size;  // of the object; none for "*"
};
std::optional<ContentRange> parse_content_range(std::string_view text);

struct ReplyHead {
  unsigned status = 0;
  std::vector<Header> headers;  // names as the server wrote them
  std::optional<uint64_t> length;
  std::optional<ContentRange> range;
  std::optional<std::chrono::milliseconds> retry_after;
  bool is_chunked = false;

  // `now`: seconds since 1970, for dates in Retry-After.
  static ReplyHead of(unsigned status, std::vector<Header> headers, int64_t now);
  std::string_view header(std::string_view name) const;  // the first of it; empty: not there
  std::string_view etag() const { return header("ETag"); }
  bool is_success() const { return status >= 200 && status < 300; }
  // A reply with a body that only the connection's end would end: a cut would not be seen.
  bool has_end(Method method) const;
};

}  // namespace spillway::net

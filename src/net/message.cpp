#include "net/message.hpp"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "core/printable.hpp"

namespace spillway::net {
namespace {

bool same_name(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    const auto low = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
    return low(x) == low(y);
  });
}

std::string_view find(const std::vector<Header>& headers, std::string_view name) {
  for (const Header& header : headers) {
    if (same_name(header.name, name)) return header.value;
  }
  return {};
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// Digits and nothing else.
std::optional<uint64_t> number(std::string_view text) {
  uint64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, value);
  return error == std::errc() && at == end && !text.empty() ? std::optional(value) : std::nullopt;
}

std::optional<std::chrono::milliseconds> parse_retry_after(std::string_view text, int64_t now) {
  constexpr int64_t kMost = 366 * 86400;
  if (const auto seconds = number(text))
    return std::chrono::seconds(std::min<uint64_t>(*seconds, kMost));
  const int64_t date = ::curl_getdate(std::string(text).c_str(), nullptr);
  if (date < 0) return std::nullopt;
  return std::chrono::seconds(std::clamp<int64_t>(date - now, 0, kMost));
}

}  // namespace

std::string_view name(Method method) {
  switch (method) {
    case Method::kGet:
      return "GET";
    case Method::kHead:
      return "HEAD";
    case Method::kPut:
      return "PUT";
    case Method::kPost:
      return "POST";
    case Method::kDelete:
      return "DELETE";
  }
  return "";
}

std::string_view Request::header(std::string_view wanted) const { return find(headers, wanted); }

Result<void> check(const Request& request) {
  constexpr std::string_view kToken =
      "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  for (const Header& header : request.headers) {
    const bool is_token =
        !header.name.empty() && header.name.find_first_not_of(kToken) == std::string::npos;
    const bool is_line = std::all_of(header.value.begin(), header.value.end(), [](char c) {
      return c == '\t' || (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
    });
    if (!is_token || !is_line)
      return fail(Code::kInvalid,
                  fmt::format("a header of the request has a control character in it: {}",
                              printable(header.name, 64)));
  }
  return {};
}

std::optional<ContentRange> parse_content_range(std::string_view text) {
  constexpr std::string_view kUnit = "bytes ";
  if (text.size() < kUnit.size() || !same_name(text.substr(0, kUnit.size()), kUnit))
    return std::nullopt;
  text = trimmed(text.substr(kUnit.size()));
  const size_t dash = text.find('-'), slash = text.find('/');
  if (dash == std::string_view::npos || slash == std::string_view::npos || dash > slash)
    return std::nullopt;
  const auto first = number(text.substr(0, dash)),
             last = number(text.substr(dash + 1, slash - dash - 1));
  const std::string_view all = text.substr(slash + 1);
  const auto size = number(all);
  if (!first || !last || *last < *first || (!size && all != "*") || (size && *last >= *size))
    return std::nullopt;
  return ContentRange{*first, *last, size};
}

ReplyHead ReplyHead::of(unsigned status, std::vector<Header> headers, int64_t now) {
  ReplyHead head;
  head.status = status;
  head.headers = std::move(headers);
  head.length = number(trimmed(head.header("Content-Length")));
  head.range = parse_content_range(trimmed(head.header("Content-Range")));
  if (const auto text = trimmed(head.header("Retry-After")); !text.empty())
    head.retry_after = parse_retry_after(text, now);
  const std::string_view coding = trimmed(head.header("Transfer-Encoding"));
  constexpr std::string_view kChunked = "chunked";  // the last one is what frames
  head.is_chunked = coding.size() >= kChunked.size() &&
                    same_name(coding.substr(coding.size() - kChunked.size()), kChunked);
  return head;
}

std::string_view ReplyHead::header(std::string_view wanted) const { return find(headers, wanted); }

bool ReplyHead::has_end(Method method) const {
  return method == Method::kHead || status == 204 || status == 304 || is_chunked || length;
}

}  // namespace spillway::net

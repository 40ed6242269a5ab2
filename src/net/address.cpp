#include "net/address.hpp"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <array>

#include "core/printable.hpp"

namespace spillway::net {
namespace {

constexpr size_t kMostShown = 1024;

struct Parts {
  std::string_view scheme, user, rest,
      query;  // scheme with "://", user with "@", query without "?"
  bool has_query = false;
};

Parts parts_of(std::string_view address) {
  Parts parts;
  // "precomputed://https://host/..."
  const std::string_view before = address.substr(0, address.find_first_of("?#@"));
  const size_t host = before.rfind("://");
  if (host == std::string_view::npos) return {"", "", address, ""};
  parts.scheme = address.substr(0, host + 3);
  parts.rest = address.substr(host + 3);
  const size_t end = std::min(parts.rest.find_first_of("/?#"), parts.rest.size());
  const size_t at = parts.rest.substr(0, end).rfind('@');
  if (at != std::string_view::npos) {
    parts.user = parts.rest.substr(0, at + 1);
    parts.rest.remove_prefix(at + 1);
  }
  const size_t behind = parts.rest.find_first_of("?#");  // a fragment is not sent: left out
  if (behind == std::string_view::npos) return parts;
  parts.has_query = parts.rest[behind] == '?';
  parts.query = parts.rest.substr(behind + 1);
  parts.query = parts.query.substr(0, parts.query.find('#'));
  parts.rest = parts.rest.substr(0, behind);
  return parts;
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return out;
}

// A parameter that another signature of the same object would have differently.
bool signs(std::string_view parameter) {
  // S3 and its like, Google Cloud Storage, Azure's shared access signatures, CloudFront.
  static constexpr std::array kNames{"signature",
                                     "sig",
                                     "expires",
                                     "policy",
                                     "awsaccesskeyid",
                                     "googleaccessid",
                                     "key-pair-id",
                                     "token",
                                     "se",
                                     "st",
                                     "skt",
                                     "ske",
                                     "access_token"};
  const std::string name = lower(parameter.substr(0, parameter.find('=')));
  return name.starts_with("x-amz-") || name.starts_with("x-goog-") ||
         std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

}  // namespace

bool is_http(std::string_view address) {
  const std::string scheme = lower(address.substr(0, std::string_view("https://").size()));
  return scheme.starts_with("http://") || scheme == "https://";
}

Result<void> check_address(const std::string& address) {
  if (!is_http(address))
    return fail(Code::kUsage, redacted(address) + ": no http or https address");
  const Parts parts = parts_of(address);
  if (!parts.user.empty())
    return fail(Code::kUsage,
                redacted(address) +
                    ": an address with a user or a password in it is not read: it would stand in "
                    "the list of processes");
  if (parts.rest.substr(0, parts.rest.find('/')).empty())
    return fail(Code::kUsage, redacted(address) + ": has no host");
  const bool is_plain = std::all_of(address.begin(), address.end(), [](char c) {
    return static_cast<unsigned char>(c) > 0x20 && c != 0x7f;
  });
  if (!is_plain)
    return fail(Code::kUsage,
                redacted(address) + ": has a space or a control character in it; write it as %20");
  return {};
}

std::string redacted(std::string_view address) {
  const Parts parts = parts_of(address);
  return printable(
      std::string(parts.scheme) + std::string(parts.rest) + (parts.has_query ? "?..." : ""),
      kMostShown);
}

std::string identity(std::string_view address) {
  const Parts parts = parts_of(address);
  std::string text = std::string(parts.scheme) + std::string(parts.rest);
  if (!parts.has_query) return text;
  std::string kept;
  for (std::string_view left = parts.query; !left.empty();) {
    const size_t end = std::min(left.find('&'), left.size());
    if (!signs(left.substr(0, end))) kept += std::string(left.substr(0, end)) + "&";
    left.remove_prefix(std::min(end + 1, left.size()));
  }
  if (kept.empty()) return text;
  return text + fmt::format("?#{:016x}", XXH3_64bits(kept.data(), kept.size()));
}

}  // namespace spillway::net

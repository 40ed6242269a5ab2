// Addresses of http and https: what is read, and what of them may be shown.
//
// A query may be a signature, and what stands before an "@" a password: neither goes into a message, a journal or
// a manifest.
// Threads  Any.
#pragma once

#include <string>
#include <string_view>

#include "core/result.hpp"

namespace spillway::net {

bool is_http(std::string_view address);  // begins with http:// or https://, in either case
// kUsage: no http address, no host, or a user in it.
[[nodiscard]] Result<void> check_address(const std::string& address);

// For messages: without user and password, the query as "?...", one printable line. What is no address comes back
// printable.
std::string redacted(std::string_view address);
// For journals and manifests: redacted, but the query stands as a hash of its parameters. Parameters that sign or
// expire are left out, so that the same object signed anew is the same.
std::string identity(std::string_view address);

}  // namespace spillway::net

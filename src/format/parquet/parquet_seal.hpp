// The seal of a Parquet file that spillway wrote: two XXH3-64 that between them see every byte.
//
// It stands in the footer's key-value metadata under `spillway.checksum`, as 32 hex digits: the hash
// of all bytes in front of the footer, and that of the footer with these digits as 32 zeros, up to
// the end of the file. Whoever opens the file checks the second, which costs the footer; `transform
// verify` checks the first as well, which costs the file. Pages have CRC-32s besides.
//
// Threads  Any.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace spillway::format {

inline constexpr std::string_view kSealKey = "spillway.checksum";
inline const std::string kOpenSeal(32, '0');  // what is hashed in the place of the digits
inline constexpr std::string_view kCreator = "spillway";

struct Seal {
  uint64_t pages = 0, footer = 0;
};

// Puts the seal into `footer`, from the hash of what lies in front of it. `footer` has kOpenSeal.
void close_seal(std::string& footer, uint64_t pages);

// Takes the digits out of `footer` (they become zeros): what they say, and what the footer hashes to
// without them. None when there is no seal.
struct OpenedSeal {
  Seal told;
  uint64_t footer = 0;  // as it is
};
std::optional<OpenedSeal> open_seal(std::string& footer);

}  // namespace spillway::format

// Bytes from outside as they may stand in a message, a log line or a report: no control byte, no
// line break, nothing that moves a terminal's cursor or turns its text, and not without end.
//
// Printable ASCII and UTF-8 stay as they are; any other byte is written \xNN (\n, \r, \t short).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace spillway {

// Of bytes longer than `most` the first ones, and how many there are: "abc... (1,048,576 bytes)".
std::string printable(std::string_view bytes, size_t most = 60);

// Whether all of it is UTF-8, as Parquet's strings must be.
bool is_utf8(std::string_view text);
size_t utf8_length(std::string_view text);  // of the bytes before the first that is none

// The text without what addresses in it (any scheme://) say before an "@" and behind a "?": passwords
// and signatures. A query becomes "?...".
std::string without_secrets(std::string_view text);

// All of the bytes, escaped, line breaks kept: the last look at a message that is put together.
std::string without_controls(std::string text);

}  // namespace spillway

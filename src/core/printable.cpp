#include "core/printable.hpp"

#include <algorithm>

#include "core/bytes.hpp"

namespace spillway {
namespace {

struct Character {
  size_t length = 0;  // 0: no UTF-8
  uint32_t point = 0;
};
Character first_of(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return {1, first};
  const size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < length) return {};
  uint32_t point = first & (0x7fu >> length);
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {};
    point = point << 6 | (byte(i) & 0x3fu);
  }
  const bool overlong = point < (length == 2 ? 0x80u : length == 3 ? 0x800u : 0x10000u);
  const bool surrogate = point >= 0xd800 && point <= 0xdfff;
  if (overlong || surrogate || point > 0x10ffff) return {};
  return {length, point};
}

// The length of the character that `text` begins with, when it may be shown; else 0.
size_t shown_length(std::string_view text) {
  const auto [length, point] = first_of(text);
  const bool control = point < 0x20 || (point >= 0x7f && point < 0xa0) || point == 0x2028 ||
                       point == 0x2029 || point == 0xfeff;
  const bool turns = point == 0x200e || point == 0x200f || (point >= 0x202a && point <= 0x202e) ||
                     (point >= 0x2066 && point <= 0x2069);
  return control || turns ? 0 : length;
}

void escape(char c, std::string& out) {
  static constexpr char kDigits[] = "0123456789abcdef";
  const auto byte = static_cast<unsigned char>(c);
  if (c == '\n' || c == '\r' || c == '\t') {
    out += c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t";
  } else {
    out += "\\x";
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
}

}  // namespace

size_t utf8_length(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    const size_t length = first_of(text.substr(at)).length;
    if (length == 0) break;
    at += length;
  }
  return at;
}

bool is_utf8(std::string_view text) { return utf8_length(text) == text.size(); }

std::string printable(std::string_view bytes, size_t most) {
  std::string out;
  size_t at = 0;
  while (at < std::min(bytes.size(), most)) {
    const size_t length = shown_length(bytes.substr(at));
    if (length == 0) {
      escape(bytes[at++], out);
    } else {
      out += bytes.substr(at, length);
      at += length;
    }
  }
  if (at < bytes.size()) out += "... (" + grouped(bytes.size()) + " bytes)";
  return out;
}

std::string without_secrets(std::string_view text) {
  constexpr std::string_view kScheme = "://";
  std::string out;
  while (true) {
    const size_t scheme = text.find(kScheme);
    if (scheme == std::string_view::npos) return out + std::string(text);
    out += text.substr(0, scheme + kScheme.size());
    text.remove_prefix(scheme + kScheme.size());
    std::string_view address = text.substr(0, text.find_first_of(" \t\r\n'\"<>"));
    text.remove_prefix(address.size());
    const size_t end = address.find_last_not_of(":;,)");  // of the sentence around it
    const std::string_view behind = address.substr(end == std::string_view::npos ? 0 : end + 1);
    address.remove_suffix(behind.size());
    const size_t host = std::min(address.find_first_of("/?#"), address.size());
    const size_t user = address.substr(0, host).rfind('@');
    const bool has_inner = address.find(kScheme) < address.find('?');  // precomputed://https://...
    if (has_inner) {
      out += without_secrets(address);
    } else {
      if (user != std::string_view::npos) address.remove_prefix(user + 1);
      const size_t query = address.find('?');
      out += address.substr(0, query);
      if (query != std::string_view::npos) out += "?...";
    }
    out += behind;
  }
}

std::string without_controls(std::string text) {
  const auto plain = [](char c) { return (c >= ' ' && c <= '~') || c == '\n'; };
  if (std::all_of(text.begin(), text.end(), plain)) return text;
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t length = shown_length(std::string_view(text).substr(at));
    if (length > 0) {
      out.append(text, at, length);
      at += length;
    } else if (text[at] == '\n') {
      out += text[at++];
    } else {
      escape(text[at++], out);
    }
  }
  return out;
}

}  // namespace spillway

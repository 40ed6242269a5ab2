// JSON as nlohmann's library has it, but for one thing: a number that does not fit the integer it is
// read into is an exception (nlohmann::json::exception, as for other kinds of value), never another
// number. The library casts: -1 becomes 2^64 - 1, 1.5 becomes 1, true becomes 1, and 1e21 is
// undefined. Whole numbers that are written as 64.0 or 1e3 are read.
#pragma once

#include <cmath>
#include <concepts>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "core/json_fwd.hpp"

namespace spillway {

template <class T, class Enable>
struct ExactNumbers : nlohmann::adl_serializer<T, Enable> {};

template <std::integral T>
requires(!std::same_as<T, bool>) struct ExactNumbers<T, void> : nlohmann::adl_serializer<T, void> {
  template <class AnyJson>
  static void from_json(const AnyJson& json, T& number) {
    constexpr double kExact = 9007199254740992;  // 2^53: every whole number below is a double
    if (json.is_number_unsigned()) {
      const auto value = *json.template get_ptr<const uint64_t*>();
      if (std::in_range<T>(value)) return void(number = static_cast<T>(value));
    } else if (json.is_number_integer()) {
      const auto value = *json.template get_ptr<const int64_t*>();
      if (std::in_range<T>(value)) return void(number = static_cast<T>(value));
    } else if (json.is_number_float()) {
      const auto value = *json.template get_ptr<const double*>();
      const bool is_whole = std::abs(value) <= kExact && std::trunc(value) == value;
      if (is_whole && std::in_range<T>(static_cast<int64_t>(value)))
        return void(number = static_cast<T>(value));
    } else {
      throw nlohmann::detail::type_error::create(
          302, std::string("type must be number, but is ") + json.type_name(), &json);
    }
    throw nlohmann::detail::out_of_range::create(
        406, "the number " + json.dump() + " does not fit where it stands", &json);
  }
};

// Of a text from outside: discarded (is_discarded()) when it is no JSON, or is nested deeper than
// anything of ours: the library's dump(), copies and comparisons recurse.
inline bool nests_too_deep(std::string_view text) {
  constexpr int kMostDepth = 64;
  int depth = 0;
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c == '\\') ++i;
      quoted = c != '"';
    } else if (c == '"') {
      quoted = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kMostDepth) return true;
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return false;
}
template <class AnyJson = Json>
AnyJson parse_json(std::string_view text) {
  return nests_too_deep(text) ? AnyJson(AnyJson::value_t::discarded)
                              : AnyJson::parse(text, nullptr, false);
}

}  // namespace spillway

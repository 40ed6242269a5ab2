#include "transform/job/other_run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>
#include <map>

#include "core/json.hpp"
#include "core/printable.hpp"

namespace spillway::transform {
namespace {

// What an option is called on the command line, by its name in a configuration.
std::string option_name(const std::string& key) {
  static const std::map<std::string, std::string> names = {
      {"rules", "--rule"},
      {"smiles_columns", "--smiles-column"},
      {"header", "a header in CSV"},
      {"known_stops", "--known-stops"},
      {"rules_sha256", "the content of --rules"}};
  const auto at = names.find(key);
  if (at != names.end()) return at->second;
  return key == "version" || key == "format" ? "spillway's " + key : "--" + key;
}

std::string value_text(const OrderedJson& value) {
  constexpr size_t kMost = 200;
  if (value.is_null()) return "not given";
  return printable(value.is_string() ? value.get<std::string>() : value.dump(), kMost);
}

// "17 bytes, changed 2026-11-28 14:19:20.250000000 UTC", of Source::identity().
std::string identity_text(const OrderedJson& value) {
  const std::string identity = value.is_string() ? value.get<std::string>() : "";
  unsigned long long size = 0, seconds = 0;
  int used = 0;
  const bool is_one = std::sscanf(identity.c_str(), "%llu %llu%n", &size, &seconds, &used) == 2;
  std::tm parts{};
  const auto when = static_cast<std::time_t>(seconds);
  if (!is_one || ::gmtime_r(&when, &parts) == nullptr) return printable(identity, 100);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S", &parts);
  return fmt::format("{} bytes, changed {}{} UTC", size, text.data(),
                     identity.substr(static_cast<size_t>(used)));
}

// Of two lists of files, each [path, identity].
std::string files_difference(const std::string& what, const OrderedJson& then,
                             const OrderedJson& now) {
  if (!then.is_array() || !now.is_array()) return what + " differ";
  for (size_t i = 0; i < std::max(then.size(), now.size()); ++i) {
    const OrderedJson was = i < then.size() ? then[i] : OrderedJson();
    const OrderedJson is = i < now.size() ? now[i] : OrderedJson();
    if (was == is) continue;
    const auto path = [](const OrderedJson& file) {
      return value_text(file.is_array() && file.size() == 2 ? file[0] : OrderedJson());
    };
    if (path(was) != path(is))
      return fmt::format("{} {} was {} and is {}", what, i + 1, path(was), path(is));
    return fmt::format("{} {} was {} and is {}", what, path(is), identity_text(was[1]),
                       identity_text(is[1]));
  }
  return "";
}

// Of two lists of rule names.
std::string rules_difference(const OrderedJson& then, const OrderedJson& now) {
  const auto has = [](const OrderedJson& list, const OrderedJson& name) {
    return std::find(list.begin(), list.end(), name) != list.end();
  };
  for (const OrderedJson& name : then) {
    if (!has(now, name))
      return fmt::format("--rule chose {} rules and chooses {}: without {}", then.size(),
                         now.size(), value_text(name));
  }
  for (const OrderedJson& name : now) {
    if (!has(then, name))
      return fmt::format("--rule chose {} rules and chooses {}: with {}", then.size(), now.size(),
                         value_text(name));
  }
  return "the rules are in another order";
}

}  // namespace

std::string difference_text(const std::string& then, const std::string& now) {
  const OrderedJson a = parse_json<OrderedJson>(then), b = parse_json<OrderedJson>(now);
  if (!a.is_object() || !b.is_object()) return "its journal cannot be read";
  const auto first_of = [](const OrderedJson& was, const OrderedJson& is,
                           const auto& describe) -> std::string {
    OrderedJson all = is;
    for (const auto& [key, value] : was.items()) {
      if (!all.contains(key)) all[key] = value;
    }
    for (const auto& [key, value] : all.items()) {
      const OrderedJson x = was.value(key, OrderedJson()), y = is.value(key, OrderedJson());
      if (x != y) return describe(key, x, y);
    }
    return "";
  };
  const auto rules_of = [](const OrderedJson& run) {
    const OrderedJson options = run.value("options", OrderedJson());
    return options.is_object() ? options.value("rules", OrderedJson()) : OrderedJson();
  };
  const OrderedJson rules_then = rules_of(a), rules_now = rules_of(b);
  if (rules_then != rules_now && rules_then.is_array() && rules_now.is_array())
    return rules_difference(rules_then, rules_now);
  const auto option = [](const std::string& key, const OrderedJson& was, const OrderedJson& is) {
    return fmt::format("{} was {} and is {}", option_name(key), value_text(was), value_text(is));
  };
  return first_of(a, b, [&](const std::string& key, const OrderedJson& was, const OrderedJson& is) {
    if (key == "options" && was.is_object() && is.is_object()) return first_of(was, is, option);
    if (key == "inputs" || key == "merge") return files_difference("the input", was, is);
    if (key == "known") return files_difference("the --known file", was, is);
    return option(key, was, is);
  });
}

Error other_run(const std::string& path, const std::string& then, const std::string& now) {
  return Error(Code::kUsage,
               fmt::format("{}: holds another unfinished run: {}; give the same command, another "
                           "--out, or --resume never",
                           path, difference_text(then, now)));
}

}  // namespace spillway::transform

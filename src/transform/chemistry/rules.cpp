#include "transform/chemistry/rules.hpp"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <iterator>
#include <set>
#include <sstream>

#include "core/file/file.hpp"
#include "core/file/folders.hpp"
#include "core/file/sha256.hpp"
#include "core/json.hpp"
#include "transform/chemistry/smirks.hpp"

namespace spillway::transform {
namespace {

// What a message begins with: the file, the line, and the rule when it has a name already.
struct Place {
  std::string_view source;
  std::string_view rule;

  tl::unexpected<Error> wrong(const YAML::Node& node, std::string_view what) const {
    return wrong(node.Mark().line + 1, what);
  }
  tl::unexpected<Error> wrong(int line, std::string_view what) const {
    const std::string who = rule.empty() ? "" : fmt::format(" rule {}:", rule);
    return fail(Code::kInvalid, fmt::format("{}:{}:{} {}", source, std::max(line, 1), who, what));
  }
};

// The keys of a map in order, each a word that stands once.
Result<void> check_keys(const Place& place, const YAML::Node& map, std::string_view what,
                        std::initializer_list<std::string_view> known) {
  if (!map.IsMap()) return place.wrong(map, fmt::format("{} must be a map", what));
  std::set<std::string> seen;
  for (const auto& entry : map) {
    const std::string key = entry.first.IsScalar() ? entry.first.Scalar() : "?";
    if (std::find(known.begin(), known.end(), key) == known.end())
      return place.wrong(entry.first, fmt::format("unknown key '{}' of {} (known: {})", key, what,
                                                  fmt::join(known, ", ")));
    if (!seen.insert(key).second)
      return place.wrong(entry.first, fmt::format("key '{}' stands twice", key));
  }
  return {};
}

Result<std::string> text_of(const Place& place, const YAML::Node& node, std::string_view key) {
  if (!node.IsScalar()) return place.wrong(node, fmt::format("'{}' must be text", key));
  return node.Scalar();
}

Result<std::vector<std::string>> texts_of(const Place& place, const YAML::Node& node,
                                          std::string_view key) {
  if (!node.IsSequence()) return place.wrong(node, fmt::format("'{}' must be a list", key));
  std::vector<std::string> texts;
  for (const auto& item : node) texts.push_back(TRY(text_of(place, item, key)));
  return texts;
}

Result<std::string> required(const Place& place, const YAML::Node& rule, const std::string& key) {
  const YAML::Node node = rule[key];
  if (!node) return place.wrong(rule, fmt::format("the key '{}' is missing", key));
  std::string text = TRY(text_of(place, node, key));
  if (text.empty()) return place.wrong(node, fmt::format("'{}' is empty", key));
  return text;
}

Result<RuleExample> example_of(const Place& place, const YAML::Node& node) {
  TRY(check_keys(place, node, "example", {"in", "out"}));
  RuleExample example;
  example.in = TRY(required(place, node, "in"));
  if (!node["out"]) return place.wrong(node, "the example has no 'out'");
  example.out = TRY(texts_of(place, node["out"], "out"));
  return example;
}

// A word that stands for itself on a command line.
bool is_name(std::string_view text) {
  return text != "all" && std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return std::isalnum(c) || c == '_' || c == '-' || c == '.';
         });
}

Result<void> check_chemistry(const Place& place, const YAML::Node& node, const Rule& rule) {
  const auto checked = [&](const char* key, Result<void> result) -> Result<void> {
    if (result) return {};
    return place.wrong(node[key] ? node[key] : node,
                       fmt::format("{}: {}", key, result.error().message()));
  };
  TRY(checked("smirks", check_smirks(rule.smirks)));
  if (!node["query_smarts"]) return {};
  TRY(checked("query_smarts", check_smarts(rule.query_smarts)));
  return checked("query_smarts", check_query(rule.query_smarts, rule.smirks, rule.example.in));
}

Result<Rule> rule_of(std::string_view source, const YAML::Node& node) {
  if (!node.IsMap()) return Place{source, ""}.wrong(node, "a rule must be a map");
  const YAML::Node name = node["name"];
  const std::string called = name && name.IsScalar() ? name.Scalar() : "";
  const Place place{source, called};
  TRY(check_keys(place, node, "a rule",
                 {"name", "label", "family", "smirks", "query_smarts", "example", "description",
                  "scope_classes", "exclude_sugar_like"}));
  Rule rule;
  rule.line = node.Mark().line + 1;
  rule.name = TRY(required(place, node, "name"));
  rule.label = TRY(required(place, node, "label"));
  rule.family = TRY(required(place, node, "family"));
  rule.smirks = TRY(required(place, node, "smirks"));
  if (!is_name(rule.name) || !is_name(rule.family))
    return place.wrong(node,
                       "a name or family is made of letters, digits, '_', '-' and '.', and "
                       "is not 'all'");
  if (const auto sugar = node["exclude_sugar_like"]) {
    if (TRY(text_of(place, sugar, "exclude_sugar_like")) != "false")
      return place.wrong(sugar, "'exclude_sugar_like: true' is not supported");
  }
  if (const auto query = node["query_smarts"]) {
    rule.query_smarts = TRY(text_of(place, query, "query_smarts"));
  } else {
    rule.query_smarts = reactant_of(rule.smirks);
  }
  if (const auto text = node["description"])
    rule.description = TRY(text_of(place, text, "description"));
  if (const auto list = node["scope_classes"])
    rule.scope_classes = TRY(texts_of(place, list, "scope_classes"));
  if (const auto example = node["example"]) rule.example = TRY(example_of(place, example));
  TRY(check_chemistry(place, node, rule));
  return rule;
}

Result<int32_t> max_sites_of(std::string_view source, const YAML::Node& defaults) {
  const Place place{source, ""};
  if (!defaults) return -1;
  TRY(check_keys(place, defaults, "defaults", {"max_sites_per_mol"}));
  const YAML::Node node = defaults["max_sites_per_mol"];
  if (!node) return -1;
  int32_t value = 0;
  if (!YAML::convert<int32_t>::decode(node, value) || (value != -1 && value < 1))
    return place.wrong(node, "'max_sites_per_mol' is a count from 1, or -1 for no limit");
  return value;
}

Json json_of(const Rule& rule) {
  return {{"name", rule.name},
          {"label", rule.label},
          {"family", rule.family},
          {"smirks", rule.smirks},
          {"query_smarts", rule.query_smarts},
          {"description", rule.description},
          {"scope_classes", rule.scope_classes},
          {"example", {{"in", rule.example.in}, {"out", rule.example.out}}}};
}

std::string sha256_hex(std::string_view text) {
  Sha256 hash;
  hash.add({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
  return hash.hex();
}

std::vector<std::string> split_words(const std::vector<std::string>& words) {
  std::vector<std::string> parts;
  for (const std::string& word : words) {
    std::istringstream stream(word);
    for (std::string part; std::getline(stream, part, ',');) {
      if (!part.empty()) parts.push_back(part);
    }
  }
  return parts;
}

}  // namespace

Result<std::shared_ptr<const RuleSet>> RuleSet::parse(std::string_view yaml,
                                                      std::string_view source) {
  std::shared_ptr<RuleSet> set(new RuleSet());
  set->source_ = std::string(source);
  const Place place{source, ""};
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(std::string(yaml));
    if (documents.size() > 1)
      return place.wrong(documents[1],
                         "a second document begins behind '---'; put all rules in one");
    const YAML::Node root = documents.empty() ? YAML::Node() : documents[0];
    if (!root.IsMap()) return place.wrong(root, "a map with the key 'rules' is expected");
    TRY(check_keys(place, root, "the file", {"defaults", "rules"}));
    set->max_sites_per_mol_ = TRY(max_sites_of(source, root["defaults"]));
    const YAML::Node rules = root["rules"];
    if (!rules || !rules.IsSequence() || rules.size() == 0)
      return place.wrong(rules ? rules : root, "'rules' must be a list with at least one rule");
    std::set<std::string> names;
    for (const auto& node : rules) {
      Rule rule = TRY(rule_of(source, node));
      rule.position = static_cast<int32_t>(set->rules_.size());
      if (!names.insert(rule.name).second)
        return Place{source, rule.name}.wrong(node, "there is a rule of this name already");
      set->rules_.push_back(std::move(rule));
    }
  } catch (const YAML::Exception& error) {
    return place.wrong(error.mark.is_null() ? 1 : error.mark.line + 1, error.msg);
  }
  for (const Rule& rule : set->rules_) {
    const auto clash = std::find_if(set->rules_.begin(), set->rules_.end(),
                                    [&](const Rule& other) { return other.family == rule.name; });
    if (clash != set->rules_.end())
      return Place{source, rule.name}.wrong(rule.line, "a family has the name of this rule");
  }
  TRY(set->seal());
  return set;
}

Result<std::shared_ptr<const RuleSet>> RuleSet::load(const std::string& path) {
  File file = TRY(File::open(path));
  constexpr size_t kMost = size_t{4} << 20;
  std::string text(kMost + 1, '\0');
  text.resize(TRY(file.read({reinterpret_cast<uint8_t*>(text.data()), text.size()})));
  if (text.size() > kMost) return fail(Code::kInvalid, path + ": rules above 4 MiB");
  return parse(text, path);
}

Result<std::shared_ptr<const RuleSet>> RuleSet::select(
    const std::vector<std::string>& words) const {
  std::set<std::string> asked;
  for (const std::string& word : split_words(words)) {
    const bool known = word == "all" || std::any_of(rules_.begin(), rules_.end(), [&](auto& rule) {
                         return rule.name == word || rule.family == word;
                       });
    if (!known)
      return fail(Code::kUsage, fmt::format("no rule and no family '{}' in {} (spillway transform "
                                            "rules lists them)",
                                            word, source_));
    asked.insert(word);
  }
  if (asked.empty()) return fail(Code::kUsage, "no rule is chosen");
  std::shared_ptr<RuleSet> chosen(new RuleSet());
  chosen->source_ = source_;
  chosen->max_sites_per_mol_ = max_sites_per_mol_;
  std::copy_if(rules_.begin(), rules_.end(), std::back_inserter(chosen->rules_), [&](auto& rule) {
    return asked.count("all") || asked.count(rule.name) || asked.count(rule.family);
  });
  TRY(chosen->seal());
  return chosen;
}

Result<void> RuleSet::seal() {
  Json json = {{"defaults", {{"max_sites_per_mol", max_sites_per_mol_}}}, {"rules", Json::array()}};
  for (const Rule& rule : rules_) json["rules"].push_back(json_of(rule));
  try {
    canonical_json_ = json.dump();
  } catch (const nlohmann::json::exception&) {
    return fail(Code::kInvalid, source_ + ": the text is not UTF-8");
  }
  sha256_ = sha256_hex(canonical_json_);
  return {};
}

Result<std::string> standard_rules_path() {
  namespace fs = std::filesystem;
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  if (error) return fail(Code::kNotFound, "cannot tell where the program is: name --rules");
  std::string folder = folder_of(program.string());
  // bin/.. of an installation; build/NAME/../.. of a source tree.
  for (int up = 0; up < 4; ++up, folder = folder_of(folder)) {
    for (const char* place : {"share/spillway/rules/standard.yaml", "rules/standard.yaml"}) {
      const std::string path = folder + "/" + place;
      const auto there = look_at(path);
      if (there && *there && (*there)->is_file()) return path;
    }
  }
  return fail(Code::kNotFound, fmt::format("no share/spillway/rules/standard.yaml beside {} and no "
                                           "rules/standard.yaml above it: name --rules",
                                           program.string()));
}

}  // namespace spillway::transform

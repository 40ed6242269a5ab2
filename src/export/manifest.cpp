#include "export/manifest.hpp"

#include <fmt/format.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>

namespace spillway::exporter {
namespace {

using Json = nlohmann::ordered_json;

// A member that must be there and of this kind; kind by the default's type.
template <class T>
bool take_member(const Json& json, const char* key, T& out) {
  const auto at = json.find(key);
  if (at == json.end()) return false;
  if constexpr (std::is_same_v<T, std::string>) {
    if (!at->is_string()) return false;
  } else if constexpr (std::is_same_v<T, bool>) {
    if (!at->is_boolean()) return false;
  } else {
    if (!at->is_number_unsigned()) return false;
  }
  out = at->get<T>();
  return true;
}

bool take_shard(const Json& json, ManifestShard& shard) {
  if (!json.is_object() || !take_member(json, "file", shard.file) ||
      !take_member(json, "rows", shard.rows) || !take_member(json, "bytes", shard.bytes) ||
      !take_member(json, "sha256", shard.sha256))
    return false;
  (void)take_member(json, "batches", shard.batches);
  shard.has_csv = json.contains("csv_sha256");
  return !shard.has_csv || (take_member(json, "csv_bytes", shard.csv_bytes) &&
                            take_member(json, "csv_sha256", shard.csv_sha256));
}

// None, or which part is missing.
std::optional<std::string> take_head(const Json& json, Manifest& manifest) {
  const auto part = [&](const char* name) -> const Json& {
    static const Json kNone = Json::object();
    const auto at = json.find(name);
    return at != json.end() && at->is_object() ? *at : kNone;
  };
  const Json& options = part("options");
  manifest.options = options.dump();
  if (!take_member(options, "to", manifest.to) ||
      !take_member(options, "spec_sha256", manifest.spec_sha256) ||
      !take_member(options, "keep_empty", manifest.keep_empty))
    return "options";
  (void)take_member(options, "mapping_sha256", manifest.mapping_sha256);  // null: none
  const Json& input = part("input");
  if (!take_member(input, "glance", manifest.glance)) return "input";
  (void)take_member(input, "content", manifest.content);  // null: shards were rewritten
  const Json& totals = part("totals");
  if (!take_member(totals, "blocks_in", manifest.blocks_in) ||
      !take_member(totals, "written", manifest.written) ||
      !take_member(totals, "empty", manifest.empty) ||
      !take_member(totals, "rejected", manifest.rejected) ||
      !take_member(totals, "duplicates", manifest.duplicates) ||
      !take_member(totals, "shards", manifest.shards))
    return "totals";
  if (!json.contains("shards") || !json["shards"].is_array()) return "shards";
  if (const auto scales = json.find("scales"); scales != json.end() && scales->is_array()) {
    for (const Json& entry : *scales) {
      ScaleSummary scale;
      if (!entry.is_object() || !take_member(entry, "scale", scale.scale) ||
          !take_member(entry, "blocks_in", scale.blocks_in) ||
          !take_member(entry, "written", scale.written) ||
          !take_member(entry, "empty", scale.empty) ||
          !take_member(entry, "rejected", scale.rejected) ||
          !take_member(entry, "duplicates", scale.duplicates) ||
          !take_member(entry, "shards", scale.shards))
        return "scales";
      manifest.scales.push_back(scale);
    }
  }
  return std::nullopt;
}

}  // namespace

Result<Manifest> read_manifest(const std::string& path, const TakeShard& take) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail(Code::kNotFound, path + ": no such file");
  std::optional<Error> first;
  bool in_shards = false;
  // A shard's entry is an object at this depth; it is dropped once it was taken.
  const auto each = [&](int depth, Json::parse_event_t event, Json& parsed) {
    if (depth == 1 && event == Json::parse_event_t::key) in_shards = parsed == "shards";
    if (!in_shards || depth != 2 || event != Json::parse_event_t::object_end) return true;
    ManifestShard shard;
    if (!take_shard(parsed, shard)) {
      if (!first)
        first.emplace(Code::kInvalid,
                      fmt::format("{}: an entry that is no shard: {}", path, parsed.dump()));
    } else if (take && !first) {
      if (auto taken = take(shard); !taken) first.emplace(std::move(taken).error());
    }
    return false;
  };
  const Json json = Json::parse(file, each, false);
  if (first) return fail(std::move(*first));
  if (!json.is_object()) return fail(Code::kInvalid, path + ": is no JSON object");
  Manifest manifest;
  if (const auto missing = take_head(json, manifest))
    return fail(Code::kInvalid, fmt::format("{}: its \"{}\" cannot be read", path, *missing));
  return manifest;
}

}  // namespace spillway::exporter

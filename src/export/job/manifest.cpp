#include "export/job/manifest.hpp"

#include <fmt/format.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>

#include "core/disk/durable_file.hpp"

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
  if (!take_member(input, "glance", manifest.glance) ||
      !take_member(input, "content", manifest.content))
    return "input";
  const Json& totals = part("totals");
  if (!take_member(totals, "blocks_in", manifest.blocks_in) ||
      !take_member(totals, "written", manifest.written) ||
      !take_member(totals, "empty", manifest.empty) ||
      !take_member(totals, "rejected", manifest.rejected) ||
      !take_member(totals, "duplicates", manifest.duplicates) ||
      !take_member(totals, "shards", manifest.shards))
    return "totals";
  if (json.contains("scales")) {
    if (!json["scales"].is_array()) return "scales";
    for (const Json& entry : json["scales"]) {
      ScaleSummary scale;
      uint64_t number = 0;
      if (!take_member(entry, "scale", number) ||
          !take_member(entry, "blocks_in", scale.blocks_in) ||
          !take_member(entry, "written", scale.written) ||
          !take_member(entry, "empty", scale.empty) ||
          !take_member(entry, "rejected", scale.rejected) ||
          !take_member(entry, "duplicates", scale.duplicates) ||
          !take_member(entry, "shards", scale.shards))
        return "scales";
      scale.scale = static_cast<uint32_t>(number);
      manifest.scales.push_back(scale);
    }
  }
  if (!json.contains("shards") || !json["shards"].is_array()) return "shards";
  return std::nullopt;
}

}  // namespace

Result<Manifest> read_manifest(const std::string& path, const TakeShard& take) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail(Code::kNotFound, path + ": no such file");
  std::optional<Error> first;
  std::string member;  // of the manifest, that is being read
  // A shard's entry is an object at this depth; it is dropped once it was taken.
  const auto each = [&](int depth, Json::parse_event_t event, Json& parsed) {
    if (depth == 1 && event == Json::parse_event_t::key) member = parsed.get<std::string>();
    if (member != "shards" || depth != 2 || event != Json::parse_event_t::object_end) return true;
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

Result<void> write_manifest(const std::string& path, const Manifest& head, const VolumeSpec& spec,
                            const ShardEntries& entries) {
  DurableFile file = TRY(DurableFile::create(path));
  const Json input{{"glance", head.glance}, {"content", head.content}};
  const Json totals{{"blocks_in", head.blocks_in},   {"written", head.written},
                    {"empty", head.empty},           {"rejected", head.rejected},
                    {"duplicates", head.duplicates}, {"shards", head.shards}};
  TRY(file.append(fmt::format("{{\n\"options\": {},\n\"input\": {},\n\"totals\": {}", head.options,
                              input.dump(), totals.dump())));
  if (!head.scales.empty()) {
    Json scales = Json::array();
    for (const ScaleSummary& scale : head.scales) {
      scales.push_back({{"scale", scale.scale},
                        {"key", spec.scales[scale.scale].key},
                        {"blocks_in", scale.blocks_in},
                        {"written", scale.written},
                        {"empty", scale.empty},
                        {"rejected", scale.rejected},
                        {"duplicates", scale.duplicates},
                        {"shards", scale.shards}});
    }
    TRY(file.append(",\n\"scales\": " + scales.dump()));
  }
  TRY(file.append(std::string_view(",\n\"shards\": [")));
  const char* gap = "\n";
  TRY(entries([&](std::string_view entry) -> Result<void> {
    TRY(file.append(std::string_view(gap)));
    gap = ",\n";
    return file.append(entry);
  }));
  TRY(file.append(std::string_view("\n]\n}\n")));
  return std::move(file).commit();
}

}  // namespace spillway::exporter

#include "export/job/manifest.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <istream>
#include <optional>
#include <streambuf>
#include <vector>

#include "core/file/folders.hpp"
#include "core/file/output.hpp"
#include "core/file/sha256.hpp"
#include "core/json.hpp"
#include "export/spec/input_stream.hpp"

namespace spillway::exporter {
namespace {

constexpr size_t kMostLine = size_t{1} << 20;
constexpr size_t kMostFiles = 16;
constexpr std::string_view kSealBegin = "\"sha256\": \"", kSealEnd = "\"\n}\n";
constexpr size_t kSeal = kSealBegin.size() + 64 + kSealEnd.size();

std::span<const uint8_t> bytes_of(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

// A member that must be there and of this kind; kind by the default's type.
template <class T>
bool take_member(const OrderedJson& json, const char* key, T& out) {
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

bool take_shard(const OrderedJson& json, ManifestShard& shard) {
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
std::optional<std::string> take_head(const OrderedJson& json, Manifest& manifest) {
  const auto part = [&](const char* name) -> const OrderedJson& {
    static const OrderedJson kNone = OrderedJson::object();
    const auto at = json.find(name);
    return at != json.end() && at->is_object() ? *at : kNone;
  };
  const OrderedJson& options = part("options");
  manifest.options = options.dump();
  if (!take_member(options, "to", manifest.to) ||
      !take_member(options, "spec_sha256", manifest.spec_sha256) ||
      !take_member(options, "keep_empty", manifest.keep_empty))
    return "options";
  (void)take_member(options, "mapping_sha256", manifest.mapping_sha256);  // null: none
  const OrderedJson& input = part("input");
  if (!take_member(input, "glance", manifest.glance) ||
      !take_member(input, "content", manifest.content))
    return "input";
  (void)take_member(input, "missing", manifest.missing);  // only where any is
  const OrderedJson& totals = part("totals");
  if (!take_member(totals, "blocks_in", manifest.blocks_in) ||
      !take_member(totals, "written", manifest.written) ||
      !take_member(totals, "empty", manifest.empty) ||
      !take_member(totals, "rejected", manifest.rejected) ||
      !take_member(totals, "duplicates", manifest.duplicates) ||
      !take_member(totals, "shards", manifest.shards))
    return "totals";
  if (json.contains("scales")) {
    if (!json["scales"].is_array()) return "scales";
    for (const OrderedJson& entry : json["scales"]) {
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
  if (json.contains("files")) {
    if (!json["files"].is_array() || json["files"].size() > kMostFiles) return "files";
    for (const OrderedJson& entry : json["files"]) {
      ManifestFile file;
      if (!entry.is_object() || !take_member(entry, "file", file.file) ||
          !take_member(entry, "bytes", file.bytes) || !take_member(entry, "sha256", file.sha256))
        return "files";
      manifest.files.push_back(std::move(file));
    }
  }
  if (!json.contains("shards") || !json["shards"].is_array()) return "shards";
  return std::nullopt;
}

// Whether the file ends in the hash of what stands before. kInvalid for a line that no manifest has: it would be
// held whole.
Result<bool> is_sealed(const std::string& path) {
  const auto there = TRY(look_at(path));
  if (!there) return fail(Code::kNotFound, path + ": no such file");
  const uint64_t size = there->size;
  const uint64_t hashed = size < kSeal ? 0 : size - kSeal;
  auto source = TRY(open_input(path, ByteStream::Gzip::kNever));
  std::vector<uint8_t> buffer(65536);
  Sha256 hash;
  std::string end;
  uint64_t at = 0;
  size_t line = 0;
  while (const size_t got = TRY(source->read(buffer))) {
    const auto part = std::span<const uint8_t>(buffer).first(got);
    for (const uint8_t byte : part) {
      line = byte == '\n' ? 0 : line + 1;
      if (line > kMostLine)
        return fail(Code::kInvalid, path + ": has a line of more than 1 MiB: it is no manifest");
    }
    const size_t before = std::min<uint64_t>(got, hashed - std::min(at, hashed));
    hash.add(part.first(before));
    end.append(part.begin() + static_cast<ptrdiff_t>(before), part.end());
    if (end.size() > kSeal) return false;  // it has grown
    at += got;
  }
  return end == std::string(kSealBegin) + hash.hex() + std::string(kSealEnd);
}

// A source's bytes, for the parser; what ended them before their time is in error().
class SourceBuffer final : public std::streambuf {
 public:
  explicit SourceBuffer(ByteStream& source) : source_(source), bytes_(65536) {}
  std::optional<Error>& error() { return error_; }

 private:
  int_type underflow() override {
    auto got = source_.read({reinterpret_cast<uint8_t*>(bytes_.data()), bytes_.size()});
    if (!got) error_.emplace(std::move(got).error());
    if (!got || *got == 0) return traits_type::eof();
    setg(bytes_.data(), bytes_.data(), bytes_.data() + *got);
    return traits_type::to_int_type(bytes_[0]);
  }
  ByteStream& source_;
  std::vector<char> bytes_;
  std::optional<Error> error_;
};

// What stands beside the manifest, for its "files".
Result<OrderedJson> other_results(const std::string& folder) {
  OrderedJson files = OrderedJson::array();
  for (const char* const name : {"info", "spec.json", "rejects.csv"}) {
    const std::string path = folder + "/" + name;
    const auto there = TRY(look_at(path));
    if (!there) continue;
    const std::string sha = TRY(sha256_of_file(path));
    files.push_back({{"file", name}, {"bytes", there->size}, {"sha256", sha}});
  }
  return files;
}

}  // namespace

Result<Manifest> read_manifest(const std::string& path, const TakeShard& take) {
  const bool sealed = TRY(is_sealed(path));
  const auto source = TRY(open_input(path, ByteStream::Gzip::kNever));
  SourceBuffer buffer(*source);
  std::istream file(&buffer);
  std::optional<Error> first;
  std::string member;  // of the manifest, that is being read
  // A shard's entry is an object at this depth; it is dropped once it was taken.
  const auto each = [&](int depth, OrderedJson::parse_event_t event, OrderedJson& parsed) {
    if (depth > 16) {  // nothing of ours is; what is skipped here is not built
      if (!first) first.emplace(Code::kInvalid, path + ": is nested too deep to be a manifest");
      return false;
    }
    if (depth == 1 && event == OrderedJson::parse_event_t::key) member = parsed.get<std::string>();
    if (member != "shards" || depth != 2 || event != OrderedJson::parse_event_t::object_end)
      return true;
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
  const OrderedJson json = OrderedJson::parse(file, each, false);
  if (buffer.error()) return fail(std::move(*buffer.error()));
  if (first) return fail(std::move(*first));
  if (!json.is_object()) return fail(Code::kInvalid, path + ": is no JSON object");
  Manifest manifest;
  if (const auto missing = take_head(json, manifest))
    return fail(Code::kInvalid, fmt::format("{}: its \"{}\" cannot be read", path, *missing));
  if (!sealed)
    return fail(Code::kInvalid,
                path +
                    ": does not end in its own SHA-256: it was changed or damaged, or an earlier "
                    "version wrote it; make the folder again");
  return manifest;
}

Result<void> write_manifest(const std::string& path, const Manifest& head, const VolumeSpec& spec,
                            const ShardEntries& entries) {
  const auto file = TRY(create_output(path, {.buffer = size_t{64} << 10}));
  Sha256 hash;
  const auto append = [&](std::string_view text) {
    hash.add(bytes_of(text));
    return file->append(text);
  };
  OrderedJson input{{"glance", head.glance}, {"content", head.content}};
  if (head.missing > 0) input["missing"] = head.missing;
  const OrderedJson totals{{"blocks_in", head.blocks_in},   {"written", head.written},
                           {"empty", head.empty},           {"rejected", head.rejected},
                           {"duplicates", head.duplicates}, {"shards", head.shards}};
  TRY(append(fmt::format("{{\n\"options\": {},\n\"input\": {},\n\"totals\": {},\n\"files\": {}",
                         head.options, input.dump(), totals.dump(),
                         TRY(other_results(folder_of(path))).dump())));
  if (!head.scales.empty()) {
    OrderedJson scales = OrderedJson::array();
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
    TRY(append(",\n\"scales\": " + scales.dump()));
  }
  TRY(append(",\n\"shards\": ["));
  const char* gap = "\n";
  TRY(entries([&](std::string_view entry) -> Result<void> {
    TRY(append(gap));
    gap = ",\n";
    return append(entry);
  }));
  TRY(append("\n],\n"));
  TRY(file->append(std::string(kSealBegin) + hash.hex() + std::string(kSealEnd)));
  return std::move(*file).commit();
}

}  // namespace spillway::exporter

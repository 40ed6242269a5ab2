#include "export/spec/volume_spec.hpp"

#include <fmt/format.h>
#include <murmurhash.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <set>

#include "core/json.hpp"

namespace spillway::exporter {
namespace {

constexpr int64_t kBlock = 64;
constexpr int64_t kMostVoxels = int64_t{1} << 37;  // a side: block coordinates are 32 bits

uint64_t mask(unsigned bits) { return bits >= 64 ? ~uint64_t{0} : (uint64_t{1} << bits) - 1; }

// Reads the keys of one JSON object and says which one is wrong.
class Keys {
 public:
  Keys(const Json& json, std::string where) : json_(json), where_(std::move(where)) {}

  auto wrong(const char* key, const char* must) const {
    return fail(Code::kUsage, fmt::format("{}: \"{}\" must be {}", where_, key, must));
  }
  template <class T>
  Result<std::array<T, 3>> triple(const char* key, const char* must) const {
    const auto at = json_.find(key);
    if (at == json_.end() || !at->is_array() || at->size() != 3) return wrong(key, must);
    std::array<T, 3> values;
    for (size_t i = 0; i < 3; ++i) {
      const Json& value = (*at)[i];
      if (std::is_integral_v<T> ? !value.is_number_integer() : !value.is_number())
        return wrong(key, must);
      values[i] = value.get<T>();
    }
    return values;
  }
  Result<unsigned> bits(const char* key) const {
    const auto at = json_.find(key);
    if (at == json_.end() || !at->is_number_integer() || at->get<int64_t>() < 0 ||
        at->get<int64_t>() > 60)
      return wrong(key, "a whole number from 0 to 60");
    return at->get<unsigned>();
  }
  Result<std::optional<uint64_t>> count(const char* key) const {
    const auto at = json_.find(key);
    if (at == json_.end()) return std::optional<uint64_t>();
    if (!at->is_number_integer() || at->get<int64_t>() < 1)
      return wrong(key, "a whole number above 0");
    return std::optional<uint64_t>(at->get<uint64_t>());
  }
  Result<bool> gzip(const char* key) const {
    const std::string value = json_.contains(key) && json_[key].is_string()
                                  ? json_[key].get<std::string>()
                                  : std::string(json_.contains(key) ? "?" : "raw");
    if (value != "raw" && value != "gzip") return wrong(key, "\"raw\" or \"gzip\"");
    return value == "gzip";
  }

 private:
  const Json& json_;
  std::string where_;
};

Result<Sharding> parse_sharding(const Json& json, const std::string& where) {
  const Keys keys(json, where);
  if (!json.is_object() || json.value("@type", Json()) != "neuroglancer_uint64_sharded_v1")
    return keys.wrong("@type", "\"neuroglancer_uint64_sharded_v1\"");
  Sharding sharding;
  const Json hash = json.value("hash", Json());
  if (hash == "murmurhash3_x86_128")
    sharding.hash = ShardHash::kMurmur;
  else if (hash != "identity")
    return keys.wrong("hash", "\"identity\" or \"murmurhash3_x86_128\"");
  sharding.preshift_bits = TRY(keys.bits("preshift_bits"));
  sharding.minishard_bits = TRY(keys.bits("minishard_bits"));
  sharding.shard_bits = TRY(keys.bits("shard_bits"));
  if (sharding.minishard_bits > 24) return keys.wrong("minishard_bits", "at most 24");
  if (sharding.minishard_bits + sharding.shard_bits > 64)
    return keys.wrong("shard_bits", "such that all bits together are at most 64");
  sharding.gzip_index = TRY(keys.gzip("minishard_index_encoding"));
  sharding.gzip_data = TRY(keys.gzip("data_encoding"));
  return sharding;
}

// What the chunks of a source are.
Result<void> parse_chunks(const Json& json, const Keys& keys, Scale& scale) {
  constexpr int64_t kMostSide = 4096, kMostVoxels3 = int64_t{1} << 27;
  const char* const must = "a list of three whole numbers, 1 to 4096 and at most 2^27 voxels";
  const auto sizes = json.find("chunk_sizes");
  if (sizes == json.end() || !sizes->is_array() || sizes->empty())
    return keys.wrong("chunk_sizes", must);
  const Json first{{"chunk_sizes", sizes->front()}};
  const auto chunk = Keys(first, "").triple<int64_t>("chunk_sizes", must);
  if (!chunk) return keys.wrong("chunk_sizes", must);
  int64_t voxels = 1;
  for (size_t d = 0; d < 3; ++d) {
    const int64_t side = (*chunk)[d];
    if (side < 1 || side > kMostSide) return keys.wrong("chunk_sizes", must);
    voxels *= side;
    scale.chunk[d] = static_cast<uint32_t>(side);
  }
  if (voxels > kMostVoxels3) return keys.wrong("chunk_sizes", must);
  const Json encoding = json.value("encoding", Json());
  if (encoding != "raw" && encoding != "compressed_segmentation")
    return keys.wrong("encoding",
                      "\"raw\" or \"compressed_segmentation\", what labels are read from");
  scale.encoding = encoding.get<std::string>();
  if (scale.encoding == "raw") return {};
  const char* const key = "compressed_segmentation_block_size";
  const auto block = TRY(keys.triple<int64_t>(key, "three whole numbers, 1 to 64"));
  for (size_t d = 0; d < 3; ++d) {
    if (block[d] < 1 || block[d] > 64) return keys.wrong(key, "three whole numbers, 1 to 64");
    scale.segmentation_block[d] = static_cast<uint32_t>(block[d]);
  }
  return {};
}

// A key is a folder of the output: it must be one below it, and meet nothing else that stands there.
bool is_folder_key(std::string_view key) {
  static constexpr std::array<std::string_view, 6> kOurs{
      "info", "spec.json", "manifest.json", ".spillway", "rejects.csv", "report.json"};
  for (bool is_first = true;; is_first = false) {
    const size_t end = std::min(key.find('/'), key.size());
    const std::string_view part = key.substr(0, end);
    if (part.empty() || part == "." || part == ".." || part == ".spillway" || part.size() > 255)
      return false;
    if (is_first && std::find(kOurs.begin(), kOurs.end(), part) != kOurs.end()) return false;
    if (end == key.size()) return true;
    key.remove_prefix(end + 1);
  }
}

Result<Scale> parse_scale(const Json& json, const std::string& where, VolumeSpec::Use use) {
  const Keys keys(json, where);
  if (!json.is_object()) return fail(Code::kUsage, where + ": must be an object");
  Scale scale;
  if (!json.contains("key") || !json["key"].is_string() || json["key"].get<std::string>().empty())
    return keys.wrong("key", "a text");
  scale.key = json["key"].get<std::string>();
  if (scale.key.front() == '/' || scale.key.find("..") != std::string::npos ||
      scale.key.find('\0') != std::string::npos)
    return keys.wrong("key", "a relative path without \"..\"");
  if (use == VolumeSpec::Use::kOutput && !is_folder_key(scale.key))
    return keys.wrong("key",
                      "a folder's name that is none of the export's own (info, spec.json, "
                      "manifest.json, rejects.csv, report.json, .spillway)");
  scale.size = TRY(keys.triple<int64_t>("size", "three whole numbers"));
  scale.resolution = TRY(keys.triple<double>("resolution", "three numbers"));
  if (json.contains("voxel_offset"))
    scale.voxel_offset = TRY(keys.triple<int64_t>("voxel_offset", "three whole numbers"));
  for (size_t d = 0; d < 3; ++d) {
    if (scale.size[d] < 1 || scale.size[d] > kMostVoxels)
      return keys.wrong("size", "from 1 to 2^37 voxels along each axis");
    if (scale.voxel_offset[d] < -kMostVoxels || scale.voxel_offset[d] > kMostVoxels - scale.size[d])
      return keys.wrong("voxel_offset", "within +-2^37 voxels, the volume included");
    if (!(scale.resolution[d] > 0)) return keys.wrong("resolution", "above 0");
  }
  if (use == VolumeSpec::Use::kSource) {
    TRY(parse_chunks(json, keys, scale));
  } else if (json.value("chunk_sizes", Json()) != Json::parse("[[64,64,64]]")) {
    return keys.wrong("chunk_sizes", "[[64,64,64]]");
  }
  if (json.contains("sharding") && !json["sharding"].is_null())
    scale.sharding = TRY(parse_sharding(json["sharding"], where + ": sharding"));
  return scale;
}

}  // namespace

namespace {

constexpr size_t kMostValues = 65536;  // of the JSON: about 100 bytes each

// No more values than that are kept, whatever the text's length.
Result<Json> parse_bounded(std::string_view text, const std::string& where) {
  size_t values = 0;
  const auto count = [&](int depth, Json::parse_event_t, const Json&) {
    return ++values <= kMostValues && depth <= 64;
  };
  Json json = Json::parse(text, count, false);
  if (values > kMostValues)
    return fail(Code::kUsage, fmt::format("{}: has more than {} values: it is no info of a volume",
                                          where, kMostValues));
  if (json.is_discarded() || !json.is_object())
    return fail(Code::kUsage, where + ": is not a JSON object");
  return json;
}

}  // namespace

Result<void> VolumeSpec::must_be_writable(const std::string& where) const {
  const Json info = TRY(parse_bounded(json, where));
  const auto refuse = [](const std::string& place, const std::string& key, const Json& value,
                         std::string_view written) {
    return fail(Code::kUsage, fmt::format("{}: \"{}\": {} is not written, only {}; take it out or "
                                          "change it",
                                          place, key, value.dump(), written));
  };
  const auto is_other = [](const Json& in, const char* key, const Json& written) {
    return in.contains(key) && in[key] != written;
  };
  if (is_other(info, "type", "segmentation"))
    return refuse(where, "type", info["type"], "\"segmentation\"");
  if (is_other(info, "data_type", "uint64"))
    return refuse(where, "data_type", info["data_type"], "\"uint64\"");
  if (is_other(info, "num_channels", 1))
    return refuse(where, "num_channels", info["num_channels"], "1");
  for (size_t i = 0; i < info["scales"].size(); ++i) {
    const Json& scale = info["scales"][i];
    const std::string place = fmt::format("{}: scales[{}]", where, i);
    if (is_other(scale, "encoding", "compressed_segmentation"))
      return refuse(place, "encoding", scale["encoding"], "\"compressed_segmentation\"");
    const char* const block = "compressed_segmentation_block_size";
    if (is_other(scale, block, Json{8, 8, 8})) return refuse(place, block, scale[block], "[8,8,8]");
  }
  return {};
}

namespace {

// But for numbers that do not fit.
Result<VolumeSpec> parse_numbers(std::string_view text, const std::string& where,
                                 VolumeSpec::Use use) {
  const Json json = TRY(parse_bounded(text, where));
  VolumeSpec spec;
  spec.json = text;
  const Keys keys(json, where);
  if (!json.contains("scales") || !json["scales"].is_array() || json["scales"].empty())
    return keys.wrong("scales", "a list of at least one scale");
  std::set<std::string> names;
  for (size_t i = 0; i < json["scales"].size(); ++i) {
    spec.scales.push_back(
        TRY(parse_scale(json["scales"][i], fmt::format("{}: scales[{}]", where, i), use)));
    if (!names.insert(spec.scales.back().key).second)
      return fail(Code::kUsage,
                  fmt::format("{}: two scales have the key {}", where, spec.scales.back().key));
  }
  if (use == VolumeSpec::Use::kSource) {
    const Json type = json.value("data_type", Json());
    if (type != "uint8" && type != "uint16" && type != "uint32" && type != "uint64")
      return keys.wrong("data_type", "\"uint8\", \"uint16\", \"uint32\" or \"uint64\": labels");
    spec.data_type = type.get<std::string>();
    if (json.value("num_channels", Json(1)) != 1) return keys.wrong("num_channels", "1");
    for (size_t i = 0; i < spec.scales.size(); ++i) {
      if (spec.scales[i].encoding != "raw" && type != "uint32" && type != "uint64")
        return fail(
            Code::kUsage,
            fmt::format("{}: scales[{}]: compressed_segmentation of {} is not of the format", where,
                        i, spec.data_type));
    }
    return spec;
  }
  spec.batch_size = TRY(keys.count("batch_size"));
  spec.num_scales = TRY(keys.count("num_scales"));
  return spec;
}

}  // namespace

Result<VolumeSpec> VolumeSpec::parse(std::string_view text, const std::string& where, Use use) {
  try {
    return parse_numbers(text, where, use);
  } catch (const nlohmann::json::exception& problem) {
    return fail(Code::kUsage, fmt::format("{}: {}", where, problem.what()));
  }
}

uint64_t murmur_low64(uint64_t value) {
  std::array<uint8_t, 8> bytes;
  for (size_t i = 0; i < 8; ++i) bytes[i] = static_cast<uint8_t>(value >> (8 * i));
  std::array<uint32_t, 4> hash{};
  lmmh_x86_128(bytes.data(), static_cast<unsigned>(bytes.size()), 0, hash.data());
  return uint64_t{hash[1]} << 32 | hash[0];
}

ShardPlace shard_of(uint64_t chunk_id, const Sharding& sharding) {
  const uint64_t shifted = sharding.preshift_bits >= 64 ? 0 : chunk_id >> sharding.preshift_bits;
  const uint64_t hash = sharding.hash == ShardHash::kIdentity ? shifted : murmur_low64(shifted);
  return {(hash >> sharding.minishard_bits) & mask(sharding.shard_bits),
          hash & mask(sharding.minishard_bits)};
}

Result<Grid> Grid::of(const Scale& scale, size_t scale_index) {
  Grid grid;
  unsigned bits = 0;
  for (size_t d = 0; d < 3; ++d) {
    if (scale.voxel_offset[d] % kBlock != 0)
      return fail(Code::kUsage,
                  fmt::format("scales[{}] ({}): voxel_offset must be a multiple of 64", scale_index,
                              scale.key));
    const int64_t count = (scale.size[d] + kBlock - 1) / kBlock;
    grid.blocks_[d] = static_cast<uint32_t>(count);
    grid.bits_[d] = count <= 1 ? 0 : static_cast<unsigned>(std::bit_width(grid.blocks_[d] - 1));
    grid.first_[d] = static_cast<int32_t>(scale.voxel_offset[d] / kBlock);
    bits += grid.bits_[d];
  }
  if (bits > 64)
    return fail(Code::kUsage, fmt::format("scales[{}] ({}): {} Morton bits are more than 64",
                                          scale_index, scale.key, bits));
  return grid;
}

std::optional<GridAt> Grid::place(BlockAt block) const {
  GridAt g;
  for (size_t d = 0; d < 3; ++d) {
    const int64_t at = int64_t{block[d]} - first_[d];
    if (at < 0 || at >= blocks_[d]) return std::nullopt;
    g[d] = static_cast<uint32_t>(at);
  }
  return g;
}

BlockAt Grid::block_at(GridAt g) const {
  BlockAt block;
  for (size_t d = 0; d < 3; ++d) block[d] = static_cast<int32_t>(int64_t{g[d]} + first_[d]);
  return block;
}

uint64_t Grid::morton(GridAt g) const {
  const unsigned most = std::max({bits_[0], bits_[1], bits_[2]});
  uint64_t code = 0;
  unsigned j = 0;
  for (unsigned i = 0; i < most; ++i) {
    for (size_t d = 0; d < 3; ++d) {
      if (i < bits_[d]) code |= uint64_t{(g[d] >> i) & 1} << j++;
    }
  }
  return code;
}

GridAt Grid::cell_shape(unsigned bits) const {
  std::array<unsigned, 3> used{};
  for (unsigned i = 0; bits > 0; ++i) {
    bool any = false;
    for (size_t d = 0; d < 3 && bits > 0; ++d) {
      if (i >= bits_[d]) continue;
      ++used[d];
      --bits;
      any = true;
    }
    if (!any) break;  // the whole grid
  }
  GridAt shape;
  for (size_t d = 0; d < 3; ++d) {
    shape[d] = static_cast<uint32_t>(std::min<uint64_t>(blocks_[d], uint64_t{1} << used[d]));
  }
  return shape;
}

std::string cell_name(const Scale& scale, GridAt first_block) {
  std::array<int64_t, 3> at;
  for (size_t d = 0; d < 3; ++d) at[d] = scale.voxel_offset[d] + 64 * int64_t{first_block[d]};
  return fmt::format("{}_{}_{}", at[0], at[1], at[2]);
}

std::optional<uint64_t> cell_of(const std::string& file, const Grid& grid, const Cells& cells,
                                const Scale& scale) {
  std::array<int64_t, 3> corner;
  const char *at = file.data(), *const end = at + file.size();
  for (size_t d = 0; d < 3; ++d) {
    const auto [next, error] = std::from_chars(at, end, corner[d]);
    if (error != std::errc() || next == end || *next != (d < 2 ? '_' : '.')) return std::nullopt;
    at = next + 1;
  }
  GridAt g;
  for (size_t d = 0; d < 3; ++d) {
    const int64_t from_begin = corner[d] - scale.voxel_offset[d];
    if (from_begin < 0 || from_begin % 64 != 0 || from_begin / 64 >= grid.blocks()[d])
      return std::nullopt;
    g[d] = static_cast<uint32_t>(from_begin / 64);
  }
  const uint64_t cell = cells.of(g);
  if (cell_name(scale, cells.first_block(cell)) + ".arrow" != file) return std::nullopt;
  return cell;
}

}  // namespace spillway::exporter

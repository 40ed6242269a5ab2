#include "export/job/earlier_run.hpp"

#include <fmt/format.h>

#include "core/file/folders.hpp"
#include "core/file/sha256.hpp"
#include "core/file/source.hpp"
#include "core/json.hpp"
#include "export/block/gzip.hpp"
#include "export/job/checks.hpp"
#include "export/job/manifest.hpp"
#include "export/spec/input_mark.hpp"
#include "export/spec/input_stream.hpp"
#include "net/address.hpp"

namespace spillway::exporter {
namespace {

const char* name_of(Duplicates duplicates) {
  return duplicates == Duplicates::kError   ? "error"
         : duplicates == Duplicates::kFirst ? "first"
                                            : "last";
}

}  // namespace

Result<VolumeSpec> read_spec(const ExportOptions& options, const std::stop_token& stop) {
  const std::string text = TRY(read_small_input(options.spec, kMostSpecBytes, stop));
  const std::string where = net::redacted(options.spec);
  VolumeSpec spec = TRY(VolumeSpec::parse(text, where));
  if (options.to == Target::kPrecomputed) TRY(spec.must_be_writable(where));
  TRY(check_output(options, spec));
  return spec;
}

std::string configuration(const ExportOptions& options, const VolumeSpec& spec, uint64_t batch_rows,
                          const std::string& mapping_sha) {
  Sha256 hash;
  hash.add({reinterpret_cast<const uint8_t*>(spec.json.data()), spec.json.size()});
  OrderedJson json;
  json["version"] = SPILLWAY_VERSION;
  json["to"] = options.to == Target::kArrow ? "arrow" : "precomputed";
  json["source"] = net::identity(options.source);
  json["spec_sha256"] = hash.hex();
  json["mapping_sha256"] = mapping_sha.empty() ? OrderedJson(nullptr) : OrderedJson(mapping_sha);
  json["scale"] = options.all_scales ? OrderedJson("all") : OrderedJson(options.scale);
  if (options.to == Target::kArrow) json["batch_size"] = batch_rows;
  if (options.to == Target::kPrecomputed && writes_gzip(options, spec))
    json["gzip_level"] = options.gzip_level.value_or(Gzip::kFastest);
  json["payload"] = options.payload == Payload::kLz4   ? "lz4"
                    : options.payload == Payload::kRaw ? "raw"
                                                       : "by content";
  json["keep_empty"] = options.keep_empty;
  json["on_error"] = options.reject ? "reject" : "stop";
  json["on_duplicate"] = name_of(options.duplicates);
  return json.dump();
}

Result<std::optional<ExportSummary>> finished(const ExportOptions& options) {
  if (!TRY(exists(options.out + "/manifest.json")) || TRY(exists(options.out + "/.spillway")))
    return std::nullopt;
  std::string gone;  // the first shard that is not as long as the manifest says
  const Manifest manifest = TRY(read_manifest(
      options.out + "/manifest.json", [&](const ManifestShard& shard) -> Result<void> {
        if (!gone.empty()) return {};
        const auto there = TRY(look_at(options.out + "/" + shard.file));
        if (!there || there->size != shard.bytes) gone = shard.file;
        return {};
      }));
  const VolumeSpec spec = TRY(read_spec(options));
  const std::string mapping_sha =
      options.mapping.empty() ? "" : TRY(sha256_of_input(options.mapping));
  const std::string config = configuration(
      options, spec, options.batch_size.value_or(spec.batch_size.value_or(1)), mapping_sha);
  if (manifest.options != config)
    return fail(Code::kInvalid,
                fmt::format("{}: holds another finished run; choose another folder with --out, or "
                            "put this one in its place with --resume never",
                            options.out));
  const auto changed = TRY(last_change(options.source));
  const auto written = TRY(last_change(options.out + "/manifest.json"));
  const bool is_newer = changed && written && *changed > *written;
  if (is_newer || manifest.glance != TRY(glance_at(options.source)))
    return fail(Code::kUsage,
                fmt::format("{}: was changed since the run that finished in {}; choose another "
                            "folder with --out, or do it again with --resume never",
                            options.source, options.out));
  if (!gone.empty())
    return fail(Code::kCorrupt,
                fmt::format("{}/{}: is not there any more, or was changed; make the "
                            "folder again with --resume never",
                            options.out, gone));
  ExportSummary summary;
  summary.blocks_in = manifest.blocks_in;
  summary.written = manifest.written;
  summary.empty = manifest.empty;
  summary.rejected = manifest.rejected;
  summary.duplicates = manifest.duplicates;
  summary.shards = manifest.shards;
  summary.missing = manifest.missing;
  summary.scales = manifest.scales;
  summary.was_finished = true;
  if (options.to == Target::kPrecomputed && options.scale < spec.scales.size())
    summary.link = neuroglancer_link(options.out, spec.scales[options.scale]);
  summary.out = options.out;
  return summary;
}

}  // namespace spillway::exporter

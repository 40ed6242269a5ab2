#include "export/job/verify.hpp"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <charconv>

#include "core/disk/scratch.hpp"
#include "core/file/folders.hpp"
#include "core/file/sha256.hpp"
#include "core/file/source.hpp"
#include "export/job/manifest.hpp"
#include "export/job/old_results.hpp"
#include "export/shard/chunk_check.hpp"
#include "export/shard/shard_check.hpp"
#include "export/source/precomputed_source.hpp"
#include "export/spec/input_stream.hpp"

namespace spillway::exporter {
namespace {

constexpr uint64_t kMostSpec = uint64_t{16} << 20;
constexpr size_t kAtOnce = 16384;  // names that are looked for in one pass over the manifest
constexpr const char* kOwnNames[] = {"info", "spec.json", "manifest.json", "rejects.csv",
                                     "report.json"};

tl::unexpected<Error> bad(std::string what) { return fail(Code::kInvalid, std::move(what)); }

// s<S>: the number; none for any other name.
std::optional<unsigned> scale_of(const std::string& folder) {
  unsigned scale = 0;
  if (folder.size() < 2 || folder[0] != 's') return std::nullopt;
  const auto [end, error] =
      std::from_chars(folder.data() + 1, folder.data() + folder.size(), scale);
  return error == std::errc() && end == folder.data() + folder.size() ? std::optional(scale)
                                                                      : std::nullopt;
}

class Verifier {
 public:
  explicit Verifier(const VerifyOptions& options) : options_(options), folder_(options.folder) {}

  Result<VerifySummary> run(std::stop_token stop) {
    stop_ = stop;
    if (!TRY(is_folder(folder_))) return fail(Code::kNotFound, folder_ + ": no such folder");
    if (TRY(exists(folder_ + "/.spillway")))
      return bad(folder_ + ": its run is not finished; run the same command again first");
    TRY(prepare(stop));
    TRY(TRY(exists(manifest_path())) ? check_all(stop) : check_what_is_there(stop));
    return summary_;
  }

 private:
  Result<void> prepare(const std::stop_token& stop) {
    constexpr Bytes kReserve = 12_MiB;
    const bool maps = !options_.mapping.empty();
    const Bytes sort = maps ? Mapping::sort_floor() : Bytes(0);
    const Bytes least = kReserve + ShardCheck::room() + sort;
    if (options_.job.memory < least)
      return fail(Code::kMemoryLimit,
                  fmt::format("--memory {} is too small: needs at least {}",
                              to_string(options_.job.memory), to_string(least + 1_MiB)));
    budget_ = Budget::create(options_.job.memory - kReserve);
    const Account check = TRY(budget_->open({"check", 1, ShardCheck::room(), std::nullopt}));
    if (maps) TRY(load_mapping(sort, stop));
    check_account_ = check;
    return {};
  }

  Result<void> load_mapping(Bytes floor, const std::stop_token& stop) {
    ScratchSpace::Options scratch;
    scratch.folder = options_.job.scratch.empty() ? folder_ : options_.job.scratch;
    scratch.limit = options_.job.scratch_limit.value_or(Bytes(0));
    Mapping::Options mapping{.path = options_.mapping, .format = options_.mapping_format};
    mapping.sort = TRY(budget_->open({"mapping", 1, floor, std::nullopt}));
    mapping.table = TRY(budget_->open({"table", 1, Bytes(0), std::nullopt}));
    mapping.space = TRY(ScratchSpace::create(scratch));
    mapping_ = TRY(Mapping::load(mapping, stop));
    return {};
  }

  Result<std::unique_ptr<ShardCheck>> shard_check(ShardCheck::Options options,
                                                  const std::stop_token& stop) {
    options.mapping = mapping_.get();
    options.account = check_account_;
    return ShardCheck::create(std::move(options), stop);
  }

  // ---- with a manifest

  std::string manifest_path() const { return folder_ + "/manifest.json"; }

  Result<void> check_all(const std::stop_token& stop) {
    const Manifest head = TRY(read_manifest(manifest_path(), {}));
    const uint64_t out = head.written + head.empty + head.rejected + head.duplicates;
    if (head.blocks_in != out)
      return bad(fmt::format("{}: its totals do not balance: {} blocks in, {} accounted for",
                             manifest_path(), head.blocks_in, out));
    TRY(check_mapping(head, stop));
    TRY(check_other_files(head));
    TRY(check_rejects(head));
    if (summary_.is_precomputed) {
      chunks_.emplace(folder_, TRY(read_precomputed_info(folder_, stop)), check_account_);
    } else {
      TRY(read_volume(head));
      shards_ = TRY(shard_check({.empty_is_wrong = !head.keep_empty}, stop));
    }
    NameSum listed;
    TRY(read_manifest(manifest_path(), [&](const ManifestShard& shard) -> Result<void> {
      if (stop.stop_requested()) return fail(Code::kCancelled, "stopped while verifying");
      TRY(check_shard(shard, stop));
      listed.add(shard.file);
      if (shard.has_csv) listed.add(csv_of(shard.file));
      return {};
    }));
    if (summary_.shards != head.shards || summary_.rows != head.written)
      return bad(fmt::format("{}: its totals say {} rows in {} shards, its shards {} in {}",
                             manifest_path(), head.written, head.shards, summary_.rows,
                             summary_.shards));
    summary_.has_manifest = true;
    return check_strangers(listed, stop);
  }

  Result<void> check_mapping(const Manifest& head, const std::stop_token& stop) {
    summary_.is_precomputed = head.to != "arrow";
    if (summary_.is_precomputed) {
      if (mapping_) return fail(Code::kUsage, "--mapping: only Arrow shards keep the supervoxels");
      return {};
    }
    if (!mapping_) {
      if (!head.mapping_sha256.empty()) return {};
      mapping_ = TRY(Mapping::load({}, stop));  // the run had none: labels are supervoxels
    } else if (mapping_->sha256() != head.mapping_sha256) {
      return bad(fmt::format(
          "{}: was written with another mapping than {} (SHA-256 {}, this has {})", folder_,
          options_.mapping, head.mapping_sha256.empty() ? "of none" : head.mapping_sha256,
          mapping_->sha256()));
    }
    summary_.checked_mapping = true;
    return {};
  }

  // info or spec.json, rejects.csv: listed, and as they were.
  Result<void> check_other_files(const Manifest& head) const {
    const auto lists = [&](std::string_view name) {
      return std::any_of(head.files.begin(), head.files.end(),
                         [&](const ManifestFile& file) { return file.file == name; });
    };
    for (const ManifestFile& file : head.files) {
      if (!is_own_name(file.file))
        return bad(fmt::format("{}: lists {}, which is no result", manifest_path(), file.file));
      TRY(check_file(file.file, file.bytes, file.sha256));
    }
    for (const char* const name : kOwnNames) {
      if (std::string_view(name) != "report.json" && std::string_view(name) != "manifest.json" &&
          !lists(name) && TRY(exists(folder_ + "/" + name)))
        return bad(fmt::format("{}/{}: the manifest does not list it", folder_, name));
    }
    const char* const wanted = summary_.is_precomputed ? "info" : "spec.json";
    if (!lists(wanted)) return bad(fmt::format("{}: does not list {}", manifest_path(), wanted));
    return {};
  }

  Result<void> check_rejects(const Manifest& head) const {
    const std::string path = folder_ + "/rejects.csv";
    uint64_t lines = 0;
    if (TRY(exists(path))) {
      auto source = TRY(open_input(path, ByteStream::Gzip::kNever));
      std::vector<uint8_t> buffer(65536);
      while (const size_t got = TRY(source->read(buffer)))
        lines += static_cast<uint64_t>(
            std::count(buffer.begin(), buffer.begin() + static_cast<ptrdiff_t>(got), '\n'));
      lines -= std::min<uint64_t>(lines, 1);  // the header
    }
    if (lines == head.rejected) return {};
    return bad(
        fmt::format("{}: has {} rows, the manifest says {} rejected", path, lines, head.rejected));
  }

  Result<void> read_volume(const Manifest& head) {
    const std::string path = folder_ + "/spec.json";
    const std::string json = TRY(read_small_file(path, kMostSpec));
    Sha256 hash;
    hash.add({reinterpret_cast<const uint8_t*>(json.data()), json.size()});
    if (hash.hex() != head.spec_sha256) return bad(path + ": its SHA-256 is not the manifest's");
    spec_ = TRY(VolumeSpec::parse(json, path));
    return {};
  }

  Result<void> check_file(const std::string& file, uint64_t bytes, const std::string& sha) const {
    const std::string path = folder_ + "/" + file;
    const auto there = TRY(look_at(path));
    if (!there) return bad(path + ": is missing, the manifest lists it");
    if (there->size != bytes)
      return bad(fmt::format("{}: has {} bytes, the manifest says {}", path, there->size, bytes));
    if (TRY(sha256_of_file(path, stop_)) != sha)
      return bad(path + ": its SHA-256 is not the manifest's: the file was changed or damaged");
    return {};
  }

  static std::string csv_of(const std::string& arrow) {
    return arrow.substr(0, arrow.rfind('.')) + ".csv";
  }

  Result<void> check_shard(const ManifestShard& shard, const std::stop_token& stop) {
    if (shard.file.starts_with('/') || shard.file.find("..") != std::string::npos)
      return bad(fmt::format("{}: a shard outside the folder: {}", manifest_path(), shard.file));
    TRY(check_file(shard.file, shard.bytes, shard.sha256));
    if (shard.has_csv) TRY(check_file(csv_of(shard.file), shard.csv_bytes, shard.csv_sha256));
    ++summary_.shards;
    summary_.rows += shard.rows;
    const std::string path = folder_ + "/" + shard.file;
    if (shard.has_csv == summary_.is_precomputed)
      return bad(fmt::format("{}: its entry is not of {}", path,
                             summary_.is_precomputed ? "a precomputed volume" : "Arrow shards"));
    if (chunks_) {
      const uint64_t chunks = TRY(chunks_->check(shard.file, stop));
      if (chunks == shard.rows) return {};
      return bad(
          fmt::format("{}: names {} chunks, the manifest says {}", path, chunks, shard.rows));
    }
    const auto found = TRY(shards_->check(path, volume_of(shard.file), stop));
    if (found.rows == shard.rows && found.batches == shard.batches) return {};
    return bad(fmt::format("{}: has {} rows in {} batches, the manifest says {} in {}", path,
                           found.rows, found.batches, shard.rows, shard.batches));
  }

  // The grid of a shard's scale; none when the spec does not say.
  const ShardCheck::Volume* volume_of(const std::string& file) {
    const auto scale = scale_of(file.substr(0, file.find('/')));
    if (!scale || *scale >= spec_.scales.size() || !spec_.scales[*scale].sharding) return nullptr;
    if (volume_scale_ != scale) {
      const auto grid = Grid::of(spec_.scales[*scale], *scale);
      if (!grid) return nullptr;
      volume_ = {*grid, Cells(*grid, *spec_.scales[*scale].sharding), spec_.scales[*scale]};
      volume_scale_ = scale;
    }
    return &volume_;
  }

  // ---- what stands there

  // A sum over names, the same in any order.
  struct NameSum {
    uint64_t low = 0, high = 0, count = 0;
    void add(std::string_view name) {
      const XXH128_hash_t hash = XXH3_128bits(name.data(), name.size());
      low += hash.low64;
      high += hash.high64;
      ++count;
    }
    bool operator==(const NameSum&) const = default;
  };

  static bool is_own_name(std::string_view name) {
    return std::find(std::begin(kOwnNames), std::end(kOwnNames), name) != std::end(kOwnNames);
  }

  // Calls `take(name)` for each file that is named like a shard or a chunk; counts those that are no export's.
  template <class Take>
  Result<void> walk(const std::stop_token& stop, Take&& take) {
    summary_.strangers = 0;
    return for_each_file_below(folder_,
                               [&](const std::string& name, const FileInfo&) -> Result<void> {
                                 if (stop.stop_requested())
                                   return fail(Code::kCancelled, "stopped while verifying");
                                 const bool is_below = name.find('/') != std::string::npos;
                                 if (is_below && is_result_name(name_of(name))) return take(name);
                                 if ((is_below || !is_own_name(name)) && summary_.strangers++ == 0)
                                   summary_.stranger = name;
                                 return {};
                               });
  }

  // Files named like shards that the manifest does not list: of another run. All that it lists are there.
  Result<void> check_strangers(const NameSum& listed, const std::stop_token& stop) {
    NameSum found;
    TRY(walk(stop, [&](const std::string& name) -> Result<void> {
      found.add(name);
      return {};
    }));
    if (found == listed) return {};
    std::vector<std::string> names;  // at most kAtOnce
    TRY(walk(stop, [&](const std::string& name) -> Result<void> {
      names.push_back(name);
      return names.size() < kAtOnce ? Result<void>() : name_strangers(names);
    }));
    TRY(name_strangers(names));
    return bad(folder_ + ": was changed while it was verified");
  }
  Result<void> name_strangers(std::vector<std::string>& names) const {
    std::sort(names.begin(), names.end());
    std::vector<bool> is_listed(names.size());
    const auto mark = [&](const std::string& name) {
      const auto at = std::lower_bound(names.begin(), names.end(), name);
      if (at != names.end() && *at == name)
        is_listed[static_cast<size_t>(at - names.begin())] = true;
    };
    TRY(read_manifest(manifest_path(), [&](const ManifestShard& shard) -> Result<void> {
      mark(shard.file);
      if (shard.has_csv) mark(csv_of(shard.file));
      return {};
    }));
    const auto stranger = std::find(is_listed.begin(), is_listed.end(), false);
    if (stranger != is_listed.end())
      return bad(fmt::format("{}/{}: the manifest does not list it", folder_,
                             names[static_cast<size_t>(stranger - is_listed.begin())]));
    names.clear();
    return {};
  }

  // ---- without a manifest

  Result<void> check_what_is_there(const std::stop_token& stop) {
    if (TRY(exists(folder_ + "/info"))) return check_volume(stop);
    shards_ = TRY(shard_check({.any_order = true}, stop));
    TRY(for_each_file_below(folder_, [&](const std::string& name, const FileInfo&) -> Result<void> {
      if (!name.ends_with(".arrow")) return {};
      summary_.rows += TRY(shards_->check(folder_ + "/" + name, nullptr, stop)).rows;
      ++summary_.shards;
      return {};
    }));
    if (summary_.shards == 0)
      return bad(folder_ + ": has neither a manifest.json nor an info nor Arrow shards (.arrow)");
    summary_.checked_mapping = mapping_ != nullptr;
    return {};
  }

  // A precomputed volume: what its scales' folders hold.
  Result<void> check_volume(const std::stop_token& stop) {
    summary_.is_precomputed = true;
    if (mapping_) return fail(Code::kUsage, "--mapping: only Arrow shards keep the supervoxels");
    chunks_.emplace(folder_, TRY(read_precomputed_info(folder_, stop)), check_account_);
    return walk(stop, [&](const std::string& name) -> Result<void> {
      if (!chunks_->is_of_volume(name)) {
        if (summary_.strangers++ == 0) summary_.stranger = name;
        return {};
      }
      summary_.rows += TRY(chunks_->check(name, stop));
      ++summary_.shards;
      return {};
    });
  }

  const VerifyOptions& options_;
  const std::string& folder_;
  std::unique_ptr<Budget> budget_;
  Account check_account_;
  std::unique_ptr<Mapping> mapping_;
  std::stop_token stop_;
  VolumeSpec spec_;
  ShardCheck::Volume volume_;
  std::optional<unsigned> volume_scale_;
  std::unique_ptr<ShardCheck> shards_;  // of Arrow
  std::optional<ChunkCheck> chunks_;    // of precomputed
  VerifySummary summary_;
};

}  // namespace

Result<VerifySummary> verify(const VerifyOptions& options, std::stop_token stop) {
  return Verifier(options).run(std::move(stop));
}

}  // namespace spillway::exporter

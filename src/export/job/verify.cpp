#include "export/job/verify.hpp"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "core/disk/durable_file.hpp"
#include "core/disk/scratch.hpp"
#include "core/memory/pages.hpp"
#include "export/job/manifest.hpp"
#include "export/job/old_results.hpp"
#include "export/shard/shard_check.hpp"
#include "export/source/chunk_reader.hpp"
#include "export/source/precomputed_source.hpp"
#include "export/spec/byte_source.hpp"
#include "export/spec/sha256.hpp"

namespace spillway::exporter {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMostSpec = uint64_t{16} << 20;

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
    std::error_code error;
    if (!fs::is_directory(folder_, error))
      return fail(Code::kNotFound, folder_ + ": no such folder");
    if (fs::exists(folder_ + "/.spillway", error))
      return bad(folder_ + ": its run is not finished; run the same command again first");
    TRY(prepare(stop));
    TRY(fs::exists(folder_ + "/manifest.json", error) ? check_all(stop)
                                                      : check_what_is_there(stop));
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

  Result<std::unique_ptr<ShardCheck>> shard_check(bool empty_is_wrong,
                                                  const std::stop_token& stop) {
    return ShardCheck::create(
        {.mapping = mapping_.get(), .empty_is_wrong = empty_is_wrong, .account = check_account_},
        stop);
  }

  // ---- with a manifest

  Result<void> check_all(const std::stop_token& stop) {
    const std::string path = folder_ + "/manifest.json";
    const Manifest head = TRY(read_manifest(path, {}));
    const uint64_t out = head.written + head.empty + head.rejected + head.duplicates;
    if (head.blocks_in != out)
      return bad(fmt::format("{}: its totals do not balance: {} blocks in, {} accounted for", path,
                             head.blocks_in, out));
    TRY(check_mapping(head, stop));
    TRY(check_rejects(head));
    if (head.to == "arrow") TRY(read_volume(head));
    auto check = TRY(shard_check(!head.keep_empty, stop));
    TRY(read_manifest(path, [&](const ManifestShard& shard) -> Result<void> {
      if (stop.stop_requested()) return fail(Code::kCancelled, "stopped while verifying");
      return check_shard(shard, *check, stop);
    }));
    if (summary_.shards != head.shards || summary_.rows != head.written)
      return bad(fmt::format("{}: its totals say {} rows in {} shards, its shards {} in {}", path,
                             head.written, head.shards, summary_.rows, summary_.shards));
    summary_.has_manifest = true;
    TRY(check_strangers());
    return summary_.is_precomputed ? check_chunks(head, stop) : Result<void>();
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

  Result<void> check_rejects(const Manifest& head) const {
    const std::string path = folder_ + "/rejects.csv";
    std::error_code error;
    uint64_t lines = 0;
    if (fs::exists(path, error)) {
      auto source = TRY(ByteSource::open(path, ByteSource::Gzip::kNever));
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
    std::error_code error;
    if (!fs::exists(path, error)) return bad(path + ": is missing");
    const std::string json = TRY(read_small_file(path, kMostSpec));
    Sha256 hash;
    hash.add({reinterpret_cast<const uint8_t*>(json.data()), json.size()});
    if (hash.hex() != head.spec_sha256) return bad(path + ": its SHA-256 is not the manifest's");
    spec_ = TRY(VolumeSpec::parse(json, path));
    return {};
  }

  Result<void> check_file(const std::string& file, uint64_t bytes, const std::string& sha) const {
    const std::string path = folder_ + "/" + file;
    std::error_code error;
    const uint64_t size = fs::file_size(path, error);
    if (error) return bad(path + ": is missing, the manifest lists it");
    if (size != bytes)
      return bad(fmt::format("{}: has {} bytes, the manifest says {}", path, size, bytes));
    if (TRY(sha256_of_file(path)) != sha)
      return bad(path + ": its SHA-256 is not the manifest's: the file was changed or damaged");
    return {};
  }

  Result<void> check_shard(const ManifestShard& shard, ShardCheck& check,
                           const std::stop_token& stop) {
    if (shard.file.starts_with('/') || shard.file.find("..") != std::string::npos)
      return bad(
          fmt::format("{}/manifest.json: a shard outside the folder: {}", folder_, shard.file));
    TRY(check_file(shard.file, shard.bytes, shard.sha256));
    if (shard.has_csv) {
      const std::string csv = shard.file.substr(0, shard.file.rfind('.')) + ".csv";
      TRY(check_file(csv, shard.csv_bytes, shard.csv_sha256));
      const auto found = TRY(check.check(folder_ + "/" + shard.file, volume_of(shard.file), stop));
      if (found.rows != shard.rows || found.batches != shard.batches)
        return bad(fmt::format("{}/{}: has {} rows in {} batches, the manifest says {} in {}",
                               folder_, shard.file, found.rows, found.batches, shard.rows,
                               shard.batches));
    }
    known_.push_back(name_hash(shard.file));
    ++summary_.shards;
    summary_.rows += shard.rows;
    return {};
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

  static uint64_t name_hash(std::string_view file) { return XXH3_64bits(file.data(), file.size()); }

  // Files named like shards that the manifest does not list: of another run.
  Result<void> check_strangers() {
    std::sort(known_.begin(), known_.end());
    std::error_code error;
    auto at = fs::recursive_directory_iterator(folder_, error);
    for (; !error && at != fs::recursive_directory_iterator(); at.increment(error)) {
      if (at.depth() == 0 || !at->is_regular_file(error) ||
          !is_result_name(at->path().filename().string()))
        continue;
      std::string file = at->path().lexically_relative(folder_).string();
      if (file.ends_with(".csv")) file = file.substr(0, file.size() - 4) + ".arrow";
      if (!std::binary_search(known_.begin(), known_.end(), name_hash(file)))
        return bad(at->path().string() + ": the manifest does not list it");
    }
    if (error) return fail(Code::kIo, fmt::format("listing {}: {}", folder_, error.message()));
    return {};
  }

  // What the indexes of all shards name, or all files of chunks.
  Result<void> check_chunks(const Manifest& head, const std::stop_token& stop) {
    const VolumeSpec volume = TRY(read_precomputed_info(folder_, stop));
    uint64_t chunks = 0;
    for (const Scale& scale : volume.scales) {
      const ChunkFormat format = ChunkFormat::of(volume, scale);
      const size_t most = size_t{scale.chunk[0]} * scale.chunk[1] * scale.chunk[2];
      auto room = check_account_.try_acquire(ChunkReader::room(volume, scale));
      auto voxels = check_account_.try_acquire(Bytes(most * 8));
      if (!room || !voxels)
        return fail(
            Code::kMemoryLimit,
            fmt::format("{}/{}: opening its chunks needs {} more than --memory {} leaves", folder_,
                        scale.key, to_string(ChunkReader::room(volume, scale) + Bytes(most * 8)),
                        to_string(options_.job.memory)));
      const Pages pages = TRY(Pages::map(std::move(*voxels)));
      const auto reader =
          TRY(ChunkReader::open(TRY(VolumeStore::open(folder_)), volume, scale, std::move(*room)));
      while (const auto chunk = TRY(reader->next(stop))) {
        const auto done = decode_chunk(format, chunk->bytes, chunk->extent, scale.chunk,
                                       pages.as<uint64_t>().first(most));
        if (!done)
          return bad(fmt::format("{}/{}: chunk {},{},{}: {}", folder_, scale.key, chunk->at[0],
                                 chunk->at[1], chunk->at[2], done.error().message()));
        ++chunks;
      }
    }
    if (chunks == head.written) return {};
    return bad(fmt::format("{}: its shards name {} chunks, the manifest says {}", folder_, chunks,
                           head.written));
  }

  // ---- without one

  Result<void> check_what_is_there(const std::stop_token& stop) {
    std::vector<std::string> files;
    std::error_code error;
    auto at = fs::recursive_directory_iterator(folder_, error);
    for (; !error && at != fs::recursive_directory_iterator(); at.increment(error)) {
      if (at->path().extension() == ".arrow" && at->is_regular_file(error))
        files.push_back(at->path().string());
    }
    if (error) return fail(Code::kIo, fmt::format("listing {}: {}", folder_, error.message()));
    if (files.empty())
      return bad(folder_ + ": has neither a manifest.json nor Arrow shards (.arrow)");
    std::sort(files.begin(), files.end());
    auto check = TRY(shard_check(false, stop));
    for (const std::string& file : files) {
      summary_.rows += TRY(check->check(file, nullptr, stop)).rows;
      ++summary_.shards;
    }
    summary_.checked_mapping = mapping_ != nullptr;
    return {};
  }

  const VerifyOptions& options_;
  const std::string& folder_;
  std::unique_ptr<Budget> budget_;
  Account check_account_;
  std::unique_ptr<Mapping> mapping_;
  VolumeSpec spec_;
  ShardCheck::Volume volume_;
  std::optional<unsigned> volume_scale_;
  std::vector<uint64_t> known_;  // 8 bytes a shard
  VerifySummary summary_;
};

}  // namespace

Result<VerifySummary> verify(const VerifyOptions& options, std::stop_token stop) {
  return Verifier(options).run(std::move(stop));
}

}  // namespace spillway::exporter

#include "export/verify.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/durable_file.hpp"
#include "core/file_io.hpp"
#include "export/arrow_source.hpp"
#include "export/byte_source.hpp"
#include "export/memory_plan.hpp"
#include "export/source.hpp"

namespace spillway::exporter {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

// The lines of one CSV, with what each must agree with.
class CsvIndex {
 public:
  static Result<CsvIndex> open(const std::string& path, uint64_t arrow_size) {
    CsvIndex index;
    index.path_ = path;
    index.arrow_size_ = arrow_size;
    index.source_ = TRY(ByteSource::open(path, ByteSource::Gzip::kNever));
    const std::string first = TRY(index.line());
    if (!first.starts_with("# schema_size=")) return index.bad("no schema_size");
    const auto [end, error] =
        std::from_chars(first.data() + 14, first.data() + first.size(), index.next_offset_);
    if (error != std::errc() || end != first.data() + first.size())
      return index.bad("no schema_size");
    if (TRY(index.line()) != "x,y,z,offset,size,batch_idx") return index.bad("another header");
    return index;
  }

  // The next line must be of this row.
  Result<void> expect(BlockAt at) {
    const std::string text = TRY(line());
    std::array<int64_t, 6> v{};
    const char *from = text.data(), *const end = text.data() + text.size();
    for (size_t i = 0; i < v.size(); ++i) {
      const auto [next, error] = std::from_chars(from, end, v[i]);
      if (error != std::errc() || (i < 5 ? next == end || *next != ',' : next != end))
        return bad("six numbers are wanted");
      from = next + 1;
    }
    if (v[0] != at[0] || v[1] != at[1] || v[2] != at[2])
      return bad(fmt::format("{},{},{} where the Arrow file has {},{},{}", v[0], v[1], v[2], at[0],
                             at[1], at[2]));
    const auto offset = static_cast<uint64_t>(v[3]), size = static_cast<uint64_t>(v[4]);
    if (v[5] == 0) {
      if (offset != next_offset_ || v[4] <= 0 || size > arrow_size_ - offset)
        return bad(fmt::format("offset {}, must be {}", v[3], next_offset_));
      batch_ = offset;
      next_offset_ = offset + size;
    } else if (offset != batch_ || next_offset_ != offset + size || v[5] != last_index_ + 1) {
      return bad("does not go on with its batch");
    }
    last_index_ = v[5];
    return {};
  }
  Result<void> expect_end() {
    if (!TRY(line()).empty()) return bad("more rows than the Arrow file");
    if (next_offset_ + 8 != arrow_size_) return bad("the batches do not end where the file does");
    return {};
  }

 private:
  Result<std::string> line() {  // empty at the end
    ++line_;
    while (true) {
      const auto end =
          std::find(buffer_.begin() + static_cast<ptrdiff_t>(at_), buffer_.end(), '\n');
      if (end != buffer_.end()) {
        std::string text(buffer_.begin() + static_cast<ptrdiff_t>(at_), end);
        at_ = static_cast<size_t>(end - buffer_.begin()) + 1;
        return text;
      }
      buffer_.erase(0, at_);
      at_ = 0;
      if (buffer_.size() > 4096) return bad("a line of more than 4 KiB");
      const size_t have = buffer_.size();
      buffer_.resize(have + 65536);
      const size_t got =
          TRY(source_->read({reinterpret_cast<uint8_t*>(buffer_.data()) + have, 65536}));
      buffer_.resize(have + got);
      if (got == 0) {
        if (have > 0) return bad("its last line has no end");
        return std::string();
      }
    }
  }
  tl::unexpected<Error> bad(const std::string& what) const {
    return fail(Code::kInvalid, fmt::format("{}: line {}: {}", path_, line_, what));
  }
  std::string path_;
  std::unique_ptr<ByteSource> source_;
  std::string buffer_;
  size_t at_ = 0;
  uint64_t line_ = 0, arrow_size_ = 0, next_offset_ = 0, batch_ = 0;
  int64_t last_index_ = -1;
};

class Verifier {
 public:
  Verifier() : context_(ZSTD_createDCtx()), block_(kMaxBlockBytes) { CHECK(context_ != nullptr); }
  ~Verifier() { ZSTD_freeDCtx(context_); }
  Verifier(const Verifier&) = delete;
  Verifier& operator=(const Verifier&) = delete;

  Result<void> check(const BlockUnit& unit, const BlockUnit::Item& item) {
    const auto bytes = unit.of(item);
    const auto table = bytes.first(8 * size_t{item.labels});
    const auto frame = bytes.subspan(table.size());
    const auto bad = [](std::string what) { return fail(Code::kInvalid, std::move(what)); };
    const unsigned long long size = ZSTD_getFrameContentSize(frame.data(), frame.size());
    if (size != item.block_size || size > block_.size())
      return bad(fmt::format("uncompressed_size {} is not the frame's {}", item.block_size, size));
    if (frame.size() < 5 || (frame[4] & 4) == 0) return bad("its zstd frame has no checksum");
    if (ZSTD_findFrameCompressedSize(frame.data(), frame.size()) != frame.size())
      return bad("it is not one zstd frame");
    const size_t made =
        ZSTD_decompressDCtx(context_, block_.data(), block_.size(), frame.data(), frame.size());
    if (ZSTD_isError(made)) return bad(fmt::format("zstd: {}", ZSTD_getErrorName(made)));
    const LabelBlock block = TRY(LabelBlock::parse(std::span(block_).first(made)));
    if (!block.is_64_cubed()) return bad("its sub-block counts are not 8,8,8");
    if (block.label_count() != item.labels ||
        std::memcmp(block.label_bytes(), table.data(), table.size()) != 0)
      return bad("supervoxels is not its label table");
    return {};
  }

 private:
  ZSTD_DCtx* context_;
  std::vector<uint8_t> block_;
};

Result<void> verify_folder(const std::string& folder, VerifySummary& summary,
                           const std::stop_token& stop) {
  std::vector<std::string> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == ".arrow") files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  Verifier verifier;
  for (const std::string& file : files) {
    const auto budget = Budget::create(64_MiB);
    const Account account = TRY(budget->open({"read", 1, arrow_source_floor(), std::nullopt}));
    auto source = TRY(open_arrow_file(file, account));
    CsvIndex index =
        TRY(CsvIndex::open(file.substr(0, file.size() - 6) + ".csv", fs::file_size(file)));
    while (auto unit = TRY(source->next(stop))) {
      if (stop.stop_requested()) return fail(Code::kCancelled, "stopped while verifying");
      for (const auto& item : unit->items) {
        TRY(index.expect(item.at));
        auto checked = verifier.check(*unit, item);
        if (!checked)
          return fail(std::move(checked).error().with(
              fmt::format("{}: block {},{},{}", file, item.at[0], item.at[1], item.at[2])));
        ++summary.rows;
      }
    }
    TRY(index.expect_end());
    ++summary.shards;
  }
  return {};
}

}  // namespace

Result<VerifySummary> verify(const std::string& folder, std::stop_token stop) {
  VerifySummary summary;
  std::error_code error;
  if (!fs::is_directory(folder, error)) return fail(Code::kNotFound, folder + ": no such folder");
  std::vector<std::string> folders;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (entry.is_directory(error) && name.size() > 1 && name[0] == 's')
      folders.push_back(entry.path());
  }
  std::sort(folders.begin(), folders.end());
  if (folders.empty())
    return fail(Code::kInvalid, folder + ": has no folders s<S> of Arrow shards");
  for (const std::string& inner : folders) TRY(verify_folder(inner, summary, stop));
  if (fs::exists(folder + "/manifest.json", error)) {
    const Json json = Json::parse(
        TRY(read_small_file(folder + "/manifest.json", uint64_t{1} << 30)), nullptr, false);
    if (!json.is_object() || !json.contains("totals"))
      return fail(Code::kInvalid, folder + "/manifest.json: cannot be read");
    const auto written = json["totals"].value("written", uint64_t{0});
    if (written != summary.rows)
      return fail(Code::kInvalid, fmt::format("{}: the manifest has {} rows, the shards {}", folder,
                                              written, summary.rows));
  }
  return summary;
}

Result<std::string> plan(const ExportOptions& options, std::stop_token stop) {
  const VolumeSpec spec =
      TRY(VolumeSpec::parse(TRY(read_small_file(options.spec, uint64_t{16} << 20)), options.spec));
  if (options.scale >= spec.scales.size())
    return fail(Code::kUsage, fmt::format("--scale {}: {} has {} scales, from 0", options.scale,
                                          options.spec, spec.scales.size()));
  const Scale& scale = spec.scales[options.scale];
  const Grid grid = TRY(Grid::of(scale, options.scale));
  if (!scale.sharding) return fail(Code::kUsage, options.spec + ": the scale has no \"sharding\"");
  const Cells cells(grid, *scale.sharding);
  const SourceKind kind = TRY(source_kind(options));
  std::string text;
  text += fmt::format("volume    {} x {} x {} voxels, {} x {} x {} blocks\n", scale.size[0],
                      scale.size[1], scale.size[2], grid.blocks()[0], grid.blocks()[1],
                      grid.blocks()[2]);
  text += fmt::format("cells     {} of {} x {} x {} blocks\n", grouped(cells.count()),
                      cells.shape()[0], cells.shape()[1], cells.shape()[2]);
  if (kind == SourceKind::kBlockStream && options.source != "-") {
    const int fd = ::open(options.source.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return fail_errno("opening " + options.source);
    struct stat info {};
    const bool known = ::fstat(fd, &info) == 0;
    const uint64_t size = known ? static_cast<uint64_t>(info.st_size) : 0;
    constexpr uint64_t kMostCells = uint64_t{1} << 26;  // 8 MiB of bits
    std::vector<bool> met(std::min(cells.count(), kMostCells));
    uint64_t rows = 0, outside = 0, shards = 0, at = 0;
    bool in_order = true;
    std::array<int64_t, 3> last{INT64_MIN, 0, 0};
    Result<void> read;
    while (at + 16 <= size && !stop.stop_requested()) {
      int32_t head[4];
      read = read_fully_at(fd, at, {reinterpret_cast<uint8_t*>(head), 16}, options.source);
      if (!read || head[3] < 0) break;
      at += 16 + static_cast<uint64_t>(head[3]);
      ++rows;
      const std::array<int64_t, 3> zyx{head[2], head[1], head[0]};
      in_order &= last <= zyx;
      last = zyx;
      const auto g = grid.place({head[0], head[1], head[2]});
      if (!g) {
        ++outside;
        continue;
      }
      const uint64_t cell = cells.of(*g);
      if (cell < met.size() && !met[cell]) {
        met[cell] = true;
        ++shards;
      }
    }
    ::close(fd);
    if (!read) return fail(std::move(read).error());
    if (at != size)
      text += fmt::format("stream    ends at byte {}, its last record wants {}\n", size, at);
    text += fmt::format(
        "shards    {}\nrows      {}{}\nbytes     {} in\norder     {}\n", grouped(shards),
        grouped(rows), outside > 0 ? fmt::format(" ({} outside the volume)", grouped(outside)) : "",
        to_string(Bytes(size)), in_order ? "ZYX" : "any");
  }
  return text + TRY(explain_memory(options));
}

Result<std::string> make_spec(const SpecOptions& options) {
  const VoxelLayout layout =
      options.layout ? *options.layout : TRY(read_voxel_layout(options.source));
  std::array<int64_t, 3> offset = options.voxel_offset;
  std::array<double, 3> resolution =
      options.resolution.value_or(layout.resolution.value_or(std::array<double, 3>{1, 1, 1}));
  std::array<int64_t, 3> size = layout.size;
  Json info;
  info["@type"] = "neuroglancer_multiscale_volume";
  info["type"] = "segmentation";
  info["data_type"] = "uint64";
  info["num_channels"] = 1;
  info["scales"] = Json::array();
  for (unsigned s = 0; s < options.scales; ++s) {
    unsigned bits = 0;
    for (const int64_t side : size) {
      const auto blocks = static_cast<uint64_t>((side + 63) / 64);
      bits += blocks <= 1 ? 0 : static_cast<unsigned>(std::bit_width(blocks - 1));
    }
    // A block takes about 4 KiB in a shard.
    const uint64_t chunks = std::max<uint64_t>(options.target_shard.count() / 4096, 1);
    const unsigned in_shard = std::min(bits, static_cast<unsigned>(std::bit_width(chunks)) - 1);
    const unsigned minishard = std::min(6u, in_shard / 3), preshift = in_shard - minishard;
    Json scale;
    scale["key"] = fmt::format("{}_{}_{}", resolution[0], resolution[1], resolution[2]);
    scale["size"] = size;
    scale["resolution"] = resolution;
    scale["voxel_offset"] = offset;
    scale["chunk_sizes"] = {{64, 64, 64}};
    scale["encoding"] = "compressed_segmentation";
    scale["compressed_segmentation_block_size"] = {8, 8, 8};
    scale["sharding"] = {{"@type", "neuroglancer_uint64_sharded_v1"},
                         {"hash", "identity"},
                         {"preshift_bits", preshift},
                         {"minishard_bits", minishard},
                         {"shard_bits", bits - in_shard},
                         {"minishard_index_encoding", "gzip"},
                         {"data_encoding", "gzip"}};
    info["scales"].push_back(scale);
    for (size_t d = 0; d < 3; ++d) {
      size[d] = (size[d] + 1) / 2;
      offset[d] /= 2;
      resolution[d] *= 2;
    }
  }
  return info.dump(2) + "\n";
}

}  // namespace spillway::exporter

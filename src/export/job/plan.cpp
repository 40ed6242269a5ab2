#include "export/job/plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "core/file/file.hpp"
#include "core/file/folders.hpp"
#include "core/file/source.hpp"
#include "export/job/checks.hpp"
#include "export/job/earlier_run.hpp"
#include "export/job/source.hpp"
#include "export/source/downscale.hpp"
#include "export/source/precomputed_source.hpp"
#include "export/spec/input_stream.hpp"
#include "net/address.hpp"

namespace spillway::exporter {
namespace {

constexpr uint64_t kMostCells = uint64_t{1} << 26;  // 8 MiB of bits

struct Found {
  std::optional<uint64_t> shards, rows;  // else as many as there can be
  uint64_t outside = 0, bytes = 0;
  bool in_order = false;
  std::string note;
};

// Names the shards of a scale and their number.
struct Layout {
  std::string text;
  uint64_t shards = 0, blocks = 0;
};

Layout layout_of(const Scale& scale, const Grid& grid) {
  Layout layout;
  const auto& blocks = grid.blocks();
  layout.blocks = uint64_t{blocks[0]} * blocks[1] * blocks[2];
  if (scale.sharding && scale.sharding->hash == ShardHash::kIdentity) {
    const Cells cells(grid, *scale.sharding);
    layout.shards = cells.count();
    layout.text = fmt::format("{} of {} x {} x {} blocks", grouped(cells.count()), cells.shape()[0],
                              cells.shape()[1], cells.shape()[2]);
  } else if (scale.sharding) {
    layout.shards = uint64_t{1} << std::min(scale.sharding->shard_bits, 62u);
    layout.text = fmt::format("{} shards by hash", grouped(layout.shards));
  } else {
    layout.shards = layout.blocks;
    layout.text = "a file a chunk";
  }
  return layout;
}

Result<Found> count_stream(const std::string& path, const Grid& grid, const Scale& scale,
                           const std::stop_token& stop) {
  Found found;
  uint64_t rows = 0, shards = 0;
  const File file = TRY(File::open(path));
  found.bytes = TRY(file.info()).size;
  const bool has_cells = scale.sharding && scale.sharding->hash == ShardHash::kIdentity;
  const Cells cells = has_cells ? Cells(grid, *scale.sharding) : Cells();
  std::vector<bool> met(has_cells ? std::min(cells.count(), kMostCells) : 0);
  uint64_t at = 0;
  found.in_order = true;
  std::array<int64_t, 3> last{INT64_MIN, 0, 0};
  while (at + 16 <= found.bytes && !stop.stop_requested()) {
    int32_t head[4];
    TRY(file.read_at(at, {reinterpret_cast<uint8_t*>(head), 16}));
    if (head[3] < 0) break;
    at += 16 + static_cast<uint64_t>(head[3]);
    ++rows;
    const std::array<int64_t, 3> zyx{head[2], head[1], head[0]};
    found.in_order &= last <= zyx;
    last = zyx;
    const auto g = grid.place({head[0], head[1], head[2]});
    if (!g) {
      ++found.outside;
      continue;
    }
    const uint64_t cell = has_cells ? cells.of(*g) : 0;
    if (cell < met.size() && !met[cell]) {
      met[cell] = true;
      ++shards;
    }
  }
  if (stop.stop_requested()) return fail(Code::kCancelled, "stopped while counting blocks");
  found.rows = rows;
  if (!met.empty() && cells.count() <= kMostCells) found.shards = shards;
  if (at != found.bytes)
    found.note =
        fmt::format("stream    ends at byte {}, its last record wants {}\n", found.bytes, at);
  return found;
}

// Of Arrow shards: a line of a CSV a row, behind two of the header.
Result<Found> count_shards(const std::string& folder, const std::stop_token& stop) {
  Found found;
  uint64_t rows = 0, shards = 0;
  bool has_all = true;
  std::vector<uint8_t> buffer(size_t{64} << 10);
  TRY(for_each_entry(folder, [&](const std::string& name) -> Result<void> {
    if (stop.stop_requested()) return fail(Code::kCancelled, "stopped while counting rows");
    const std::string path = folder + "/" + name;
    if (name.ends_with(".arrow")) {
      ++shards;
      const auto info = TRY(look_at(path));
      found.bytes += info ? info->size : 0;
      has_all &= TRY(exists(path.substr(0, path.size() - 6) + ".csv"));
    } else if (name.ends_with(".csv")) {
      auto source = TRY(open_input(path, ByteStream::Gzip::kNever));
      uint64_t lines = 0;
      while (const size_t got = TRY(source->read(buffer)))
        lines += static_cast<uint64_t>(
            std::count(buffer.begin(), buffer.begin() + static_cast<ptrdiff_t>(got), '\n'));
      rows += lines - std::min<uint64_t>(lines, 2);
    }
    return {};
  }));
  found.shards = shards;
  if (has_all) found.rows = rows;
  return found;
}

// What run finds when it opens the source and the mapping.
Result<void> check_source(const ExportOptions& options, const Source& source, const Scale& scale) {
  const SourceKind kind = source.kind();
  if (!options.mapping.empty() && options.mapping != "-")
    (void)TRY(open_input(options.mapping, ByteStream::Gzip::kNever));
  if (kind == SourceKind::kPrecomputed && !matching_scale(*source.volume(), scale))
    return fail(Code::kUsage, options.source +
                                  ": has no scale of the size, offset and resolution "
                                  "that the spec's has");
  const bool is_voxels =
      kind == SourceKind::kNpy || kind == SourceKind::kNifti || kind == SourceKind::kRawVoxels;
  if (!is_voxels) return {};
  const VoxelLayout layout = TRY(read_voxel_layout(voxel_options(options, kind)));
  if (layout.size == scale.size) return {};
  return fail(Code::kInvalid,
              fmt::format("{}: has {} x {} x {} voxels, the spec's scale {} x {} x {}",
                          options.source, layout.size[0], layout.size[1], layout.size[2],
                          scale.size[0], scale.size[1], scale.size[2]));
}

}  // namespace

Result<std::string> plan(const ExportOptions& options, const std::stop_token& stop) {
  const VolumeSpec spec = TRY(read_spec(options, stop));
  const Source source = TRY(Source::look(options, stop));
  const Scale& scale = spec.scales[options.scale];
  TRY(check_source(options, source, scale));
  const Grid grid = TRY(Grid::of(scale, options.scale));
  const Layout layout = layout_of(scale, grid);
  std::string text;
  text += fmt::format("volume    {} x {} x {} voxels, {} x {} x {} blocks\n", scale.size[0],
                      scale.size[1], scale.size[2], grid.blocks()[0], grid.blocks()[1],
                      grid.blocks()[2]);
  text += fmt::format("cells     {}\n", layout.text);
  const size_t end = end_scale(options, spec);
  for (size_t s = options.scale + 1; s < end; ++s) {
    const Grid lower = TRY(Grid::of(spec.scales[s], static_cast<uint32_t>(s)));
    const bool has = TRY(source.has_scale(spec, static_cast<uint32_t>(s)));
    text += fmt::format("scale {}   {} x {} x {} blocks, {}; {}\n", s, lower.blocks()[0],
                        lower.blocks()[1], lower.blocks()[2], layout_of(spec.scales[s], lower).text,
                        has ? "the source has it" : "built from the scale before");
    if (!has) TRY(scale_step(spec, s - 1, options.spec));
  }
  Found found;
  std::optional<FileInfo> there;  // here, and not behind a pipe
  if (options.source != "-" && !net::is_http(options.source)) there = TRY(look_at(options.source));
  const bool is_file = there && there->is_file();
  if (source.kind() == SourceKind::kBlockStream && is_file) {
    found = TRY(count_stream(options.source, grid, scale, stop));
  } else if (source.kind() == SourceKind::kArrowShards && !is_file) {
    const std::string inner = fmt::format("{}/s{}", options.source, options.scale);
    found = TRY(count_shards(TRY(is_folder(inner)) ? inner : options.source, stop));
  } else if (is_file) {
    found.bytes = there->size;
  }
  text += found.note;
  text += fmt::format("shards    {}{}\n", found.shards ? "" : "at most ",
                      grouped(found.shards.value_or(layout.shards)));
  text += fmt::format(
      "rows      {}{}{}\n", found.rows ? "" : "at most ",
      grouped(found.rows.value_or(layout.blocks)),
      found.outside > 0 ? fmt::format(" ({} outside the volume)", grouped(found.outside)) : "");
  if (found.bytes > 0) text += fmt::format("bytes     {} in\n", to_string(Bytes(found.bytes)));
  if (source.kind() == SourceKind::kBlockStream && is_file)
    text += fmt::format("order     {}\n", found.in_order ? "ZYX" : "any");
  const bool copies = source.kind() == SourceKind::kArrowShards && !options.all_scales &&
                      options.duplicates == Duplicates::kError;
  text += copies ? "strategy  each shard is read and written once, its frames as they are; sorted "
                   "only where a row is not in the cell of its file's name\n"
                 : "strategy  rows are sorted by shard and place, in memory and then on scratch; "
                   "one shard is written at a time\n";
  return text + TRY(explain_memory(options));
}

}  // namespace spillway::exporter

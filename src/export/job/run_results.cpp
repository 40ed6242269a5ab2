#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <tuple>

#include "export/job/neuroglancer_link.hpp"
#include "export/job/run_job.hpp"

namespace spillway::exporter {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

std::string page_of(const NeuroglancerLink& link) {
  std::string url, serve;
  for (const auto& [from, to] : {std::pair(&link.url, &url), std::pair(&link.serve, &serve)}) {
    for (const char c : *from)
      *to += c == '<' ? "&lt;" : c == '&' ? "&amp;" : c == '"' ? "&quot;" : std::string(1, c);
  }
  return fmt::format(
      "<p>Serve the folder, with byte ranges and for other origins: <code "
      "style=\"display:block;overflow-x:auto;white-space:"
      "nowrap;padding:.3rem 0\">{}</code>then open "
      "<a "
      "href=\"{}\">this volume in neuroglancer</a>.</p>",
      serve, url);
}

}  // namespace

uint64_t ExportJob::blocks_in() const { return counts_.rewritten + blocks_before_; }

// The volume's own info: the given one, without our keys, with what the chunks are.
Result<void> ExportJob::write_info() {
  Json info = Json::parse(spec_.json);
  info.erase("batch_size");
  info.erase("num_scales");
  if (!info.contains("@type")) info["@type"] = "neuroglancer_multiscale_volume";
  info["type"] = "segmentation";
  info["data_type"] = "uint64";
  info["num_channels"] = 1;
  for (Json& scale : info["scales"]) {
    scale["encoding"] = "compressed_segmentation";
    scale["compressed_segmentation_block_size"] = {8, 8, 8};
    if (scale.contains("sharding") && scale["sharding"].is_null()) scale.erase("sharding");
  }
  Json kept = Json::array();  // only the scales that are written
  for (uint32_t s = first_scale_; s < end_scale_; ++s) kept.push_back(info["scales"][s]);
  info["scales"] = kept;
  return write_durably(options_.out + "/info", info.dump(2) + "\n");
}

Manifest ExportJob::manifest() const {
  Manifest manifest;
  manifest.options = config_;
  manifest.glance = glance_;
  manifest.content = content_.hex();
  manifest.blocks_in = blocks_in();
  manifest.written = counts_.written;
  manifest.empty = counts_.empty;
  manifest.rejected = counts_.rejected;
  manifest.duplicates = counts_.duplicates;
  manifest.shards = publisher_->shards();
  if (options_.all_scales) manifest.scales = scales_;
  return manifest;
}

void ExportJob::describe() {
  report_->fact("configuration", config_);
  report_->fact("blocks_in", fmt::format("{}", blocks_in()));
  report_->fact("written", fmt::format("{}", counts_.written.load()));
  report_->fact("empty", fmt::format("{}", counts_.empty.load()));
  report_->fact("rejected", fmt::format("{}", counts_.rejected.load()));
  report_->fact("duplicates", fmt::format("{}", counts_.duplicates.load()));
  report_->fact("shards", fmt::format("{}", publisher_->shards()));
  report_->fact("shards_skipped", fmt::format("{}", publisher_->skipped()));
  report_->fact("bytes_written", fmt::format("{}", publisher_->bytes()));
  report_->fact("threads", fmt::format("{}", memory_.threads));
  report_->fact("mapping_pairs", fmt::format("{}", mapping_->pairs()));
  report_->fact("mapping_in_memory", mapping_->is_in_memory() ? "true" : "false");
  report_->fact("sort_runs", fmt::format("{}", sort_runs_));
  report_->fact("scratch_peak_bytes", fmt::format("{}", space_->peak().count()));
  report_->fact("scratch_written_bytes", fmt::format("{}", space_->written().count()));
  const std::array<std::tuple<const Histogram*, const char*, const char*>, 3> histograms{{
      {&sizes_in_, "Block sizes before compression", "blocks"},
      {&output_figures_.block_sizes,
       options_.to == Target::kArrow ? "Block sizes, zstd" : "Chunk sizes", "blocks"},
      {&output_figures_.rows_a_shard, "Blocks a shard", "shards"},
  }};
  for (const auto& [histogram, title, what] : histograms) {
    if (histogram->count() == 0) continue;
    ReportTable table = histogram->table(title, what);
    table.on_page = false;
    report_->table(std::move(table));
    report_->picture({.title = title, .html = histogram->bars()});
  }
}

// After all else: what the rows and the mapping held is free for it.
Result<void> ExportJob::show_pictures() {
  const Scale& scale = spec_.scales[first_scale_];
  if (options_.to == Target::kPrecomputed) {
    const NeuroglancerLink link = neuroglancer_link(options_.out, scale);
    report_->picture(
        {.title = "Look at it in neuroglancer", .html = page_of(link), .above_tables = true});
  }
  if (pictures_) {
    std::string html = TRY(pictures_->html(scale));
    report_->picture({.title = "The middle of the volume",
                      .html = std::move(html),
                      .above_tables = true});
  }
  return {};
}

Result<ExportSummary> ExportJob::finish() {
  const uint64_t out = counts_.written + counts_.empty + counts_.rejected + counts_.duplicates;
  if (out != blocks_in())
    return fail(Code::kInternal,
                fmt::format("the counts do not balance: {} blocks in, {} written, {} empty, {} "
                            "rejected, {} duplicates",
                            blocks_in(), counts_.written.load(), counts_.empty.load(),
                            counts_.rejected.load(), counts_.duplicates.load()));
  std::error_code error;
  if (rejects_) {
    TRY(std::move(*rejects_).commit());
  } else {
    fs::remove(options_.out + "/rejects.csv", error);
  }
  describe();
  TRY(write_durably(options_.out + "/report.json", report_->json()));
  sort_.reset();
  large_.reset();
  if (wants_page(options_)) TRY(show_pictures());
  if (!options_.job.report.empty()) {
    TRY(write_durably(options_.job.report,
                      wants_page(options_) ? report_->html() : report_->json()));
  }
  if (options_.to == Target::kArrow) TRY(write_durably(options_.out + "/spec.json", spec_.json));
  TRY(write_manifest(options_.out + "/manifest.json", manifest(), spec_,
                     [&](const auto& take) { return publisher_->entries(take); }));
  ExportSummary summary;
  summary.blocks_in = blocks_in();
  summary.written = counts_.written;
  summary.empty = counts_.empty;
  summary.rejected = counts_.rejected;
  summary.duplicates = counts_.duplicates;
  summary.shards = publisher_->shards();
  summary.shards_skipped = publisher_->skipped();
  summary.bytes = publisher_->bytes();
  summary.peak_memory = report_->peak();
  summary.out = options_.out;
  summary.scales = scales_;
  if (options_.to == Target::kPrecomputed)
    summary.link = neuroglancer_link(options_.out, spec_.scales[first_scale_]);
  publisher_.reset();
  TRY(work_.remove());
  return summary;
}

ProgressSnapshot ExportJob::snapshot() {
  ProgressSnapshot now;
  uint64_t here = 0, bytes = 0, bytes_total = 0;  // of the scale in work
  {
    MutexLock lock(source_mutex_);
    if (source_) {
      here = source_->blocks();
      bytes = source_->bytes_read();
      bytes_total = source_->bytes_total();
    }
  }
  const uint64_t in = blocks_in() + here, rewritten = counts_.rewritten,
                 done = rewritten + counts_.merged.load(std::memory_order_relaxed);
  const bool writing = writing_;
  now.phase = writing ? "write" : "read";
  Rates& rates = rates_[writing ? 1 : 0];
  const double blocks = rates.blocks.per_second(writing ? done : in);
  const double per_second = rates.bytes.per_second(
      writing ? output_figures_.bytes.load(std::memory_order_relaxed) : bytes);
  const uint64_t open = output_figures_.shards_open.load(std::memory_order_relaxed);
  const uint64_t closed = output_figures_.shards_done.load(std::memory_order_relaxed);
  now.text = fmt::format(
      "{} blocks in  {} written  {:.0f} blocks/s  {:.1f} MB/s  shards {} open {} done", grouped(in),
      grouped(counts_.written), blocks, per_second / 1e6, open, grouped(closed));
  if (options_.all_scales) now.text = fmt::format("scale {}  {}", scale_, now.text);
  if (writing && rewritten == 0 && in > 0) {
    now.fraction = static_cast<double>(done) / static_cast<double>(in);
  } else if (bytes_total > 0) {
    now.fraction =
        static_cast<double>(bytes + counts_.rewritten_bytes) / static_cast<double>(bytes_total);
  }
  now.spilled = space_->used();
  now.json = fmt::format(
      "\"blocks_in\":{},\"written\":{},\"blocks_per_second\":{:.0f},\"bytes_per_second\":{:.0f},"
      "\"shards_open\":{},\"shards_done\":{}",
      in, counts_.written.load(), blocks, per_second, open, closed);
  return now;
}

}  // namespace spillway::exporter

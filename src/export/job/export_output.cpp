#include "export/job/export_output.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "core/file/folders.hpp"
#include "core/json.hpp"
#include "export/job/neuroglancer_link.hpp"

namespace spillway::exporter {
namespace {

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

Result<void> ExportOutput::open() {
  publisher_.reset();
  publisher_ = TRY(ShardPublisher::open(run_.options.out, run_.work_folder, run_.config,
                                        run_.publish, run_.runtime->space()));
  if (run_.is_arrow() && publisher_->has_noted("content"))
    return fail(Code::kUsage, fmt::format("{}: was begun by an earlier version, which marked what "
                                          "it read in another way; begin anew with --resume never",
                                          run_.options.out));
  return same_input("glance", run_.glance, "its size, its beginning or its end differ");
}

Result<void> ExportOutput::start_over() {
  counts.rewritten = counts.rewritten_bytes = counts.written = counts.empty = 0;
  figures.bytes = figures.shards_open = figures.shards_done = 0;
  TRY(publisher_->retract());
  return open();
}

Result<void> ExportOutput::same_input(const std::string& what, const std::string& value,
                                      const char* how) {
  return publisher_->same_as_before(what, value, other_input(how));
}

std::string ExportOutput::other_input(const char* how) const {
  return fmt::format(
      "{}: is not what the run read that is to be continued in {} ({}); give that again, or begin "
      "anew with --resume never",
      run_.source_name(), run_.options.out, how);
}

Result<void> ExportOutput::write_info() const {
  OrderedJson info = OrderedJson::parse(run_.spec.json);
  info.erase("batch_size");
  info.erase("num_scales");
  if (!info.contains("@type")) info["@type"] = "neuroglancer_multiscale_volume";
  info["type"] = "segmentation";
  info["data_type"] = "uint64";
  info["num_channels"] = 1;
  for (OrderedJson& scale : info["scales"]) {
    scale["encoding"] = "compressed_segmentation";
    scale["compressed_segmentation_block_size"] = {8, 8, 8};
    if (scale.contains("sharding") && scale["sharding"].is_null()) scale.erase("sharding");
  }
  OrderedJson kept = OrderedJson::array();  // only the scales that are written
  for (uint32_t s = run_.first_scale; s < run_.end_scale; ++s) kept.push_back(info["scales"][s]);
  info["scales"] = kept;
  return write_durably(run_.options.out + "/info", info.dump(2) + "\n");
}

Result<void> ExportOutput::write_reject(const RowHead& head, std::span<const uint8_t> reason) {
  if (!rejects_) {
    rejects_ = TRY(create_output(run_.options.out + "/rejects.csv", {.buffer = size_t{64} << 10}));
    TRY(rejects_->append(std::string_view("x,y,z,offset,reason\n")));
  }
  ++counts.rejected;
  std::string text(reinterpret_cast<const char*>(reason.data()), reason.size());
  std::replace(text.begin(), text.end(), ',', ';');
  return rejects_->append(
      fmt::format("{},{},{},{},{}\n", head.at[0], head.at[1], head.at[2], head.offset, text));
}

Manifest ExportOutput::manifest() const {
  Manifest manifest;
  manifest.options = run_.config;
  manifest.glance = run_.glance;
  manifest.content = content.hex();
  manifest.blocks_in = counts.blocks_in();
  manifest.written = counts.written;
  manifest.empty = counts.empty;
  manifest.rejected = counts.rejected;
  manifest.duplicates = counts.duplicates;
  manifest.shards = publisher_->shards();
  manifest.missing = counts.missing;
  if (run_.options.all_scales) manifest.scales = scales_;
  return manifest;
}

void ExportOutput::describe(Report& report) const {
  const auto count = [&](const char* name, uint64_t value) {
    report.fact(name, fmt::format("{}", value));
  };
  if (!run_.config.empty()) report.fact("configuration", run_.config);
  count("blocks_in", counts.blocks_in());
  count("written", counts.written);
  count("empty", counts.empty);
  count("rejected", counts.rejected);
  count("duplicates", counts.duplicates);
  count("missing", counts.missing);
  if (publisher_) {
    count("shards", publisher_->shards());
    count("shards_skipped", publisher_->skipped());
    count("blocks_not_made", counts.not_made);
    count("bytes_written", publisher_->bytes());
  }
  count("threads", run_.plan.threads);
  if (run_.mapping) {
    count("mapping_pairs", run_.mapping->pairs());
    report.fact("mapping_in_memory", run_.mapping->is_in_memory() ? "true" : "false");
  }
  count("sort_runs", sort_runs);
  const std::array<std::tuple<const Histogram*, const char*, const char*>, 3> histograms{{
      {&sizes_in, "Block sizes before compression", "blocks"},
      {&figures.block_sizes, run_.is_arrow() ? "Block sizes, zstd" : "Chunk sizes", "blocks"},
      {&figures.rows_a_shard, "Blocks a shard", "shards"},
  }};
  for (const auto& [histogram, title, what] : histograms) {
    if (histogram->count() == 0) continue;
    ReportTable table = histogram->table(title, what);
    table.on_page = false;
    report.table(std::move(table));
    report.picture({.title = title, .html = histogram->bars()});
  }
}

// After all else: what the rows and the mapping held is free for it.
Result<void> ExportOutput::show_pictures() const {
  const Scale& scale = run_.spec.scales[run_.first_scale];
  Report& report = run_.runtime->report();
  if (!run_.is_arrow()) {
    const NeuroglancerLink link = neuroglancer_link(run_.options.out, scale);
    report.picture(
        {.title = "Look at it in neuroglancer", .html = page_of(link), .above_tables = true});
  }
  if (!run_.pictures) return {};
  std::string html = TRY(run_.pictures->html(scale));
  report.picture(
      {.title = "The middle of the volume", .html = std::move(html), .above_tables = true});
  return {};
}

Result<void> ExportOutput::check_balance() const {
  const uint64_t out = counts.written + counts.empty + counts.rejected + counts.duplicates;
  if (out == counts.blocks_in()) return {};
  return fail(Code::kInternal,
              fmt::format("the counts do not balance: {} blocks in, {} written, {} empty, {} "
                          "rejected, {} duplicates",
                          counts.blocks_in(), counts.written.load(), counts.empty.load(),
                          counts.rejected.load(), counts.duplicates.load()));
}

Result<void> ExportOutput::keep_rejects() {
  if (rejects_) {
    TRY(std::move(*rejects_).commit());
    rejects_.reset();
    return {};
  }
  TRY(remove_file(run_.options.out + "/rejects.csv"));  // of an earlier run
  return {};
}

Result<void> ExportOutput::finish() {
  TRY(check_balance());
  TRY(keep_rejects());
  const std::string& out = run_.options.out;
  if (run_.wants_page()) TRY(show_pictures());
  TRY(run_.runtime->finish_report());
  if (run_.is_arrow()) TRY(write_durably(out + "/spec.json", run_.spec.json));
  return write_manifest(out + "/manifest.json", manifest(), run_.spec,
                        [&](const auto& take) { return publisher_->entries(take); });
}

ExportSummary ExportOutput::summary() const {
  ExportSummary summary;
  summary.blocks_in = counts.blocks_in();
  summary.written = counts.written;
  summary.empty = counts.empty;
  summary.rejected = counts.rejected;
  summary.duplicates = counts.duplicates;
  summary.shards = publisher_->shards();
  summary.missing = counts.missing;
  summary.shards_skipped = publisher_->skipped();
  summary.bytes = publisher_->bytes();
  summary.peak_memory = run_.runtime->report().peak();
  summary.out = run_.options.out;
  summary.scales = scales_;
  if (!run_.is_arrow())
    summary.link = neuroglancer_link(run_.options.out, run_.spec.scales[run_.first_scale]);
  return summary;
}

}  // namespace spillway::exporter

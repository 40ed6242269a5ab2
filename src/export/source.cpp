#include "export/source.hpp"

#include <fmt/format.h>

#include <filesystem>

namespace spillway::exporter {

Result<SourceKind> source_kind(const ExportOptions& options) {
  std::error_code error;
  if (options.source != "-" && std::filesystem::is_directory(options.source, error))
    return fail(Code::kUsage, options.source + ": is a folder");
  return SourceKind::kBlockStream;
}

bool source_needs_encoder(const ExportOptions& options, SourceKind kind) {
  if (kind == SourceKind::kBlockStream) return options.payload != Payload::kByContent;
  return kind != SourceKind::kArrowShards;
}

Bytes source_floor(const ExportOptions&, SourceKind) { return block_stream_floor(); }

Result<std::unique_ptr<BlockSource>> open_source(const ExportOptions& options, SourceKind,
                                                 const WorkPlan&, Account account,
                                                 std::shared_ptr<ScratchSpace>) {
  return open_block_stream(options.source, std::move(account));
}

}  // namespace spillway::exporter

#include "format/parquet/parquet_verify.hpp"

#include <fmt/format.h>
#include <parquet/column_page.h>
#include <parquet/column_reader.h>
#include <xxhash.h>

#include <algorithm>

#include "core/memory/pages.hpp"
#include "core/printable.hpp"
#include "format/parquet/parquet_file.hpp"

namespace spillway::format {
namespace {

Result<uint64_t> hash_of_pages(const ParquetFile& file, Account account,
                               const std::stop_token& stop) {
  auto lease = account.try_acquire(1_MiB);
  if (!lease) {
    return fail(Code::kMemoryLimit,
                file.source().name() + ": no memory to read it with; raise --memory");
  }
  const Pages room = TRY(Pages::map(std::move(*lease)));
  const std::unique_ptr<XXH3_state_t, void (*)(XXH3_state_t*)> hash(
      XXH3_createState(), [](XXH3_state_t* state) { XXH3_freeState(state); });
  CHECK(hash != nullptr);
  XXH3_64bits_reset(hash.get());
  for (uint64_t at = 0; at < file.footer_begin();) {
    if (stop.stop_requested()) return fail(Code::kCancelled, "stopped");
    const size_t count = std::min<uint64_t>((1_MiB).count(), file.footer_begin() - at);
    TRY(file.source().read_at(at, {room.data(), count}));
    XXH3_64bits_update(hash.get(), room.data(), count);
    at += count;
  }
  return XXH3_64bits_digest(hash.get());
}

// Reads the pages of one column of one row group and counts them.
Result<uint64_t> walk_column(ParquetFile& file, int group, int column,
                             const std::stop_token& stop) {
  const auto row_group = file.metadata().RowGroup(group);
  const auto chunk = row_group->ColumnChunk(column);
  uint64_t pages = 0;
  int64_t values = 0;
  bool more = true;
  std::unique_ptr<parquet::PageReader> reader;
  while (more) {
    if (stop.stop_requested()) return fail(Code::kCancelled, "stopped");
    const std::string where = fmt::format("row group {}, column {} ({}), page {}", group, column,
                                          printable(chunk->path_in_schema()->ToDotString()), pages);
    TRY(file.guarded(where, [&] {
      if (!reader) reader = file.pages().RowGroup(group)->GetColumnPageReader(column);
      const std::shared_ptr<parquet::Page> page = reader->NextPage();
      more = page != nullptr;
      if (more && page->type() != parquet::PageType::DICTIONARY_PAGE)
        values += static_cast<const parquet::DataPage&>(*page).num_values();
      return arrow::Status::OK();
    }));
    pages += more ? 1 : 0;
  }
  if (values == chunk->num_values()) return pages;
  return fail(
      Code::kCorrupt,
      fmt::format("{}: row group {}, column {} ({}): {} values in its pages, {} in the footer",
                  file.source().name(), group, column,
                  printable(chunk->path_in_schema()->ToDotString()), values, chunk->num_values()));
}

Result<ParquetContents> walk(ParquetFile& file, const std::stop_token& stop) {
  ParquetContents found;
  found.row_groups = static_cast<uint64_t>(file.metadata().num_row_groups());
  found.columns = static_cast<uint64_t>(file.metadata().num_columns());
  for (int group = 0; group < file.metadata().num_row_groups(); ++group) {
    found.rows += static_cast<uint64_t>(file.metadata().RowGroup(group)->num_rows());
    for (int column = 0; column < file.metadata().num_columns(); ++column)
      found.pages += TRY(walk_column(file, group, column, stop));
  }
  const auto told = static_cast<uint64_t>(file.metadata().num_rows());
  if (found.rows == told) return found;
  return fail(Code::kCorrupt, fmt::format("{}: {} rows in its row groups, {} in the footer",
                                          file.source().name(), found.rows, told));
}

}  // namespace

Result<ParquetContents> verify_parquet_file(const std::string& path, Account account,
                                            const std::stop_token& stop) {
  const auto file = TRY(ParquetFile::open(TRY(open_source(path)), account));
  if (!file->seal()) {
    return fail(Code::kInvalid,
                path +
                    ": has no checksum of spillway's: another program wrote it, and nothing can "
                    "be said about it");
  }
  const uint64_t hash = TRY(hash_of_pages(*file, std::move(account), stop));
  const auto found = TRY(walk(*file, stop));  // first, since it can say where
  if (hash == file->seal()->pages) return found;
  return fail(Code::kCorrupt,
              path +
                  ": damaged outside the data of its pages: its bytes do not match their "
                  "checksum");
}

}  // namespace spillway::format

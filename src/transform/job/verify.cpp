#include "transform/job/verify.hpp"

#include <fmt/format.h>

#include "core/file/folders.hpp"
#include "core/file/sha256.hpp"
#include "core/json.hpp"
#include "format/parquet/parquet_footer.hpp"
#include "format/parquet/parquet_verify.hpp"
#include "format/rows/row_reader.hpp"
#include "transform/job/plan.hpp"
#include "transform/job/run_texts.hpp"
#include "transform/records/name_stream.hpp"

namespace spillway::transform {
namespace {

// All columns are read, so that whatever a reader would refuse is met here.
Result<uint64_t> read_rows(const std::string& path, bool by_key, const Account& account,
                           const std::stop_token& stop) {
  format::RowOptions options;
  options.carry_all = true;
  options.text_columns = {"smiles"};
  options.first_token = false;
  options.most_text = format::RowReader::kMaxRecord;
  const auto reader = TRY(format::RowReader::open(path, options, account));
  format::InputRow row;
  KeyOrder order;
  uint64_t rows = 0;
  for (; TRY(reader->next(row)); ++rows) {
    if (stop.stop_requested()) return fail(Code::kCancelled, "stopped");
    if (!row.text || !row.problem.empty()) {
      return fail(Code::kCorrupt,
                  fmt::format("{}: row {}: {}", path, rows + 1,
                              row.text ? row.problem : std::string_view("has no smiles")));
    }
    if (by_key && !order.ascends(*row.text)) {
      return fail(Code::kCorrupt,
                  fmt::format("{}: row {} is not above the one before it by key: the rows are out "
                              "of order, or a product is there twice",
                              path, rows + 1));
    }
  }
  return rows;
}

// The file of rows that were refused, where the run that wrote `path` left word of it.
Result<std::string> rejects_text(const std::string& path, const std::stop_token& stop) {
  const auto mark = rejects_mark(path);
  if (!mark) return std::string();
  if (!TRY(is_file(mark->path)))
    return fmt::format("  {}, its refused rows, is not there: not looked at\n", mark->path);
  if (TRY(sha256_of_file(mark->path, stop)) != mark->sha256)
    return fail(Code::kCorrupt, fmt::format("{}: is not as the run that made {} left it (by {})",
                                            mark->path, path, report_beside(path)));
  return fmt::format("  {}, its refused rows, is as it was written\n", mark->path);
}

}  // namespace

Result<std::string> verify_text(const std::string& path, Bytes memory,
                                const std::stop_token& stop) {
  const ReadingMemory reading = TRY(memory_to_read(memory));
  const Account& account = reading.account;
  const format::ParquetContents found = TRY(format::verify_parquet_file(path, account, stop));
  std::string text = fmt::format(
      "{}: every byte matches its checksum; {} rows, {} row groups of {} columns, {} pages\n", path,
      grouped(found.rows), grouped(found.row_groups), found.columns, grouped(found.pages));
  const auto metadata = TRY(format::parquet_metadata(path, account));
  const auto order = metadata.find("spillway.order");
  if (order == metadata.end())
    return text + "  not a file of products: its rows were not looked at\n";
  const bool by_key = TRY(is_key_ordered(path, account));
  const uint64_t rows = TRY(read_rows(path, by_key, account, stop));
  if (rows != found.rows) {
    return fail(Code::kCorrupt, fmt::format("{}: {} rows were read of {}", path, rows, found.rows));
  }
  text += by_key ? "  the rows ascend by key: none is there twice\n"
                 : "  the rows are in order of the input: whether one is there twice was not "
                   "looked at\n";
  const auto counts = metadata.find("spillway.counts");
  const auto json = counts == metadata.end() ? Json() : parse_json(counts->second);
  if (!json.is_object() || !json.contains("unique") || json["unique"] != rows) {
    return fail(Code::kCorrupt,
                fmt::format("{}: holds {} rows, which is not what its footer counted", path, rows));
  }
  text += "  as many rows as were counted\n";
  return text + TRY(rejects_text(path, stop));
}

}  // namespace spillway::transform

#include "format/parquet/parquet_footer.hpp"

#include <arrow/util/key_value_metadata.h>
#include <fmt/format.h>
#include <parquet/file_reader.h>

#include "format/parquet/arrow_files.hpp"
#include "format/parquet/arrow_memory.hpp"

namespace spillway::format {

Result<std::map<std::string, std::string>> parquet_metadata(const std::string& path,
                                                            Account account) {
  std::shared_ptr<const Source> source = TRY(open_source(path));
  LeasedPool pool(std::move(account));
  std::map<std::string, std::string> found;
  try {
    const parquet::ReaderProperties properties(&pool);
    const auto reader = parquet::ParquetFileReader::Open(arrow_file(source), properties);
    const auto metadata = reader->metadata()->key_value_metadata();
    for (int64_t i = 0; metadata && i < metadata->size(); ++i)
      found.emplace(metadata->key(i), metadata->value(i));
  } catch (const std::exception& problem) {
    return fail(Code::kCorrupt,
                fmt::format("{}: cannot be read as Parquet: {}", path, problem.what()));
  }
  return found;
}

}  // namespace spillway::format

#include "format/parquet/parquet_footer.hpp"

#include <arrow/util/key_value_metadata.h>

#include "format/parquet/parquet_file.hpp"

namespace spillway::format {

Result<std::map<std::string, std::string>> parquet_metadata(const std::string& path,
                                                            Account account) {
  const auto file = TRY(ParquetFile::open(TRY(open_source(path)), std::move(account)));
  std::map<std::string, std::string> found;
  const auto metadata = file->metadata().key_value_metadata();
  for (int64_t i = 0; metadata && i < metadata->size(); ++i)
    found.emplace(metadata->key(i), metadata->value(i));
  return found;
}

}  // namespace spillway::format

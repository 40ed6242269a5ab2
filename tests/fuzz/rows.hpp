// Any bytes as a file of rows: every row is handed out or refused, within the reader's memory.
#pragma once

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "format/rows/row_reader.hpp"
#include "fuzz.hpp"

// The input as a file in memory, written over for each input.
inline std::string fuzz_file(const uint8_t* data, size_t size, const char* suffix) {
  static const std::string path = "/dev/shm/spillway-fuzz-" + std::to_string(::getpid()) + suffix;
  static const bool registered = std::atexit([] { std::remove(path.c_str()); }) == 0;
  MUST(registered);
  std::FILE* const file = std::fopen(path.c_str(), "wb");
  MUST(file != nullptr);
  MUST(std::fwrite(data, 1, size, file) == size);
  std::fclose(file);
  return path;
}

// Reads all rows of at most 256 KiB of input within 24 MiB of leases.
inline int fuzz_rows(const uint8_t* data, size_t size, const char* suffix,
                     spillway::format::RowOptions options) {
  using namespace spillway;
  using namespace spillway::format;
  if (size > (size_t{256} << 10)) return 0;
  static const auto budget = Budget::create(24_MiB);
  static const Account account = *budget->open({"fuzz", 0, Bytes(0), std::nullopt});
  const std::string path = fuzz_file(data, size, suffix);
  {
    const auto reader = RowReader::open(path, options, account);
    if (!reader) {
      MUST(!reader.error().message().empty() && reader.error().code() != Code::kInternal);
      return 0;
    }
    InputRow row;
    for (size_t rows = 0; rows < 20000; ++rows) {
      const auto more = (*reader)->next(row);
      if (!more) {
        MUST(!more.error().message().empty() && more.error().code() != Code::kInternal);
        break;
      }
      if (!*more) break;
      MUST(!row.text || (*reader)->kind() == RowKind::kRecord ||
           row.text->size() <= RowReader::kMaxText);
      MUST(row.carried.size() <= RowReader::kMaxCarried);
      ValueReader values(row.carried);
      for (const ColumnSpec& column : (*reader)->carried()) {
        if (values.null()) continue;
        if (is_list(column.type))
          MUST(values.text().size() % 4 == 0);
        else if (is_text(column.type))
          (void)values.text();
        else
          (void)values.number();
      }
      MUST(values.rest().empty());
    }
  }
  MUST(account.used() == Bytes(0));
  return 0;
}

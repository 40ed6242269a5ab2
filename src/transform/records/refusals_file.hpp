// The rejects file: one line a row or site that was refused, tab-separated, gzip when its name ends
// in .gz.
//
// Columns  source_file, source_row, rule, site_index, reason, source_smiles, message; a header line.
//          rule and site_index are empty for a row that no rule saw. All of it is UTF-8.
// Threads  One. Memory: 64 KiB, and zlib's 256 KiB. Fails: kDiskFull, kIo.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "core/result.hpp"

namespace spillway::transform {

class RefusalsFile {
 public:
  [[nodiscard]] static Result<std::unique_ptr<RefusalsFile>> create(const std::string& path,
                                                                    const std::string& partial);
  virtual ~RefusalsFile() = default;
  struct Line {
    std::string_view source_file;
    uint64_t source_row = 0;
    std::string_view rule;
    int32_t site_index = -1;
    std::string_view reason, source_smiles, message;
  };
  [[nodiscard]] virtual Result<void> add(const Line& line) = 0;
  [[nodiscard]] virtual Result<void> close() && = 0;
};

}  // namespace spillway::transform

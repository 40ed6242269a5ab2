// Records of an SDF. A record ends at a line $$$$; a value of it at a blank line, whatever its lines
// begin with. The last record without $$$$ is a row with a problem: nobody knows what is missing.
#pragma once

#include <memory>

#include "format/rows/text_reader.hpp"

namespace spillway::format {

[[nodiscard]] Result<std::unique_ptr<RowReader>> open_sdf_rows(std::unique_ptr<TextLines> lines,
                                                               uint64_t size,
                                                               const RowOptions& options);

}  // namespace spillway::format

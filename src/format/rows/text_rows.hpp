// Rows of SMILES, CSV and SDF files; see row_reader.hpp for what they are.
#pragma once

#include <memory>

#include "format/rows/row_reader.hpp"

namespace spillway::format {

[[nodiscard]] Result<std::unique_ptr<RowReader>> open_text_rows(std::unique_ptr<Source> source,
                                                                const RowOptions& options);

}  // namespace spillway::format

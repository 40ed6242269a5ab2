// Rows of SMILES, CSV and SDF files; see row_reader.hpp for what they are.
#pragma once

#include <memory>

#include "format/rows/row_name.hpp"
#include "format/rows/row_reader.hpp"

namespace spillway::format {

[[nodiscard]] Result<std::unique_ptr<RowReader>> open_text_rows(std::unique_ptr<Source> source,
                                                                RowName name,
                                                                const RowOptions& options,
                                                                Account& account);

// What unpacking takes, on top of RowReader's own: of bzip2 and zstd.
Bytes unpacking_cost(Packing packing);

}  // namespace spillway::format

// Rows of a table as text: RFC 4180 with the delimiters that are in use.
//
// A record that is none (fields too many or few, text behind a closing quote, a quote that is not
// closed within 1 MiB) is a row with a problem, which names its line. Behind a quote that went wrong
// reading goes on with the line after the one where it stands, so that nothing is swallowed.
#pragma once

#include <memory>

#include "format/rows/text_reader.hpp"

namespace spillway::format {

// `delimiter`: '\0' to look for it in the first line.
[[nodiscard]] Result<std::unique_ptr<RowReader>> open_csv_rows(std::unique_ptr<TextLines> lines,
                                                               uint64_t size, char delimiter,
                                                               const RowOptions& options);

}  // namespace spillway::format

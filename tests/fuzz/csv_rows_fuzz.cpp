// Any bytes are a CSV file whose records are read, refused, or an error.
#include "rows.hpp"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  spillway::format::RowOptions options;
  options.carry_all = true;
  options.text_columns = {"1"};
  options.header = size % 2 == 0;
  return fuzz_rows(data, size, ".csv", options);
}

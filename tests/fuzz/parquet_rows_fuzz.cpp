// Any bytes are a Parquet file whose rows are read in full, or an error; never a read outside.
#include "rows.hpp"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  spillway::format::RowOptions options;
  options.carry_all = true;
  return fuzz_rows(data, size, ".parquet", options);
}

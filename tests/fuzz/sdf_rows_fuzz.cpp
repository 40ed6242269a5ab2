// Any bytes are an SDF file whose records and fields are read, refused, or an error.
#include "rows.hpp"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  spillway::format::RowOptions options;
  options.carry = {"a", "b"};
  return fuzz_rows(data, size, ".sdf", options);
}

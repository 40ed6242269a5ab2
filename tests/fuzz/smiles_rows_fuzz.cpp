// Any bytes are a file of SMILES lines, gzip or not: read, refused, or an error.
#include "rows.hpp"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return fuzz_rows(data, size, ".smi", {});
}

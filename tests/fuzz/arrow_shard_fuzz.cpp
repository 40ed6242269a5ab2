// Any bytes are an Arrow shard whose rows lie within it, or an error.
#include <sys/mman.h>
#include <unistd.h>

#include "export/source/arrow_reader.hpp"
#include "fuzz.hpp"

using namespace spillway;
using namespace spillway::exporter;

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto budget = Budget::create(64_MiB);
  static Account account = *budget->open({"read", 1, 64_MiB, std::nullopt});
  static const int file = ::memfd_create("shard", MFD_CLOEXEC);
  static const std::string path = "/proc/self/fd/" + std::to_string(file);
  MUST(::ftruncate(file, 0) == 0 && ::pwrite(file, data, size, 0) == static_cast<ssize_t>(size));
  for (const auto columns : {ArrowReader::Columns::kBlocks, ArrowReader::Columns::kAll}) {
    const auto reader =
        *ArrowReader::create(*account.try_acquire(ArrowReader::room(columns)), columns);
    if (const auto opened = reader->open(path); !opened) {
      MUST(!opened.error().message().empty());
      continue;
    }
    uint64_t sum = 0;
    for (int rows = 0; rows < 100'000; ++rows) {
      const auto row = reader->next();
      if (!row || !*row) break;
      MUST((*row)->offset + (*row)->frame.size() <= size);
      for (const auto part : {(*row)->supervoxels, (*row)->frame, (*row)->labels})
        for (const uint8_t byte : part) sum += byte;  // all of it can be read
    }
    MUST(sum != UINT64_MAX);  // so that the reading stays in the program
  }
  return 0;
}

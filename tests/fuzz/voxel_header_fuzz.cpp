// Any bytes are the header of a .npy or NIfTI file, plain or packed, of three axes that are not empty, or
// an error that says why.
#include <stop_token>

#include "export/source/voxel_source.hpp"
#include "fuzz_source.hpp"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace spillway::exporter;
  for (const VoxelFile file : {VoxelFile::kNpy, VoxelFile::kNifti}) {
    for (const bool xyz : {false, true}) {
      auto source = ByteStream::of(std::make_unique<FuzzSource>(std::span(data, size)),
                                   ByteStream::Gzip::kByContent);
      const auto layout = parse_voxel_header(*source, {.path = "fuzz", .file = file, .xyz = xyz});
      if (!layout) {
        MUST(!layout.error().message().empty());
        continue;
      }
      for (const int64_t side : layout->size) MUST(side > 0);
      MUST(layout->header_bytes >= 22 && layout->header_bytes <= layout->data_offset);
    }
  }
  return 0;
}

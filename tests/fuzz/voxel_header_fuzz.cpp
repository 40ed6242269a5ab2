// Any bytes are the header of a .npy or NIfTI file, plain or packed, of three axes that are not empty, or
// an error that says why.
#include <cstring>
#include <stop_token>

#include "export/source/voxel_source.hpp"
#include "fuzz.hpp"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace spillway::exporter;
  const auto read_at = [&](uint64_t at, std::span<uint8_t> out) -> spillway::Result<void> {
    MUST(at <= size && out.size() <= size - at);
    if (!out.empty()) std::memcpy(out.data(), data + at, out.size());
    return {};
  };
  for (const VoxelFile file : {VoxelFile::kNpy, VoxelFile::kNifti}) {
    for (const bool xyz : {false, true}) {
      auto source = ByteSource::of("fuzz", size, read_at, ByteSource::Gzip::kByContent);
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

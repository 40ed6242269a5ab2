// Plain voxel arrays as blocks: .npy, NIfTI-1 and NIfTI-2, of either byte order, and raw files.
// .npy and NIfTI may be gzipped, whatever their names are; raw ones when they are called .gz.
//
// Order    Blocks in rows along the file's fastest axis. Outside the volume voxels are 0.
// Memory   A unit is a row of up to kRow blocks of 2 MiB, leased from the account; a row buffer of
//          kRow * 512 bytes. What is packed or comes from a pipe goes to scratch first, no more
//          than its shape says.
// Threads  One.
// Fails    kInvalid: a header that is not understood (says what), another shape than the scale's,
//          a negative value (names its voxel), float or scaled data; raw or .npy data that goes on
//          behind its shape. kConflict: changed while it was read. kIo, kScratchFull.
// Source   numpy.lib.format 1.0 to 3.0; the headers of NIfTI-1 (nifti1.h) and NIfTI-2 (nifti2.h).
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "core/disk/scratch.hpp"
#include "export/source/block_source.hpp"
#include "export/spec/input_stream.hpp"

namespace spillway::exporter {

enum class VoxelType { kU8, kU16, kU32, kU64, kI8, kI16, kI32, kI64 };
enum class VoxelFile { kNpy, kNifti, kRaw };

struct VoxelLayout {
  VoxelType type = VoxelType::kU8;
  std::array<int64_t, 3> size{};  // voxels along x, y, z
  bool x_fastest = true;          // else z is
  bool big_endian = false;
  uint64_t data_offset = 0;
  uint64_t header_bytes = 0;                        // that were read to know this
  std::optional<std::array<double, 3>> resolution;  // nm
};

struct VoxelOptions {
  std::string path;
  VoxelFile file = VoxelFile::kRaw;
  bool xyz = false;                             // .npy: its axes are x, y, z
  std::optional<std::array<int64_t, 3>> shape;  // raw: x, y, z
  std::string dtype;                            // raw: "u1" .. "u8", or "uint8" .. "uint64"
  std::stop_token stop;                         // of waiting for a pipe or a server
};

[[nodiscard]] Result<VoxelLayout> read_voxel_layout(const VoxelOptions& options);
// Of a .npy or NIfTI file, whose first bytes come from `source`.
[[nodiscard]] Result<VoxelLayout> parse_voxel_header(ByteStream& source,
                                                     const VoxelOptions& options);
[[nodiscard]] Result<std::unique_ptr<BlockSource>> open_voxel_source(
    const VoxelOptions& options, const Grid& grid, std::array<int64_t, 3> size, Account account,
    std::shared_ptr<ScratchSpace> space);
Bytes voxel_source_floor();

}  // namespace spillway::exporter

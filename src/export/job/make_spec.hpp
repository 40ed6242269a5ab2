// An info JSON for a volume, from its header: one scale or several, each half as large, sharded so that a
// shard comes to about the size asked for.
#pragma once

#include <array>
#include <optional>
#include <string>

#include "core/bytes.hpp"
#include "core/result.hpp"
#include "export/source/voxel_source.hpp"

namespace spillway::exporter {

struct SpecOptions {
  VoxelOptions source;
  std::optional<VoxelLayout> layout;  // when it is known, and no file is looked at
  std::array<int64_t, 3> voxel_offset{};
  unsigned scales = 1;
  Bytes target_shard{uint64_t{1} << 30};
  std::optional<std::array<double, 3>> resolution;
};
// Fails as read_voxel_layout() does.
[[nodiscard]] Result<std::string> make_spec(const SpecOptions& options);

}  // namespace spillway::exporter

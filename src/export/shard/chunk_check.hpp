// Opens the chunks in a file of a precomputed volume: of a shard all that its indexes name, or the one that the file is.
//
// Memory   room of a ChunkReader and a chunk of voxels, from `account`, while a file is checked.
// Threads  One.
// Fails    kInvalid with the file and the chunk: a name that the info has no place for, an index or a chunk that cannot
//          be read; kMemoryLimit; kIo.
#pragma once

#include <cstdint>
#include <stop_token>
#include <string>

#include "core/memory/budget.hpp"
#include "export/spec/volume_spec.hpp"

namespace spillway::exporter {

class ChunkCheck {
 public:
  // `volume`: the folder's info.
  ChunkCheck(std::string folder, VolumeSpec volume, Account account)
      : folder_(std::move(folder)), volume_(std::move(volume)), account_(std::move(account)) {}

  // "<key>/<hex>.shard" or "<key>/<x0>-<x1>_<y0>-<y1>_<z0>-<z1>", of the folder; how many chunks it has.
  [[nodiscard]] Result<uint64_t> check(const std::string& file, const std::stop_token& stop);
  // Whether the info has a scale for it.
  bool is_of_volume(const std::string& file) const { return scale_of(file) != nullptr; }

 private:
  const Scale* scale_of(const std::string& file) const;
  Result<uint64_t> check_shard(const std::string& file, const Scale& scale,
                               const std::stop_token& stop);
  Result<uint64_t> check_chunk(const std::string& file, const Scale& scale,
                               const std::stop_token& stop);
  Result<Lease> lease(const std::string& file, Bytes bytes);

  const std::string folder_;
  const VolumeSpec volume_;
  Account account_;
};

}  // namespace spillway::exporter

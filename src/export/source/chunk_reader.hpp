// The chunks of one scale of a neuroglancer precomputed volume, one after the other, from shards or
// from a file each; gzip, and of files brotli and zstd, are taken off.
//
// Order    Shard by shard, minishard by minishard, as they lie in the files; else x fastest. Chunks
//          that are not there are left out.
// Memory   room() and, where files end in .br, Unpacker::brotli_room(): a window that is read ahead, a chunk, and with sharding the index of a minishard
//          of at most 131,072 chunks (of as many as fall to one, where the hash is identity); leased
//          by the caller.
// Threads  One.
// Cost     Shards are read in pieces of at least 1 MiB where chunks lie side by side; over http a
//          request each. Without sharding every place of the grid is asked for.
// Fails    kInvalid with the file, the byte and the chunk; kTooLarge; kIo; kConflict: changed while
//          it was read.
// Source   google/neuroglancer, src/datasource/precomputed/{volume,sharded}.md.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>

#include "core/memory/budget.hpp"
#include "export/block/chunk_format.hpp"
#include "export/source/volume_store.hpp"
#include "export/spec/volume_spec.hpp"

namespace spillway::exporter {

// The grid of a scale's chunks, of any size; its Morton codes are ids in shards.
class ChunkGrid {
 public:
  explicit ChunkGrid(const Scale& scale);
  std::array<uint64_t, 3> counts() const { return counts_; }
  std::array<uint64_t, 3> at(uint64_t id) const;  // of a compressed Morton code
  unsigned bits() const { return bits_[0] + bits_[1] + bits_[2]; }

 private:
  std::array<uint64_t, 3> counts_{};
  std::array<unsigned, 3> bits_{};
};

class ChunkReader {
 public:
  static Bytes room(const VolumeSpec& source, const Scale& scale);
  // Of the minishards, or without sharding of the places of the grid, every count-th from index on; or those of one
  // shard.
  struct Part {
    uint64_t index = 0, count = 1;
    std::optional<uint64_t> shard = std::nullopt;
  };
  // `lease`: room(), what is more is for brotli. `source` and `scale` outlive the reader.
  [[nodiscard]] static Result<std::unique_ptr<ChunkReader>> open(std::unique_ptr<VolumeStore> store,
                                                                 const VolumeSpec& source,
                                                                 const Scale& scale, Lease lease,
                                                                 Part part = {0, 1, std::nullopt});
  virtual ~ChunkReader() = default;

  struct Chunk {
    std::array<uint64_t, 3> at{};      // in the grid
    std::array<uint32_t, 3> extent{};  // voxels inside the volume
    std::span<const uint8_t> bytes;    // valid until the next call
    uint64_t offset = 0;               // in its file
  };
  [[nodiscard]] virtual Result<std::optional<Chunk>> next(const std::stop_token& stop) = 0;
  virtual uint64_t bytes_read() const = 0;
  // The first file of a chunk or shard that was looked for and is not there; empty: none.
  virtual const std::string& first_missing() const = 0;
};

}  // namespace spillway::exporter

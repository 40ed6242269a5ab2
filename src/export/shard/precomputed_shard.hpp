// One shard of neuroglancer's sharded format, written from begin to end.
//
// Layout   docs/formats.md, "Precomputed shards". Each minishard's chunks, in ascending id, are
//          followed by its index; the table in front is written last.
// Memory   room(): a buffer and the index of one minishard, of at most kMostChunks; the table is
//          written in place.
// Threads  One.
// Fails    kDiskFull, kIo; kTooLarge for a minishard of more chunks, which job/checks.hpp sees before.
// Source   google/neuroglancer, src/datasource/precomputed/sharded.md.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "core/bytes.hpp"
#include "core/result.hpp"
#include "export/shard/arrow_shard.hpp"
#include "export/spec/volume_spec.hpp"

namespace spillway::exporter {

class PrecomputedShardWriter {
 public:
  static constexpr size_t kMostChunks = 65536;  // of one minishard: its index is held whole
  static Bytes room();
  [[nodiscard]] static Result<std::unique_ptr<PrecomputedShardWriter>> create(Sharding sharding);
  virtual ~PrecomputedShardWriter() = default;

  [[nodiscard]] virtual Result<void> begin(const std::string& path) = 0;
  // Chunks in the order (minishard, id).
  [[nodiscard]] virtual Result<void> add(uint64_t minishard, uint64_t chunk_id,
                                         std::span<const uint8_t> chunk) = 0;
  [[nodiscard]] virtual Result<ShardFigures> end() = 0;  // without a hash: the table comes last
};

}  // namespace spillway::exporter

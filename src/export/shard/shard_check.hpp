// Checks one Arrow shard and its CSV against each other, against the blocks inside and against what
// any run keeps to.
//
// Rows     In ZYX order, none twice, unless any order is allowed; within the shard's cell where the volume is known.
// CSV      Schema size, offsets and sizes of the very messages, rows within them, coordinates.
// Frame    One zstd frame of uncompressed_size bytes with a checksum; in it a label block of 64^3,
//          strictly parsed; its label table is `supervoxels`.
// Labels   As many as supervoxels; equal ones have equal labels; 0 has 0; with a mapping: what it says.
//
// Memory   Its rooms are leased: room().
// Threads  One.
// Fails    kInvalid at the first thing that is wrong, with the file and the row; kIo.
#pragma once

#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "core/memory/budget.hpp"
#include "export/block/label_block.hpp"
#include "export/mapping/mapping.hpp"
#include "export/spec/volume_spec.hpp"

namespace spillway::exporter {

class ShardCheck {
 public:
  struct Options {
    const Mapping* mapping = nullptr;  // none: labels may be of any
    bool empty_is_wrong = false;       // a row whose labels are all 0 should have been left out
    bool any_order = false;            // of rows: another writer's
    Account account;                   // floor: room()
  };
  struct Volume {
    Grid grid;
    Cells cells;
    Scale scale;
  };
  static Bytes room();
  [[nodiscard]] static Result<std::unique_ptr<ShardCheck>> create(Options options,
                                                                  std::stop_token stop);
  virtual ~ShardCheck() = default;

  struct Figures {
    uint64_t rows = 0, batches = 0;
  };
  // `path`: the .arrow file.
  [[nodiscard]] virtual Result<Figures> check(const std::string& path, const Volume* volume,
                                              std::stop_token stop) = 0;
};

}  // namespace spillway::exporter

// What an export needs, account by account, and how many threads fit.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/records/external_sort.hpp"
#include "export/job/export.hpp"

namespace spillway::exporter {

struct MemoryPlan {
  struct Item {
    std::string name;
    Bytes bytes;
    std::string purpose;
  };
  unsigned threads = 1;        // as many as fit, at most those asked for
  unsigned write_threads = 1;  // that make chunks and hashes
  Bytes reserve;               // beside the leases
  Bytes read, work, publish, mapping, sort;
  Bytes parts;  // of each of the two sorts of the scales below; 0 without them
  ExternalSortOptions sort_options, part_options;
  uint64_t most_table_bytes = 0;
  std::vector<Item> items() const;

  struct Needs {
    Target target = Target::kArrow;
    bool from_voxels = false;
    bool has_mapping = false;
    bool downscales = false;  // builds further scales; from_voxels is then true
    uint64_t batch_rows = 1;
    Bytes read_floor;
  };
  // None when `memory` is too little for one thread.
  static std::optional<MemoryPlan> make(Bytes memory, unsigned threads, const Needs& needs);
  // Or says what the least is.
  [[nodiscard]] static Result<MemoryPlan> make_or_refuse(Bytes memory, unsigned threads,
                                                         const Needs& needs);
};

// A row that is too long for the sort, read back: two lists and the frame.
Bytes largest_row();

}  // namespace spillway::exporter

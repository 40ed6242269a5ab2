// What the workers share for blocks that are too large for their own rooms, and how long a block's encoding can be.
//
// Memory   room(), until release(). Threads: any, with the mutex.
#pragma once

#include <memory>

#include "core/disk/scratch.hpp"
#include "core/memory/pages.hpp"
#include "core/mutex.hpp"

struct ZSTD_CCtx_s;

namespace spillway::exporter {

enum class Target { kArrow, kPrecomputed };

// Room for one block of any size, and the file of the rows that are too long for the sort.
class LargeRoom {
 public:
  static Bytes room();
  [[nodiscard]] static Result<std::unique_ptr<LargeRoom>> create(
      Lease lease, std::shared_ptr<ScratchSpace> space);
  ~LargeRoom();

  Mutex mutex;
  Pages block, frame;  // GUARDED by mutex while workers run
  void* context = nullptr;
  ScratchFile file;
  std::shared_ptr<ScratchSpace> space;
  // Gives the memory back; the file stays.
  void release();
};

// A context for the frames of Arrow shards: level 3, with content size and checksum; what it takes for blocks of at
// most `largest` bytes.
ZSTD_CCtx_s* make_frame_context();
size_t frame_context_bytes(size_t largest);
// The longest frame, or chunk before gzip, of a block of so many bytes.
size_t encoded_room(Target target, size_t block);

}  // namespace spillway::exporter

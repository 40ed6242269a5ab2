#include "export/work/large_room.hpp"

#define ZSTD_STATIC_LINKING_ONLY  // ZSTD_estimateCCtxSize
#include <zstd.h>

#include <algorithm>
#include <utility>

#include "export/block/compressed_segmentation.hpp"
#include "export/block/label_block.hpp"

namespace spillway::exporter {
namespace {

constexpr int kZstdLevel = 3;

// A frame, or a chunk twice: as it is and gzipped, which adds less than 64 KiB. Its mapped table is
// beside it.
size_t large_frame_room() {
  return std::max(encoded_room(Target::kArrow, kMaxBlockBytes),
                  2 * kMaxChunkBytes + (size_t{64} << 10));
}

}  // namespace

size_t frame_context_bytes(size_t largest) {
  return ZSTD_estimateCCtxSize_usingCParams(ZSTD_getCParams(kZstdLevel, largest, 0));
}

ZSTD_CCtx* make_frame_context() {
  ZSTD_CCtx* const context = ZSTD_createCCtx();
  CHECK(context != nullptr);
  ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, kZstdLevel);
  ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 1);
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
  return context;
}

size_t encoded_room(Target target, size_t block) {
  return target == Target::kArrow ? ZSTD_compressBound(block)
                                  : compressed_segmentation_bound(block);
}

Bytes LargeRoom::room() {
  return Bytes(2 * kMaxBlockBytes + large_frame_room() + frame_context_bytes(kMaxBlockBytes) +
               16384);
}

Result<std::unique_ptr<LargeRoom>> LargeRoom::create(Lease lease,
                                                     std::shared_ptr<ScratchSpace> space) {
  auto room = std::make_unique<LargeRoom>();
  room->space = std::move(space);
  room->block = TRY(Pages::map(lease.split(Bytes(kMaxBlockBytes))));
  // The context's share stays with the frame's pages, whose tail is never touched.
  room->frame = TRY(Pages::map(std::move(lease)));
  room->context = make_frame_context();
  return room;
}

void LargeRoom::release() {
  ZSTD_freeCCtx(static_cast<ZSTD_CCtx*>(std::exchange(context, nullptr)));
  block = Pages();
  frame = Pages();
}

LargeRoom::~LargeRoom() { release(); }

}  // namespace spillway::exporter

// The states of one depth, in discovery order, as segments of frames.
//
// A segment is what one round left: either the new states themselves, or (kBytes, keep_successors)
// every successor of the round with a mask that says which of them were new. A frame is the unit of
// reading: at most kFrameStates packed states, or at most Blob::kMaxPiece bytes; frames carry a
// checksum that is verified when they come from a file.
//
// Threads  Writing: one at a time. Reading: many, each with its own FrameBuffer; a segment that is
//          being read is complete.
// Memory   Blobs: leased while there is room, else in their files. The index costs 32 bytes a frame.
// Fails    open(), set_mask(): kCancelled after a stop.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <stop_token>
#include <vector>

#include "core/disk/blob.hpp"
#include "core/result.hpp"
#include "expand/problem/problem.hpp"

namespace spillway::expand {

constexpr size_t kFrameStates = 4096;

struct FrameRef {
  uint64_t offset;
  uint32_t length;
  uint32_t parents;  // log frames: how many states were expanded to get it
  uint32_t states;
  uint32_t kept;         // how many of them belong to the layer
  uint64_t mask_offset;  // in the mask blob, when there is one
};

// Room to load frames into, and the states of the last one. From leased memory; one thread's.
struct FrameBuffer {
  std::span<uint8_t> raw;      // Blob::kMaxPiece
  std::span<uint64_t> packed;  // kFrameStates
  std::span<uint32_t> ends;    // kMaxEnds
  std::span<uint64_t> mask;    // kMaxEnds / 64 + 1
  static constexpr size_t kMaxEnds = size_t{1} << 17;
};

class Segment {
 public:
  Segment(StateForm form, unsigned key_bits, std::unique_ptr<Blob> states,
          std::unique_ptr<Blob> mask);
  // From the blobs a checkpoint names: reads the frame headers.
  [[nodiscard]] static Result<std::unique_ptr<Segment>> open(StateForm form, unsigned key_bits,
                                                             std::unique_ptr<Blob> states,
                                                             std::unique_ptr<Blob> mask,
                                                             const std::stop_token& stop = {});

  // New states, in order; finish() writes the last frame.
  [[nodiscard]] Result<void> append(std::span<const uint64_t> states);
  [[nodiscard]] Result<void> append(std::span<const uint8_t> state);
  [[nodiscard]] Result<void> finish();
  // All successors of some parents, or some of one, as one or more frames.
  [[nodiscard]] Result<void> append_log(const Successors& successors);
  // After the round: bit i of `marks` is successor i of the segment. Returns how many parents kept
  // none.
  [[nodiscard]] Result<uint64_t> set_mask(std::span<const uint64_t> marks,
                                          std::unique_ptr<Blob> mask,
                                          const std::stop_token& stop = {});

  // Loads states [first, last) of the layer's states in the frame. The block's memory is the
  // buffer's or the blob's.
  [[nodiscard]] Result<StateBlock> load(size_t frame, uint32_t first, uint32_t last,
                                        FrameBuffer& buffer) const;

  uint64_t size() const { return kept_; }  // states of the layer
  std::span<const FrameRef> frames() const { return frames_; }
  Blob& states() { return *states_; }
  Blob* mask() { return mask_.get(); }
  const Blob* mask() const { return mask_.get(); }

 private:
  Result<void> load_mask(const FrameRef& frame, std::span<uint8_t> words) const;
  Result<void> write_packed();
  Result<void> write_bytes();
  Result<void> write_frame(std::span<const uint32_t> parent_ends, std::span<const uint32_t> ends,
                           std::span<const uint8_t> data, uint32_t state_count);

  StateForm form_;
  unsigned width_;  // bytes of a packed state
  std::unique_ptr<Blob> states_;
  std::unique_ptr<Blob> mask_;
  std::vector<FrameRef> frames_;
  uint64_t kept_ = 0;
  std::vector<uint64_t> pending_;       // at most kFrameStates
  std::vector<uint8_t> pending_bytes_;  // at most kPendingBytes
  std::vector<uint32_t> pending_ends_;
  std::vector<uint8_t> frame_;  // one encoded frame
};

using Layer = std::vector<std::unique_ptr<Segment>>;
inline uint64_t layer_size(const Layer& layer) {
  uint64_t total = 0;
  for (const auto& segment : layer) total += segment->size();
  return total;
}

}  // namespace spillway::expand

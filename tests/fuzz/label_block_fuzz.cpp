// Any bytes are a label block that decodes, encodes and decodes to the same, or an error; the same
// bytes as a compressed_segmentation chunk stay within bounds.
#include <vector>

#include "export/block/chunk_format.hpp"
#include "export/block/label_block.hpp"
#include "fuzz.hpp"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace spillway::exporter;
  const std::span<const uint8_t> bytes(data, size);
  std::vector<uint64_t> chunk(16 * 16 * 9);
  for (const ChunkFormat& format : {ChunkFormat{8, true, {8, 8, 8}}, {4, true, {16, 5, 8}}})
    (void)decode_chunk(format, bytes, {16, 16, 9}, {16, 16, 9}, chunk);
  const auto block = LabelBlock::parse(bytes);
  if (!block) {
    MUST(!block.error().message().empty());
    return 0;
  }
  const auto counts = block->sub_blocks();
  const size_t voxels = kSubBlockVoxels * counts[0] * counts[1] * counts[2];
  if (voxels > kBlockVoxels) return 0;
  std::vector<uint64_t> out(voxels), again(voxels);
  block->decode(out);
  BlockEncoder encoder;
  const auto canonical = LabelBlock::parse(encoder.encode(out, counts));
  MUST(canonical);
  canonical->decode(again);
  MUST(out == again);
  return 0;
}

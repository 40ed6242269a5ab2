#include "export/block/compressed_segmentation.hpp"

#include <gtest/gtest.h>

#include <random>

#include "export/block/chunk_format.hpp"

namespace spillway::exporter {
namespace {

constexpr ChunkFormat kFormat{8, true, {8, 8, 8}};
constexpr std::array<uint32_t, 3> kWhole{64, 64, 64};

// `labels` different ids in runs, so that palettes of many sizes occur.
std::vector<uint64_t> voxels_of(std::mt19937_64& random, size_t labels) {
  std::vector<uint64_t> voxels(kBlockVoxels);
  uint64_t current = 0;
  for (size_t i = 0; i < voxels.size(); ++i) {
    if (random() % 5 == 0) current = random() % labels * 0x100000001u;
    voxels[i] = current;
  }
  return voxels;
}

TEST(CompressedSegmentation, RoundTripsClippedAndMapped) {
  std::mt19937_64 random(9);
  BlockEncoder encoder;
  for (const size_t labels : {1u, 2u, 3u, 17u, 400u, 100000u}) {
    const auto voxels = voxels_of(random, labels);
    const auto bytes = encoder.encode(voxels);
    auto block = LabelBlock::parse(bytes);
    ASSERT_TRUE(block);
    std::vector<uint64_t> mapped(block->label_count());
    for (uint32_t i = 0; i < mapped.size(); ++i) mapped[i] = block->label(i) % 7 + 1;
    for (const auto& extent : {std::array<uint32_t, 3>{64, 64, 64}, {64, 9, 1}, {5, 64, 33}}) {
      for (const bool map : {false, true}) {
        std::vector<uint8_t> chunk(compressed_segmentation_bound(bytes.size()));
        chunk.resize(encode_compressed_segmentation(
            *block, map ? reinterpret_cast<const uint8_t*>(mapped.data()) : block->label_bytes(),
            extent, chunk));
        std::vector<uint64_t> out(size_t{extent[0]} * extent[1] * extent[2]);
        auto decoded = decode_chunk(kFormat, chunk, extent, extent, out);
        ASSERT_TRUE(decoded) << decoded.error().message();
        for (size_t i = 0; i < out.size(); ++i) {
          const size_t x = i % extent[0], y = i / extent[0] % extent[1],
                       z = i / (extent[0] * extent[1]);
          const uint64_t voxel = voxels[(z * 64 + y) * 64 + x];
          ASSERT_EQ(out[i], map ? voxel % 7 + 1 : voxel) << i;
        }
      }
    }
  }
}

TEST(CompressedSegmentation, FastRepackingEqualsTheScalarOne) {
  std::mt19937_64 random(11);
  for (int i = 0; i < 4000; ++i) {
    const unsigned bits = 1 + static_cast<unsigned>(random() % 9);
    const size_t known =
        bits == 1 ? 2 : (size_t{1} << (bits - 1)) + 1 + random() % (size_t{1} << (bits - 1));
    const bool identity = i % 2 == 0;
    const size_t kept = identity ? known : 2 + random() % (known - 1);
    std::vector<uint16_t> entry(known);
    for (size_t v = 0; v < known; ++v)
      entry[v] = static_cast<uint16_t>(identity ? v : random() % kept);
    unsigned width = 1;
    while ((size_t{1} << width) < kept) width *= 2;
    std::vector<uint8_t> packed(64 * bits);  // no room behind it
    for (size_t v = 0; v < 512; ++v) {
      const uint64_t value = random() % known;
      for (size_t b = 0; b < bits; ++b) {
        const size_t bit = v * bits + b;
        if (value >> (bits - 1 - b) & 1) packed[bit / 8] |= static_cast<uint8_t>(0x80 >> bit % 8);
      }
    }
    std::vector<uint8_t> scalar(64 * width), fast(64 * width);
    const detail::Repack what{packed.data(), bits, entry, identity, width};
    detail::repack_scalar(what, scalar.data());
    detail::repack_fast(what, fast.data());
    ASSERT_EQ(scalar, fast) << bits << " to " << width << " identity " << identity;
  }
}

TEST(CompressedSegmentation, DamageIsRefusedOrDecodesWithinBounds) {
  std::mt19937_64 random(10);
  BlockEncoder encoder;
  const auto bytes = encoder.encode(voxels_of(random, 9));
  auto block = LabelBlock::parse(bytes);
  std::vector<uint8_t> chunk(compressed_segmentation_bound(bytes.size()));
  chunk.resize(encode_compressed_segmentation(*block, block->label_bytes(), {64, 64, 64}, chunk));
  std::vector<uint64_t> out(kBlockVoxels);
  for (size_t size = 0; size < 5000; size += 7)
    EXPECT_FALSE(decode_chunk(kFormat, std::span(chunk).first(size), kWhole, kWhole, out));
  for (int i = 0; i < 60; ++i) {
    auto damaged = chunk;
    damaged[random() % 4096] = static_cast<uint8_t>(random());
    (void)decode_chunk(kFormat, damaged, kWhole, kWhole, out);
  }
}

}  // namespace
}  // namespace spillway::exporter

#include "export/block/label_block.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <random>

namespace spillway::exporter {
namespace {

std::vector<uint64_t> example_voxels() {
  std::vector<uint64_t> voxels(16 * 16 * 16, 7);
  voxels[3] = 0x1122334455;
  voxels[4] = voxels[8] = 9;
  return voxels;
}

std::vector<uint8_t> copy_of(std::span<const uint8_t> bytes) {
  return {bytes.begin(), bytes.end()};
}

std::vector<uint64_t> decoded(std::span<const uint8_t> bytes) {
  auto block = LabelBlock::parse(bytes);
  EXPECT_TRUE(block) << block.error().message();
  if (!block) return {};
  const auto counts = block->sub_blocks();
  std::vector<uint64_t> out(kSubBlockVoxels * counts[0] * counts[1] * counts[2]);
  block->decode(out);
  return out;
}

// Reads voxels bit by bit from the format's description, without the code under test.
std::vector<uint64_t> decoded_plainly(std::span<const uint8_t> bytes) {
  const auto u = [&](size_t at, size_t width) {
    uint64_t value = 0;
    for (size_t i = 0; i < width; ++i) value |= uint64_t{bytes[at + i]} << (8 * i);
    return value;
  };
  const size_t gx = u(0, 4), gy = u(4, 4), gz = u(8, 4), n = u(12, 4), nsb = gx * gy * gz;
  std::vector<uint64_t> out(nsb * 512);
  if (n == 1) {
    std::fill(out.begin(), out.end(), u(16, 8));
    return out;
  }
  size_t index_at = 16 + 8 * n + 2 * nsb, entries = 0;
  for (size_t i = 0; i < nsb; ++i) entries += u(16 + 8 * n + 2 * i, 2);
  size_t bit = (index_at + 4 * entries) * 8;
  for (size_t sub = 0; sub < nsb; ++sub) {
    const size_t palette = u(16 + 8 * n + 2 * sub, 2);
    size_t bits = 0;
    while ((size_t{1} << bits) < palette) ++bits;
    for (size_t v = 0; v < 512; ++v) {
      size_t value = 0;
      for (size_t i = 0; i < bits; ++i, ++bit)
        value = value * 2 + ((bytes[bit / 8] >> (7 - bit % 8)) & 1);
      const size_t x = sub % gx * 8 + v % 8, y = sub / gx % gy * 8 + v / 8 % 8,
                   z = sub / (gx * gy) * 8 + v / 64;
      out[(z * gy * 8 + y) * gx * 8 + x] =
          palette == 0 ? 0 : u(16 + 8 * u(index_at + 4 * value, 4), 8);
    }
    index_at += 4 * palette;
  }
  return out;
}

std::vector<uint64_t> random_voxels(std::mt19937_64& random, size_t labels, size_t run) {
  std::vector<uint64_t> table(labels), voxels(kBlockVoxels);
  for (uint64_t& label : table) label = random() >> (random() % 64);
  uint64_t current = 0;
  for (size_t i = 0; i < voxels.size(); ++i) {
    if (i % run == 0) current = table[random() % labels];
    voxels[i] = current;
  }
  return voxels;
}

TEST(LabelBlock, WritesTheWorkedExample) {
  BlockEncoder encoder;
  const auto bytes = copy_of(encoder.encode(example_voxels(), {2, 2, 2}));
  ASSERT_EQ(bytes.size(), 292u);
  const std::vector<uint8_t> head{2, 0, 0, 0, 2, 0, 0, 0,    2,    0,    0,    0,    3, 0, 0, 0, 7,
                                  0, 0, 0, 0, 0, 0, 0, 0x55, 0x44, 0x33, 0x22, 0x11, 0, 0, 0, 9, 0};
  EXPECT_TRUE(std::equal(head.begin(), head.end(), bytes.begin()));
  EXPECT_EQ(bytes[0x28], 3);
  EXPECT_EQ(bytes[0x2a], 2);
  EXPECT_EQ(bytes[0x38 + 8], 2);
  EXPECT_EQ(bytes[0x64], 0x01);
  EXPECT_EQ(bytes[0x65], 0x80);
  EXPECT_EQ(bytes[0xe4], 0x7f);
  EXPECT_EQ(bytes[0xe5], 0xff);
  EXPECT_EQ(decoded(bytes), example_voxels());
}

TEST(LabelBlock, SolidBlockHas24Bytes) {
  BlockEncoder encoder;
  const std::vector<uint64_t> voxels(kBlockVoxels, 42);
  const auto bytes = copy_of(encoder.encode(voxels));
  EXPECT_EQ(bytes.size(), 24u);
  EXPECT_EQ(decoded(bytes), voxels);
}

TEST(LabelBlock, RoundTripsAndAgreesWithPlainReading) {
  std::mt19937_64 random(20240601);
  BlockEncoder encoder;
  for (const size_t labels : {2u, 3u, 5u, 24u, 300u, 5000u, 300000u}) {
    for (const size_t run : {1u, 7u, 64u, 4096u}) {
      const auto voxels = random_voxels(random, labels, run);
      const auto bytes = copy_of(encoder.encode(voxels));
      ASSERT_EQ(decoded(bytes), voxels) << labels << " " << run;
      ASSERT_EQ(decoded_plainly(bytes), voxels) << labels << " " << run;
    }
  }
}

TEST(LabelBlock, WorstBlockHasTheStatedSize) {
  std::vector<uint64_t> voxels(kBlockVoxels);
  for (size_t i = 0; i < voxels.size(); ++i) voxels[i] = i * 0x9E3779B97F4A7C15u;
  BlockEncoder encoder;
  const auto bytes = copy_of(encoder.encode(voxels));
  EXPECT_EQ(bytes.size(), kMaxBlockBytes);
  EXPECT_EQ(decoded(bytes), voxels);
}

TEST(LabelBlock, LabelsStandByFirstOccurrenceInTheWholeBlock) {
  std::mt19937_64 random(5);
  const auto voxels = random_voxels(random, 40, 13);
  BlockEncoder encoder;
  const auto bytes = copy_of(encoder.encode(voxels));
  auto block = LabelBlock::parse(bytes);
  ASSERT_TRUE(block);
  std::map<uint64_t, bool> met;
  uint32_t next = 0;
  for (const uint64_t label : voxels) {
    if (!met.emplace(label, true).second) continue;
    ASSERT_EQ(block->label(next++), label);
  }
  EXPECT_EQ(next, block->label_count());
}

TEST(LabelBlock, RefusesEveryTruncationAndTail) {
  BlockEncoder encoder;
  auto bytes = copy_of(encoder.encode(example_voxels(), {2, 2, 2}));
  for (size_t size = 0; size < bytes.size(); ++size)
    EXPECT_FALSE(LabelBlock::parse(std::span(bytes).first(size))) << size;
  bytes.push_back(0);
  EXPECT_FALSE(LabelBlock::parse(bytes));
}

TEST(LabelBlock, RefusesWhatIsOutOfRange) {
  BlockEncoder encoder;
  const auto good = copy_of(encoder.encode(example_voxels(), {2, 2, 2}));
  auto bytes = good;
  bytes[12] = 0;
  EXPECT_FALSE(LabelBlock::parse(bytes)) << "no labels";
  bytes = good;
  bytes[0x38] = 3;
  EXPECT_FALSE(LabelBlock::parse(bytes)) << "index = N";
  bytes = good;
  bytes[0x60] = 3;  // the palette of the last sub-block, which has one entry
  EXPECT_FALSE(LabelBlock::parse(bytes)) << "index = N where Ns = 1";
  bytes = good;
  bytes[0x64 + 5] = 0x0c;  // a packed 3 in a palette of 3
  EXPECT_FALSE(LabelBlock::parse(bytes)) << "value beyond the palette";
  bytes = good;
  bytes[0x29] = 2;
  EXPECT_FALSE(LabelBlock::parse(bytes)) << "Ns of 515";
}

TEST(LabelBlock, AnyDamagedByteIsRefusedOrStillDecodes) {
  BlockEncoder encoder;
  std::mt19937_64 random(77);
  const auto good = copy_of(encoder.encode(random_voxels(random, 60, 11)));
  for (int round = 0; round < 3000; ++round) {
    auto bytes = good;
    bytes[random() % std::min<size_t>(bytes.size(), 4000)] = static_cast<uint8_t>(random());
    auto block = LabelBlock::parse(bytes);
    if (!block || !block->is_64_cubed()) continue;
    std::vector<uint64_t> out(kBlockVoxels);
    if (round % 50 == 0) {
      block->decode(out);
      ASSERT_EQ(out, decoded_plainly(bytes));
    }
  }
}

TEST(LabelBlock, FastUnpackingAgreesWithScalar) {
  std::mt19937_64 random(3);
  std::vector<uint8_t> packed(64 * 9);
  for (uint8_t& byte : packed) byte = static_cast<uint8_t>(random());
  for (unsigned bits = 1; bits <= 9; ++bits) {
    SubBlockValues a, b;
    detail::unpack_scalar(packed.data(), bits, a);
    detail::unpack_fast(packed.data(), bits, b);
    EXPECT_EQ(a, b) << bits;
  }
  const std::array<uint8_t, 3> row{0b00101001, 0b11001010, 0};  // 1, 2, 3, 4, 5 in 3 bits
  std::copy(row.begin(), row.end(), packed.begin());
  SubBlockValues values;
  detail::unpack_fast(packed.data(), 3, values);
  for (uint16_t i = 0; i < 5; ++i) EXPECT_EQ(values[i], i + 1);
}

TEST(LabelBlock, FastLookForValuesBeyondAgreesWithScalar) {
  std::mt19937_64 random(4);
  size_t found = 0;
  for (int i = 0; i < 4000; ++i) {
    const unsigned bits = 2 + static_cast<unsigned>(random() % 8);
    const uint32_t size =
        (1u << (bits - 1)) + 1 + static_cast<uint32_t>(random() % (1u << (bits - 1)));
    std::vector<uint8_t> packed(64 * bits);  // no room behind it
    for (size_t v = 0; v < 512; ++v) {
      const uint32_t most = v == random() % 512 ? 1u << bits : size;
      const auto value = static_cast<uint32_t>(random() % most);
      for (size_t b = 0; b < bits; ++b) {
        const size_t bit = v * bits + b;
        if (value >> (bits - 1 - b) & 1) packed[bit / 8] |= static_cast<uint8_t>(0x80 >> bit % 8);
      }
    }
    const bool scalar = detail::has_beyond_scalar(packed.data(), bits, size);
    found += scalar ? 1 : 0;
    ASSERT_EQ(scalar, detail::has_beyond_fast(packed.data(), bits, size)) << bits << " " << size;
  }
  EXPECT_GT(found, 500u);
  EXPECT_LT(found, 3500u);
}

}  // namespace
}  // namespace spillway::exporter

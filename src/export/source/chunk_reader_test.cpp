#include "export/source/chunk_reader.hpp"

#include <gtest/gtest.h>
#include <libdeflate.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <set>

#include "core/test_folder.hpp"
#include "export/shard/precomputed_shard.hpp"

namespace spillway::exporter {
namespace {

Scale scale_of(std::array<int64_t, 3> blocks) {
  Scale scale;
  scale.key = "key";
  for (size_t d = 0; d < 3; ++d) scale.size[d] = 64 * blocks[d] - 1;
  scale.resolution = {1, 1, 1};
  return scale;
}

TEST(ChunkGrid, TakesApartWhatGridPutsTogether) {
  std::mt19937_64 random(3);
  for (const auto& blocks :
       {std::array<int64_t, 3>{10, 3, 2}, {1, 1, 1}, {1471, 1224, 2103}, {1, 5000, 1}}) {
    const Scale scale = scale_of(blocks);
    const Grid grid = *Grid::of(scale, 0);
    const ChunkGrid chunks(scale);
    for (int i = 0; i < 500; ++i) {
      GridAt g;
      for (size_t d = 0; d < 3; ++d)
        g[d] = static_cast<uint32_t>(random() % static_cast<uint64_t>(blocks[d]));
      const std::array<uint64_t, 3> want{g[0], g[1], g[2]};
      ASSERT_EQ(chunks.at(grid.morton(g)), want);
    }
  }
}

TEST(ChunkFormat, WidensRawChunksAndClearsWhatIsOutside) {
  const std::array<uint32_t, 3> extent{3, 2, 2}, room{4, 3, 2};
  for (const size_t width : {1u, 2u, 4u, 8u}) {
    const ChunkFormat format{width, false, {8, 8, 8}};
    std::vector<uint8_t> bytes(12 * width);
    for (size_t i = 0; i < 12; ++i) bytes[i * width + width - 1] = static_cast<uint8_t>(i + 1);
    EXPECT_EQ(format.bound(extent), bytes.size());
    std::vector<uint64_t> out(24, 77);
    ASSERT_TRUE(decode_chunk(format, bytes, extent, room, out));
    for (uint64_t i = 0; i < 24; ++i) {
      const uint64_t x = i % 4, y = i / 4 % 3, z = i / 12;
      const uint64_t want = x < 3 && y < 2 ? ((z * 2 + y) * 3 + x + 1) << (8 * (width - 1)) : 0;
      ASSERT_EQ(out[i], want) << width << " " << i;
    }
    for (size_t less = 0; less < bytes.size(); ++less)
      EXPECT_FALSE(decode_chunk(format, std::span(bytes).first(less), extent, room, out));
    bytes.push_back(0);
    EXPECT_FALSE(decode_chunk(format, bytes, extent, room, out));
  }
}

TEST(ChunkFormat, ReadsLabelsOf32BitsInBlocksOfAnyShape) {
  // One block of 4 x 2 x 1 voxels, clipped to 3 x 2 x 1: labels 7 and 9, a bit each.
  const uint32_t words[] = {1, 2 | 1u << 24, 4, 7, 9, 0b0110'0101};
  std::vector<uint8_t> bytes(sizeof words);
  std::memcpy(bytes.data(), words, sizeof words);
  const ChunkFormat format{4, true, {4, 2, 1}};
  std::vector<uint64_t> out(6);
  ASSERT_TRUE(decode_chunk(format, bytes, {3, 2, 1}, {3, 2, 1}, out));
  EXPECT_EQ(out, (std::vector<uint64_t>{9, 7, 9, 7, 9, 9}));
  EXPECT_GE(format.bound({3, 2, 1}), bytes.size());
  for (size_t less = 0; less < bytes.size(); ++less)
    EXPECT_FALSE(decode_chunk(format, std::span(bytes).first(less), {3, 2, 1}, {3, 2, 1}, out));
  // Zero bytes, as a file system leaves them after a crash, are no empty chunk.
  for (size_t kept : {size_t{0}, sizeof(uint32_t)}) {
    std::vector<uint8_t> zeroed = bytes;
    std::fill(zeroed.begin() + static_cast<ptrdiff_t>(kept), zeroed.end(), uint8_t{0});
    EXPECT_FALSE(decode_chunk(format, zeroed, {3, 2, 1}, {3, 2, 1}, out)) << kept;
  }
}

// A reader over `bytes`, the one shard of a volume of 4 x 4 x 4 chunks.
struct OneShard {
  TestFolder folder;
  VolumeSpec spec;
  std::unique_ptr<Budget> budget = Budget::create(64_MiB);
  Account account = *budget->open({"read", 1, 32_MiB, std::nullopt});

  explicit OneShard(bool gzip) {
    Scale scale = scale_of({4, 4, 4});
    scale.encoding = "raw";
    scale.sharding = Sharding{.preshift_bits = 1,
                              .minishard_bits = 2,
                              .shard_bits = 0,
                              .gzip_index = gzip,
                              .gzip_data = gzip};
    spec.data_type = "uint8";
    spec.scales.push_back(scale);
    std::filesystem::create_directories(folder.path() + "/key");
  }
  std::string file() const { return folder.path() + "/key/0.shard"; }
  Result<std::vector<std::vector<uint8_t>>> read(ChunkReader::Part part = {}) {
    auto reader = TRY(ChunkReader::open(
        TRY(VolumeStore::open(folder.path())), spec, spec.scales[0],
        *account.acquire(ChunkReader::room(spec, spec.scales[0]), std::stop_token()), part));
    std::vector<std::vector<uint8_t>> chunks;
    while (const auto chunk = TRY(reader->next({}))) {
      chunks.emplace_back(chunk->bytes.begin(), chunk->bytes.end());
      chunks.back().push_back(static_cast<uint8_t>(chunk->at[0] + 4 * chunk->at[1]));
    }
    return chunks;
  }
  void write(std::span<const uint8_t> bytes) const {
    std::ofstream(file(), std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
  }
};

TEST(ChunkReader, ReadsItsShardsAndRefusesDamage) {
  std::mt19937_64 random(8);
  for (const bool gzip : {false, true}) {
    OneShard one(gzip);
    auto* const deflate = libdeflate_alloc_compressor(1);
    {
      auto writer = *PrecomputedShardWriter::create(*one.spec.scales[0].sharding);
      ASSERT_TRUE(writer->begin(one.file()));
      for (uint64_t minishard = 0; minishard < 4; ++minishard) {
        for (uint64_t id = 0; id < 64; ++id) {
          if (shard_of(id, *one.spec.scales[0].sharding).minishard != minishard) continue;
          std::vector<uint8_t> chunk(100 + id, static_cast<uint8_t>(id)), packed(1000);
          if (gzip) {
            packed.resize(libdeflate_gzip_compress(deflate, chunk.data(), chunk.size(),
                                                   packed.data(), packed.size()));
            chunk = packed;
          }
          ASSERT_TRUE(writer->add(minishard, id, chunk));
        }
      }
      ASSERT_TRUE(writer->end());
    }
    libdeflate_free_compressor(deflate);
    const auto chunks = one.read();
    ASSERT_TRUE(chunks) << chunks.error().message();
    ASSERT_EQ(chunks->size(), 64u);
    for (const auto& chunk : *chunks) ASSERT_EQ(chunk.size(), 101u + chunk[0]);
    for (const uint64_t count : {2u, 3u, 4u, 7u}) {  // each chunk is in one of the parts
      std::multiset<std::vector<uint8_t>> parts;
      for (uint64_t i = 0; i < count; ++i) {
        const auto some = one.read({i, count});
        ASSERT_TRUE(some) << some.error().message();
        EXPECT_EQ(some->size(), count <= 4 ? (4 - i + count - 1) / count * 16 : i < 4 ? 16u : 0u);
        parts.insert(some->begin(), some->end());
      }
      EXPECT_EQ(parts, std::multiset(chunks->begin(), chunks->end()));
    }

    std::ifstream stream(one.file(), std::ios::binary);
    const std::vector<uint8_t> good((std::istreambuf_iterator<char>(stream)), {});
    for (size_t size = 0; size < good.size(); size += 1 + size / 40) {
      one.write(std::span(good).first(size));
      EXPECT_FALSE(one.read()) << size;
    }
    int refused = 0;
    for (int i = 0; i < 300; ++i) {
      auto damaged = good;
      damaged[random() % (i % 2 == 0 ? 64 : good.size())] ^=
          static_cast<uint8_t>(1 << random() % 8);
      one.write(damaged);
      refused += one.read().has_value() ? 0 : 1;
    }
    EXPECT_GT(refused, 100);
  }
}

constexpr const char* kInfo = R"({"data_type": "uint32", "num_channels": 1, "scales": [{"key": "a",
  "size": [10, 20, 30], "resolution": [1, 1, 1], "chunk_sizes": [[50, 40, 7]],
  "encoding": "compressed_segmentation", "compressed_segmentation_block_size": [8, 4, 2]}]})";

TEST(VolumeSpec, AsASourceHasChunksOfAnySize) {
  EXPECT_FALSE(VolumeSpec::parse(kInfo, "info"));
  const auto spec = VolumeSpec::parse(kInfo, "info", VolumeSpec::Use::kSource);
  ASSERT_TRUE(spec) << spec.error().message();
  EXPECT_EQ(spec->scales[0].chunk, (std::array<uint32_t, 3>{50, 40, 7}));
  EXPECT_EQ(spec->scales[0].segmentation_block, (std::array<uint32_t, 3>{8, 4, 2}));
  const std::string info = kInfo;
  for (const auto& [from, to] : {std::pair{"uint32", "uint8"},
                                 {"uint32", "float32"},
                                 {"[[50, 40, 7]]", "[]"},
                                 {"[[50, 40, 7]]", "[[0, 1, 1]]"},
                                 {"[[50, 40, 7]]", "[[4096, 4096, 4096]]"},
                                 {"[[50, 40, 7]]", "[[1, 2]]"},
                                 {"compressed_segmentation\"", "jpeg\""},
                                 {"[8, 4, 2]", "[8, 4, 0]"},
                                 {"\"num_channels\": 1", "\"num_channels\": 2"}}) {
    std::string other = info;
    other.replace(other.find(from), std::string(from).size(), to);
    EXPECT_FALSE(VolumeSpec::parse(other, "info", VolumeSpec::Use::kSource)) << to;
  }
}

}  // namespace
}  // namespace spillway::exporter

// Makes a volume that looks like a real segmentation, as fast as two cores can, for the benchmarks of
// `spillway export`: a blocks stream of gzip payloads, its info, a mapping, and a .npy of the voxels.
//
//   make_blocks FOLDER --grid X,Y,Z [--order zyx|shuffled|reversed] [--worst N] [--npy] [--ids N]
//               [--preshift B] [--minishard B] [--batch N] [--seed S]
//
// Palettes of the sub-blocks: 60 % solid, 22 % of 1 bit, 15 % of 2 bits, 3 % of 3 bits; 24 labels a block;
// borders between labels are nearly axis-parallel cuts. --worst: every N-th block has 64^3 different
// labels (3.44 MB). Prints the mean sizes. FOLDER gets stream, info, map.bin (pairs of u64; 1 in 20 to
// 0), and volume.npy (Z, Y, X; uint64).
#include <libdeflate.h>
#include <zstd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <fstream>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace {

constexpr size_t kLabels = 24;

struct Options {
  std::string folder, order = "shuffled";
  std::array<uint32_t, 3> grid{16, 16, 16};
  uint64_t worst = 0, ids = 1000000, seed = 1;
  unsigned preshift = 6, minishard = 6, batch = 0;
  bool npy = false;
};

// splitmix64
struct Random {
  uint64_t state;
  uint64_t operator()() {
    uint64_t z = state += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }
  uint32_t below(uint32_t n) { return static_cast<uint32_t>(((*this)() >> 32) * n >> 32); }
  double unit() { return static_cast<double>((*this)() >> 11) * 0x1p-53; }
};

void put32(std::vector<uint8_t>& out, uint32_t value) {
  out.resize(out.size() + sizeof value);
  std::memcpy(out.data() + out.size() - sizeof value, &value, sizeof value);
}
void put64(std::vector<uint8_t>& out, uint64_t value) {
  out.resize(out.size() + sizeof value);
  std::memcpy(out.data() + out.size() - sizeof value, &value, sizeof value);
}

// One sub-block: 512 numbers below 24, x fastest.
void make_sub_block(Random& random, std::array<uint8_t, 512>& values) {
  const double share = random.unit();
  const unsigned cuts = share < 0.60 ? 0 : share < 0.82 ? 1 : share < 0.97 ? 2 : 3;
  std::array<uint8_t, kLabels> names;
  for (size_t i = 0; i < kLabels; ++i) names[i] = static_cast<uint8_t>(i);
  for (size_t i = 0; i < (size_t{1} << cuts); ++i)
    std::swap(names[i], names[i + random.below(static_cast<uint32_t>(kLabels - i))]);
  std::array<uint8_t, 512> region{};
  const uint32_t first_axis = random.below(3);
  for (unsigned cut = 0; cut < cuts; ++cut) {
    double tilt[3];
    for (double& t : tilt) t = (random.unit() + random.unit() + random.unit() - 1.5) * 0.08;
    tilt[(first_axis + cut) % 3] = 1;
    const double offset = 2 + random.below(5) - 0.5;
    for (size_t v = 0; v < 512; ++v) {
      const auto x = static_cast<double>(v & 7), y = static_cast<double>(v >> 3 & 7),
                 z = static_cast<double>(v >> 6);
      const bool beyond = tilt[0] * x + tilt[1] * y + tilt[2] * z > offset;
      region[v] = static_cast<uint8_t>(region[v] * 2 + (beyond ? 1 : 0));
    }
  }
  for (size_t v = 0; v < 512; ++v) values[v] = names[region[v]];
}

class Maker {
 public:
  explicit Maker(const Options& options)
      : options_(options), deflate_(libdeflate_alloc_compressor(6)), context_(ZSTD_createCCtx()) {}
  ~Maker() {
    libdeflate_free_compressor(deflate_);
    ZSTD_freeCCtx(context_);
  }

  Maker(const Maker&) = delete;
  Maker& operator=(const Maker&) = delete;

  // The label block of that number; its voxels as well where `voxels` is not null.
  void block(uint64_t number, uint64_t* voxels) {
    Random random{options_.seed * 0x9E3779B97F4A7C15u + number};
    out_.clear();
    for (int i = 0; i < 3; ++i) put32(out_, 8);
    if (options_.worst != 0 && number % options_.worst == options_.worst / 2) {
      worst(random, voxels);
      return;
    }
    std::array<uint64_t, kLabels> ids;
    for (uint64_t& id : ids) id = 1 + random.below(static_cast<uint32_t>(options_.ids));
    std::vector<uint8_t> order;  // names by first occurrence in the order of sub-blocks
    std::array<uint8_t, kLabels> place;
    place.fill(255);
    std::vector<uint16_t> sizes;
    std::vector<uint32_t> palettes;
    std::vector<uint8_t> packed;
    std::array<uint8_t, 512> values;
    for (size_t sub = 0; sub < 512; ++sub) {
      make_sub_block(random, values);
      if (sub == 0)
        for (size_t i = 0; i < kLabels; ++i) values[i * 21] = static_cast<uint8_t>(i);
      std::array<uint8_t, kLabels> entry;
      entry.fill(255);
      std::array<uint8_t, kLabels> palette;
      unsigned count = 0;
      for (const uint8_t name : values) {
        if (entry[name] != 255) continue;
        entry[name] = static_cast<uint8_t>(count);
        palette[count++] = name;
      }
      for (unsigned i = 0; i < count; ++i) {
        if (place[palette[i]] == 255) {
          place[palette[i]] = static_cast<uint8_t>(order.size());
          order.push_back(palette[i]);
        }
        palettes.push_back(place[palette[i]]);
      }
      sizes.push_back(static_cast<uint16_t>(count));
      const auto bits = count < 2 ? 0u : static_cast<unsigned>(std::bit_width(count - 1));
      if (bits > 0) {
        uint32_t held = 0;
        unsigned filled = 0;
        for (const uint8_t name : values) {
          held = held << bits | entry[name];
          filled += bits;
          while (filled >= 8) packed.push_back(static_cast<uint8_t>(held >> (filled -= 8)));
        }
      }
      if (voxels != nullptr) {
        for (size_t v = 0; v < 512; ++v) {
          const size_t x = sub % 8 * 8 + (v & 7), y = sub / 8 % 8 * 8 + (v >> 3 & 7),
                       z = sub / 64 * 8 + (v >> 6);
          voxels[(z * 64 + y) * 64 + x] = ids[values[v]];
        }
      }
    }
    put32(out_, static_cast<uint32_t>(order.size()));
    for (const uint8_t name : order) put64(out_, ids[name]);
    for (const uint16_t size : sizes) {
      out_.push_back(static_cast<uint8_t>(size));
      out_.push_back(static_cast<uint8_t>(size >> 8));
    }
    for (const uint32_t index : palettes) put32(out_, index);
    out_.insert(out_.end(), packed.begin(), packed.end());
  }

  // Appends the record of a block.
  void record(uint64_t number, std::vector<uint8_t>& to) {
    block(number, nullptr);
    const auto at = place(number);
    for (const uint32_t c : at) put32(to, c);
    const size_t header = to.size();
    to.resize(header + 4 + libdeflate_gzip_compress_bound(deflate_, out_.size()));
    const size_t made = libdeflate_gzip_compress(deflate_, out_.data(), out_.size(),
                                                 to.data() + header + 4, to.size() - header - 4);
    const auto length = static_cast<uint32_t>(made);
    std::memcpy(to.data() + header, &length, 4);
    to.resize(header + 4 + made);
    if (out_.size() > 100000 || number % 64 != 0) return;
    frame_.resize(ZSTD_compressBound(out_.size()));
    zstd_bytes +=
        ZSTD_compressCCtx(context_, frame_.data(), frame_.size(), out_.data(), out_.size(), 3);
    raw_bytes += out_.size();
    gzip_bytes += made;
    ++measured;
  }
  std::array<uint32_t, 3> place(uint64_t number) const {
    const auto& grid = options_.grid;
    return {static_cast<uint32_t>(number % grid[0]),
            static_cast<uint32_t>(number / grid[0] % grid[1]),
            static_cast<uint32_t>(number / grid[0] / grid[1])};
  }
  uint64_t raw_bytes = 0, gzip_bytes = 0, zstd_bytes = 0, measured = 0;

 private:
  void worst(Random& random, uint64_t* voxels) {
    constexpr uint32_t kVoxels = 64 * 64 * 64;
    const uint64_t base = random() | 1;
    put32(out_, kVoxels);
    for (uint64_t i = 0; i < kVoxels; ++i) put64(out_, base + i * 0x9E3779B97F4A7C15u);
    for (size_t i = 0; i < 512; ++i) out_.push_back(0), out_.push_back(2);
    for (uint32_t i = 0; i < kVoxels; ++i) put32(out_, i);
    for (size_t i = 0; i < 512; ++i) {
      uint64_t held = 0;
      unsigned filled = 0;
      for (uint32_t v = 0; v < 512; ++v) {
        held = held << 9 | v;
        filled += 9;
        while (filled >= 8) out_.push_back(static_cast<uint8_t>(held >> (filled -= 8)));
      }
    }
    for (size_t i = 0; voxels != nullptr && i < kVoxels; ++i) {
      const size_t sub = i / 512, v = i % 512;
      const size_t x = sub % 8 * 8 + (v & 7), y = sub / 8 % 8 * 8 + (v >> 3 & 7),
                   z = sub / 64 * 8 + (v >> 6);
      voxels[(z * 64 + y) * 64 + x] = base + i * 0x9E3779B97F4A7C15u;
    }
  }

  const Options& options_;
  libdeflate_compressor* deflate_;
  ZSTD_CCtx* context_;
  std::vector<uint8_t> out_, frame_;
};

[[noreturn]] void die(const std::string& what) {
  std::fprintf(stderr, "make_blocks: %s\n", what.c_str());
  std::exit(1);
}

void write_stream(const Options& options) {
  const uint64_t count = uint64_t{options.grid[0]} * options.grid[1] * options.grid[2];
  std::vector<uint32_t> numbers(count);
  for (uint64_t i = 0; i < count; ++i) numbers[i] = static_cast<uint32_t>(i);
  if (options.order == "reversed") std::reverse(numbers.begin(), numbers.end());
  if (options.order == "shuffled") {
    Random random{options.seed};
    for (uint64_t i = count; i > 1; --i)
      std::swap(numbers[i - 1], numbers[random.below(static_cast<uint32_t>(i))]);
  }
  std::ofstream out(options.folder + "/stream", std::ios::binary);
  const unsigned threads = std::max(1u, std::thread::hardware_concurrency());
  std::deque<Maker> makers;
  for (unsigned t = 0; t < threads; ++t) makers.emplace_back(options);
  constexpr uint64_t kPiece = 1024;  // blocks of a thread at a time
  std::vector<std::vector<uint8_t>> pieces(threads);
  for (uint64_t begin = 0; begin < count; begin += kPiece * threads) {
    std::vector<std::jthread> workers;
    for (unsigned t = 0; t < threads; ++t) {
      workers.emplace_back([&, t] {
        pieces[t].clear();
        const uint64_t from = begin + t * kPiece;
        for (uint64_t i = from; i < std::min(count, from + kPiece); ++i)
          makers[t].record(numbers[i], pieces[t]);
      });
    }
    workers.clear();
    for (const auto& piece : pieces)
      out.write(reinterpret_cast<const char*>(piece.data()),
                static_cast<std::streamsize>(piece.size()));
  }
  if (!out.flush()) die("writing the stream");
  uint64_t raw = 0, gzip = 0, zstd = 0, measured = 0;
  for (const Maker& maker : makers)
    raw += maker.raw_bytes, gzip += maker.gzip_bytes, zstd += maker.zstd_bytes,
        measured += maker.measured;
  measured = std::max<uint64_t>(measured, 1);
  std::printf("blocks %lu mean %lu gzip %lu zstd-3 %lu\n", static_cast<unsigned long>(count),
              static_cast<unsigned long>(raw / measured),
              static_cast<unsigned long>(gzip / measured),
              static_cast<unsigned long>(zstd / measured));
}

void write_npy(const Options& options) {
  std::ofstream out(options.folder + "/volume.npy", std::ios::binary);
  const size_t nx = options.grid[0] * size_t{64}, ny = options.grid[1] * size_t{64};
  std::string header = "{'descr': '<u8', 'fortran_order': False, 'shape': (" +
                       std::to_string(options.grid[2] * 64) + ", " + std::to_string(ny) + ", " +
                       std::to_string(nx) + "), }";
  header.resize((10 + header.size() + 64) / 64 * 64 - 10, ' ');
  header.back() = '\n';
  const auto length = static_cast<uint16_t>(header.size());
  out.write("\x93NUMPY\x01\x00", 8);
  out.write(reinterpret_cast<const char*>(&length), 2);
  out << header;
  Maker maker(options);
  std::vector<uint64_t> slab(64 * ny * nx), voxels(64 * 64 * 64);
  for (uint32_t z = 0; z < options.grid[2]; ++z) {
    for (uint32_t y = 0; y < options.grid[1]; ++y) {
      for (uint32_t x = 0; x < options.grid[0]; ++x) {
        maker.block((uint64_t{z} * options.grid[1] + y) * options.grid[0] + x, voxels.data());
        for (size_t row = 0; row < 4096; ++row)
          std::memcpy(&slab[((row / 64) * ny + y * 64 + row % 64) * nx + x * 64], &voxels[row * 64],
                      512);
      }
    }
    out.write(reinterpret_cast<const char*>(slab.data()),
              static_cast<std::streamsize>(slab.size() * 8));
  }
  if (!out.flush()) die("writing the volume");
}

void write_rest(const Options& options) {
  std::ofstream map(options.folder + "/map.bin", std::ios::binary);
  Random random{options.seed + 77};
  std::vector<uint64_t> pairs;
  for (uint64_t id = 1; id <= options.ids; ++id) {
    pairs.push_back(id);
    pairs.push_back(random.below(20) == 0 ? 0 : 1 + (random() >> 24));
  }
  map.write(reinterpret_cast<const char*>(pairs.data()),
            static_cast<std::streamsize>(pairs.size() * 8));
  uint64_t bits = 0;
  for (const uint32_t side : options.grid)
    bits += side <= 1 ? 0 : static_cast<uint64_t>(std::bit_width(side - 1));
  const uint64_t shard =
      bits > options.preshift + options.minishard ? bits - options.preshift - options.minishard : 0;
  std::ofstream info(options.folder + "/info");
  info << "{\"@type\": \"neuroglancer_multiscale_volume\", \"type\": \"segmentation\", "
          "\"data_type\": \"uint64\", "
          "\"num_channels\": 1,\n";
  if (options.batch > 0) info << " \"batch_size\": " << options.batch << ",\n";
  info << " \"scales\": [{\"key\": \"8_8_8\", \"size\": [" << options.grid[0] * 64 << ", "
       << options.grid[1] * 64 << ", " << options.grid[2] * 64
       << "], \"resolution\": [8, 8, 8], \"voxel_offset\": [0, 0, 0], \"chunk_sizes\": [[64, 64, "
          "64]],\n"
          "  \"encoding\": \"compressed_segmentation\", \"compressed_segmentation_block_size\": "
          "[8, 8, 8],\n"
          "  \"sharding\": {\"@type\": \"neuroglancer_uint64_sharded_v1\", \"hash\": \"identity\", "
          "\"preshift_bits\": "
       << options.preshift << ", \"minishard_bits\": " << options.minishard
       << ", \"shard_bits\": " << shard
       << ",\n   \"minishard_index_encoding\": \"raw\", \"data_encoding\": \"raw\"}}]}\n";
  if (!map.flush() || !info.flush()) die("writing into " + options.folder);
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  if (argc < 2) die("make_blocks FOLDER --grid X,Y,Z ...: see the head of its source");
  options.folder = argv[1];
  for (int i = 2; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--npy") {
      options.npy = true;
      continue;
    }
    if (i + 1 == argc) die(name + ": needs a value");
    const std::string value = argv[++i];
    const auto number = std::strtoull(value.c_str(), nullptr, 10);
    if (name == "--grid") {
      auto& grid = options.grid;
      if (std::sscanf(value.c_str(), "%u,%u,%u", &grid[0], &grid[1], &grid[2]) != 3)
        die("--grid X,Y,Z");
    } else if (name == "--order") {
      options.order = value;
    } else if (name == "--worst") {
      options.worst = number;
    } else if (name == "--ids") {
      options.ids = number;
    } else if (name == "--seed") {
      options.seed = number;
    } else if (name == "--preshift") {
      options.preshift = static_cast<unsigned>(number);
    } else if (name == "--minishard") {
      options.minishard = static_cast<unsigned>(number);
    } else if (name == "--batch") {
      options.batch = static_cast<unsigned>(number);
    } else {
      die("unknown option " + name);
    }
  }
  write_rest(options);
  if (options.npy)
    write_npy(options);
  else
    write_stream(options);
  return 0;
}

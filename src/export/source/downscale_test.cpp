#include "export/source/downscale.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "core/test_folder.hpp"

namespace spillway::exporter {
namespace {

std::vector<uint64_t> voxels_of(std::mt19937_64& random, size_t labels) {
  std::vector<uint64_t> voxels(kBlockVoxels);
  uint64_t current = 0;
  for (uint64_t& voxel : voxels) {
    if (random() % 4 == 0) current = random() % labels;
    voxel = current;
  }
  return voxels;
}

// The definition, voxel by voxel.
std::vector<uint64_t> majority(const std::vector<uint64_t>& voxels, GridAt g,
                               const ScaleStep& step) {
  const auto counts = step.part_counts();
  std::vector<uint64_t> out;
  for (uint32_t z = 0; z < counts[2] * 8; ++z) {
    for (uint32_t y = 0; y < counts[1] * 8; ++y) {
      for (uint32_t x = 0; x < counts[0] * 8; ++x) {
        std::map<uint64_t, int> votes;
        for (uint32_t dz = 0; dz < step.factor[2]; ++dz) {
          for (uint32_t dy = 0; dy < step.factor[1]; ++dy) {
            for (uint32_t dx = 0; dx < step.factor[0]; ++dx) {
              const std::array<uint32_t, 3> at{x * step.factor[0] + dx, y * step.factor[1] + dy,
                                               z * step.factor[2] + dz};
              bool inside = true;
              for (size_t d = 0; d < 3; ++d) inside &= int64_t{64} * g[d] + at[d] < step.size[d];
              if (inside) ++votes[voxels[(at[2] * 64 + at[1]) * 64 + at[0]]];
            }
          }
        }
        uint64_t best = 0;
        int most = 0;
        for (const auto& [label, count] : votes) {
          if (count > most) most = count, best = label;
        }
        out.push_back(best);
      }
    }
  }
  return out;
}

TEST(Downscale, ReducesToTheMajorityOfWhatIsInside) {
  std::mt19937_64 random(4);
  BlockEncoder encoder;
  for (const size_t labels : {1u, 2u, 3u, 16u, 17u, 600u}) {
    const auto voxels = voxels_of(random, labels);
    const auto block = LabelBlock::parse(encoder.encode(voxels));
    ASSERT_TRUE(block);
    for (const auto& factor : {std::array<uint32_t, 3>{2, 2, 2}, {2, 2, 1}, {1, 2, 1}, {1, 1, 1}}) {
      for (const auto& size : {std::array<int64_t, 3>{192, 192, 192}, {128 + 33, 64 + 1, 9}}) {
        const ScaleStep step{factor, size};
        const GridAt g{2, 1, 0};
        std::vector<uint64_t> out(step.part_voxels(), 99);
        reduce_block(*block, block->label_bytes(), g, step, out);
        ASSERT_EQ(out, majority(voxels, g, step)) << labels;
      }
    }
  }
}

TEST(Downscale, CountsEqualMappedLabelsTogether) {
  // Four of body 7 by two supervoxels win over three of body 5.
  std::vector<uint64_t> voxels(kBlockVoxels, 1);
  const size_t corners[] = {0, 1, 64, 65, 4096, 4097, 4160, 4161};
  const uint64_t labels[] = {2, 2, 3, 3, 4, 4, 4, 1};
  for (size_t i = 0; i < 8; ++i) voxels[corners[i]] = labels[i];
  BlockEncoder encoder;
  const auto block = LabelBlock::parse(encoder.encode(voxels));
  std::vector<uint64_t> mapped;
  for (uint32_t i = 0; i < block->label_count(); ++i) {
    const uint64_t label = block->label(i);
    mapped.push_back(label == 4 ? 5 : label == 1 ? 9 : 7);
  }
  const ScaleStep step{{2, 2, 2}, {64, 64, 64}};
  std::vector<uint64_t> out(step.part_voxels());
  reduce_block(*block, reinterpret_cast<const uint8_t*>(mapped.data()), {0, 0, 0}, step, out);
  EXPECT_EQ(out[0], 7u);
  reduce_block(*block, block->label_bytes(), {0, 0, 0}, step, out);
  EXPECT_EQ(out[0], 4u);
}

Scale scale_of(std::array<int64_t, 3> size, double resolution) {
  Scale scale;
  scale.key = std::to_string(resolution);
  scale.size = size;
  scale.resolution = {resolution, resolution, resolution};
  return scale;
}

TEST(Downscale, PartsInAnyOrderMakeTheNextScaleInOrder) {
  TestFolder folder;
  auto space = *ScratchSpace::create({.folder = folder.path(), .allow_tmpfs = true});
  auto budget = Budget::create(64_MiB);
  auto account = *budget->open({"parts", 1, 32_MiB, std::nullopt});
  VolumeSpec spec;
  spec.scales = {scale_of({130, 64, 100}, 8), scale_of({65, 32, 50}, 16)};
  const auto step = scale_step(spec, 0, "spec");
  ASSERT_TRUE(step) << step.error().message();
  const ExternalSortOptions options{.memory = 4_MiB, .frame_bytes = size_t{256} << 10};
  std::mt19937_64 random(6);
  std::map<std::array<uint32_t, 3>, std::vector<uint64_t>> blocks;
  for (uint32_t x : {2u, 0u, 1u}) {
    for (uint32_t z : {1u, 0u}) {
      // One of all different labels, whose part is too long for the sort.
      blocks[{x, 0, z}] = voxels_of(random, x == 1 ? 1u << 30 : 40);
    }
  }
  auto sort = *ExternalSort::create(options, account, space);
  auto file = std::make_unique<PartFile>();
  file->space = space;
  {
    PartMaker maker({.step = *step, .keep_zero = true}, *file, sort->input(0));
    BlockEncoder encoder, part_encoder;
    std::vector<uint64_t> room(kBlockVoxels);
    std::vector<uint8_t> record(size_t{128} << 10);
    uint64_t ordinal = 0;
    for (const auto& [at, voxels] : blocks) {
      const auto block = LabelBlock::parse(encoder.encode(voxels));
      for (int twice = 0; twice < 2; ++twice) {  // copies do not matter
        maker.reduce(*block, block->label_bytes(), at, room);
        ASSERT_TRUE(maker.add(part_encoder, ordinal++, record));
      }
    }
  }
  const Grid grid = *Grid::of(spec.scales[1], 1);
  auto source = open_downscaled(std::move(sort), std::move(file), *step, grid, account);
  ASSERT_TRUE(source) << source.error().message();
  std::vector<BlockAt> met;
  while (auto unit = *(*source)->next({})) {
    ASSERT_EQ(unit->items.size(), 1u);
    const BlockAt at = unit->items[0].at;
    met.push_back(at);
    const auto voxels = unit->bytes.as<uint64_t>();
    for (const auto& [child, fine] : blocks) {
      if (static_cast<int32_t>(child[0] / 2) != at[0]) continue;
      const auto part = majority(fine, child, *step);
      for (size_t i = 0; i < part.size(); i += 7) {
        const size_t x = child[0] % 2 * 32 + i % 32, y = i / 32 % 32,
                     z = child[2] % 2 * 32 + i / 1024;
        ASSERT_EQ(voxels[(z * 64 + y) * 64 + x], part[i]);
      }
    }
  }
  EXPECT_EQ(met, (std::vector<BlockAt>{{0, 0, 0}, {1, 0, 0}}));
}

TEST(Downscale, RefusesScalesThatAreNotOneAnothersHalf) {
  VolumeSpec spec;
  spec.scales = {scale_of({130, 64, 100}, 8), scale_of({65, 32, 50}, 16)};
  ASSERT_TRUE(scale_step(spec, 0, "spec"));
  const auto refused = [&](auto change, const char* word) {
    VolumeSpec other = spec;
    change(other.scales[1]);
    const auto step = scale_step(other, 0, "spec");
    ASSERT_FALSE(step);
    EXPECT_EQ(step.error().code(), Code::kUsage);
    EXPECT_NE(step.error().message().find(word), std::string::npos) << step.error().message();
  };
  refused([](Scale& scale) { scale.resolution[1] = 24; }, "3 times as coarse");
  refused([](Scale& scale) { scale.resolution[1] = 4; }, "along y");
  refused([](Scale& scale) { scale.size[2] = 51; }, "size along z must be 100 / 2");
  refused([](Scale& scale) { scale.voxel_offset[0] = 64; }, "voxel_offset along x");
}

}  // namespace
}  // namespace spillway::exporter

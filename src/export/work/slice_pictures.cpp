#include "export/work/slice_pictures.hpp"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <png.h>
#include <zstd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

namespace spillway::exporter {
namespace {

constexpr std::array<const char*, 3> kAxes{"x", "y", "z"};

uint64_t mixed(uint64_t x) {  // splitmix64
  x += 0x9E3779B97F4A7C15u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

std::string base64(std::span<const uint8_t> bytes) {
  std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');
  const int made = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), bytes.data(),
                                   static_cast<int>(bytes.size()));
  text.resize(static_cast<size_t>(made));
  return text;
}

Result<std::vector<uint8_t>> png_of(const uint8_t* pixels, uint32_t width, uint32_t height) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = width;
  image.height = height;
  image.format = PNG_FORMAT_RGB;
  std::vector<uint8_t> png(PNG_IMAGE_PNG_SIZE_MAX(image));
  png_alloc_size_t size = png.size();
  if (png_image_write_to_memory(&image, png.data(), &size, 0, pixels, 0, nullptr) == 0)
    return fail(Code::kInternal, fmt::format("making a PNG: {}", image.message));
  png.resize(size);
  return png;
}

}  // namespace

uint32_t colour_of(uint64_t id) {
  if (id == 0) return 0;
  const uint64_t hash = mixed(id);
  const auto part = [&](unsigned shift) {
    return static_cast<double>(hash >> shift & 0xFFFF) / 65536;
  };
  const double hue = 6 * part(0), saturation = 0.5 + 0.45 * part(16), value = 0.6 + 0.4 * part(32);
  const auto channel = [&](double n) {
    const double k = std::fmod(n + hue, 6);
    const double v = value - value * saturation * std::max(0.0, std::min({k, 4 - k, 1.0}));
    return static_cast<uint32_t>(std::lround(255 * v));
  };
  return channel(5) << 16 | channel(3) << 8 | channel(1);
}

Bytes SlicePictures::room(std::array<uint32_t, 3> pixels) {
  const auto area = [&](size_t a, size_t b) { return uint64_t{3} * pixels[a] * pixels[b]; };
  return Bytes(area(0, 1) + area(0, 2) + area(1, 2));
}

std::unique_ptr<SlicePictures> SlicePictures::create(const Options& options, Account account) {
  const auto size = options.size;
  std::unique_ptr<SlicePictures> made(new SlicePictures(size));
  if (options.opens_frames) {
    auto lease = account.try_acquire(Bytes(kMaxBlockBytes));
    if (!lease) return nullptr;
    auto pages = Pages::map(std::move(*lease));
    if (!pages) return nullptr;
    made->block_ = std::move(*pages);
  }
  for (uint32_t side = kMostSide; side >= 64; side /= 2) {
    for (size_t d = 0; d < 3; ++d) {
      made->middle_[d] = size[d] / 2;
      made->step_[d] = std::max<int64_t>(1, (size[d] + side - 1) / side);
      made->pixels_[d] = static_cast<uint32_t>((size[d] + made->step_[d] - 1) / made->step_[d]);
    }
    auto lease = account.try_acquire(room(made->pixels_));
    if (!lease) continue;
    auto pages = Pages::map(std::move(*lease));
    if (!pages) return nullptr;
    made->pages_ = std::move(*pages);
    for (size_t axis = 1; axis < 3; ++axis)
      made->begin_[axis] =
          made->begin_[axis - 1] + size_t{3} * made->width(axis - 1) * made->height(axis - 1);
    return made;
  }
  return nullptr;
}

bool SlicePictures::wants(GridAt g) const {
  for (size_t d = 0; d < 3; ++d) {
    if (g[d] == static_cast<uint64_t>(middle_[d]) / kBlockSide) return true;
  }
  return false;
}

void SlicePictures::paint(GridAt g, const LabelBlock& block, const Mapping& mapping) {
  for (size_t axis = 0; axis < 3; ++axis) {
    if (g[axis] == static_cast<uint64_t>(middle_[axis]) / kBlockSide)
      paint_axis(axis, g, block, mapping);
  }
}

void SlicePictures::paint_frame(GridAt g, std::span<const uint8_t> frame, const Mapping& mapping) {
  MutexLock lock(block_mutex_);
  const size_t made = ZSTD_decompress(block_.data(), block_.size(), frame.data(), frame.size());
  if (ZSTD_isError(made)) return;
  const auto block = LabelBlock::parse({block_.data(), made});
  if (block && block->is_64_cubed()) paint(g, *block, mapping);
}

int64_t SlicePictures::voxel_of(size_t axis, uint32_t pixel) const {
  return std::min(int64_t{pixel} * step_[axis] + step_[axis] / 2, size_[axis] - 1);
}

SlicePictures::Samples SlicePictures::samples_of(size_t axis, uint32_t block) const {
  Samples samples;
  const int64_t begin = int64_t{kBlockSide} * block, end = begin + kBlockSide;
  const int64_t first = std::max<int64_t>(0, begin / step_[axis] - 1);
  for (int64_t pixel = first; pixel < pixels_[axis]; ++pixel) {
    const int64_t voxel = voxel_of(axis, static_cast<uint32_t>(pixel));
    if (voxel >= end) break;
    if (voxel < begin) continue;
    samples.pixel[samples.count] = static_cast<uint32_t>(pixel);
    samples.voxel[samples.count++] = static_cast<uint8_t>(voxel - begin);
  }
  return samples;
}

void SlicePictures::paint_axis(size_t axis, GridAt g, const LabelBlock& block,
                               const Mapping& mapping) {
  const size_t right = right_of(axis), down = down_of(axis);
  const Samples across = samples_of(right, g[right]), along = samples_of(down, g[down]);
  if (across.count == 0 || along.count == 0) return;
  const auto layer = static_cast<uint32_t>(middle_[axis] % kBlockSide);

  struct Pixel {
    size_t at;
    uint32_t colour;
  };
  std::array<Pixel, 64> made;  // of one sub-block: 8 x 8 voxels at most, each of one pixel
  SubBlockValues values;
  std::array<uint32_t, 512> colours;
  std::array<bool, 512> is_known;
  LabelBlock::Walk walk(block);
  for (uint32_t i = 0; i < 512; ++i) {
    const std::array<uint32_t, 3> sub{i % 8, i / 8 % 8, i / 64};
    const LabelBlock::SubBlock part = walk.next();
    if (sub[axis] != layer / 8 || part.palette_size == 0) continue;
    part.unpack(values);
    is_known.fill(false);
    size_t count = 0;
    for (size_t v = 0; v < along.count; ++v) {
      if (along.voxel[v] / 8u != sub[down]) continue;
      for (size_t u = 0; u < across.count; ++u) {
        if (across.voxel[u] / 8u != sub[right]) continue;
        std::array<uint32_t, 3> in{};
        in[axis] = layer % 8;
        in[right] = across.voxel[u] % 8u;
        in[down] = along.voxel[v] % 8u;
        const uint16_t entry = values[in[2] * 64 + in[1] * 8 + in[0]];
        if (!is_known[entry]) {
          uint64_t id = block.label(part.index(entry));
          (void)mapping.map(reinterpret_cast<const uint8_t*>(&id), 1,
                            reinterpret_cast<uint8_t*>(&id));
          colours[entry] = colour_of(id);
          is_known[entry] = true;
        }
        made[count++] = {size_t{along.pixel[v]} * pixels_[right] + across.pixel[u], colours[entry]};
      }
    }
    MutexLock lock(mutex_);
    for (size_t n = 0; n < count; ++n) {
      uint8_t* const at = picture(axis) + 3 * made[n].at;
      for (int channel = 0; channel < 3; ++channel)
        at[channel] = static_cast<uint8_t>(made[n].colour >> (16 - 8 * channel));
    }
  }
}

uint32_t SlicePictures::pixel(size_t axis, uint32_t right, uint32_t down) const {
  const uint8_t* const at = picture(axis) + 3 * (size_t{down} * width(axis) + right);
  return uint32_t{at[0]} << 16 | uint32_t{at[1]} << 8 | at[2];
}

Result<std::string> SlicePictures::html(const Scale& scale) const {
  std::string out =
      "<style>.slices{display:flex;flex-wrap:wrap;gap:.8rem;align-items:flex-start}"
      ".slices label{cursor:zoom-in;color:var(--soft);font-size:.85rem}"
      ".slices "
      "img{display:block;width:100%;background:#000;image-rendering:pixelated;border-radius:"
      "4px}"
      ".slices input{display:none}.slices input:checked+img{position:fixed;inset:2vh "
      "2vw;margin:auto;"
      "width:auto;height:auto;min-width:50vw;max-width:96vw;max-height:96vh;cursor:zoom-out;z-"
      "index:"
      "9;box-shadow:0 0 0 100vmax #000c}"
      "</style><div class=\"slices\">";
  const auto extent = [&](size_t d) {
    return static_cast<double>(scale.size[d]) * scale.resolution[d];
  };
  const double widest = std::max({extent(0), extent(2), 1e-9});
  for (const size_t axis : {2u, 1u, 0u}) {
    const size_t right = right_of(axis), down = down_of(axis);
    const auto png = TRY(png_of(picture(axis), width(axis), height(axis)));
    const std::string whole = fmt::format("{} x {} voxels", scale.size[right], scale.size[down]);
    const bool is_smaller = width(axis) != static_cast<uint64_t>(scale.size[right]) ||
                            height(axis) != static_cast<uint64_t>(scale.size[down]);
    // As wide as the volume is there, so that all three have one scale; a thin one can still be seen.
    out += fmt::format(
        "<label style=\"flex:{9:.3f} 1 0;min-width:5rem\"><input type=\"checkbox\"><img alt=\"the "
        "slice at {0} = {1}\" style=\"aspect-ratio:{2:.4f}\" src=\"data:image/png;base64,{3}\">{0} "
        "= "
        "{1}; {4} right, {5} down; {6} x {7} {8}</label>",
        kAxes[axis], middle_[axis] + scale.voxel_offset[axis],
        std::clamp(extent(right) / std::max(extent(down), 1e-9), 0.02, 50.0), base64(png),
        kAxes[right], kAxes[down], width(axis), height(axis), is_smaller ? "of " + whole : "voxels",
        std::max(0.3, extent(right) / widest));
  }
  return out + "</div>";
}

}  // namespace spillway::exporter

#include "export/source/voxel_source.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>

#include "core/file/file.hpp"
#include "export/spec/byte_source.hpp"

namespace spillway::exporter {
namespace {

constexpr size_t kRow = 4;  // blocks of a unit, at most
constexpr size_t kBlockBytes = kBlockVoxels * 8;

size_t bytes_of(VoxelType type) {
  switch (type) {
    case VoxelType::kU8:
    case VoxelType::kI8:
      return 1;
    case VoxelType::kU16:
    case VoxelType::kI16:
      return 2;
    case VoxelType::kU32:
    case VoxelType::kI32:
      return 4;
    case VoxelType::kU64:
    case VoxelType::kI64:
      return 8;
  }
  return 8;
}

template <class T>
T value_at(const uint8_t* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

// Turns each value of `width` bytes around.
void swap_bytes(std::span<uint8_t> values, size_t width) {
  if (width == 1) return;
  for (size_t at = 0; at + width <= values.size(); at += width)
    std::reverse(values.begin() + static_cast<ptrdiff_t>(at),
                 values.begin() + static_cast<ptrdiff_t>(at + width));
}

// ---- headers -------------------------------------------------------------------------------------

Result<VoxelType> type_of(std::string name, const std::string& where) {
  static constexpr std::pair<const char*, VoxelType> kTypes[] = {
      {"u1", VoxelType::kU8},      {"u2", VoxelType::kU16},     {"u4", VoxelType::kU32},
      {"u8", VoxelType::kU64},     {"i1", VoxelType::kI8},      {"i2", VoxelType::kI16},
      {"i4", VoxelType::kI32},     {"i8", VoxelType::kI64},     {"uint8", VoxelType::kU8},
      {"b1", VoxelType::kU8},      {"uint16", VoxelType::kU16}, {"uint32", VoxelType::kU32},
      {"uint64", VoxelType::kU64},
  };
  if (name.starts_with('|') || name.starts_with('<') || name.starts_with('>')) name.erase(0, 1);
  for (const auto& [known, type] : kTypes) {
    if (name == known) return type;
  }
  return fail(Code::kInvalid,
              fmt::format("{}: voxels of type {}: labels are whole numbers of 1, 2, 4 or 8 bytes; "
                          "convert them first",
                          where, name));
}

// The text behind 'key': in the header's dictionary.
std::string_view behind(std::string_view header, std::string_view key) {
  const size_t at = header.find(fmt::format("'{}'", key));
  if (at == std::string_view::npos) return {};
  const size_t colon = header.find(':', at);
  if (colon == std::string_view::npos) return {};
  std::string_view rest = header.substr(colon + 1);
  while (rest.starts_with(' ')) rest.remove_prefix(1);
  return rest;
}

Result<VoxelLayout> npy_layout(ByteSource& source, bool xyz) {
  const auto bad = [&](const char* what) {
    return fail(Code::kInvalid, fmt::format("{}: {}", source.path(), what));
  };
  uint8_t head[12];
  if (TRY(source.read(head)) < sizeof head || std::memcmp(head, "\x93NUMPY", 6) != 0)
    return bad("is no .npy file");
  const size_t prefix = head[6] == 1 ? 10 : 12;
  const size_t length = head[6] == 1 ? value_at<uint16_t>(head + 8) : value_at<uint32_t>(head + 8);
  if (length > 65536 || length < 12) return bad("has a header of an unexpected length");
  std::string header(reinterpret_cast<char*>(head) + prefix, sizeof head - prefix);
  const size_t have = header.size();
  header.resize(length);
  if (TRY(source.read({reinterpret_cast<uint8_t*>(header.data()) + have, length - have})) <
      length - have)
    return bad("ends within its header");
  VoxelLayout layout;
  layout.data_offset = prefix + length;
  std::string_view type = behind(header, "descr");
  if (!type.starts_with('\'')) return bad("has no plain \"descr\"");
  type.remove_prefix(1);
  layout.type = TRY(type_of(std::string(type.substr(0, type.find('\''))), source.path()));
  layout.big_endian = type.starts_with('>');
  const bool fortran = behind(header, "fortran_order").starts_with("True");
  std::string_view shape = behind(header, "shape");
  std::array<int64_t, 3> axes{};
  if (!shape.starts_with('(')) return bad("has no \"shape\"");
  shape.remove_prefix(1);
  for (size_t i = 0; i < 3; ++i) {
    while (shape.starts_with(' ') || shape.starts_with(',')) shape.remove_prefix(1);
    const auto [end, error] = std::from_chars(shape.data(), shape.data() + shape.size(), axes[i]);
    if (error != std::errc()) return bad("must have three axes");
    shape.remove_prefix(static_cast<size_t>(end - shape.data()));
  }
  while (shape.starts_with(' ') || shape.starts_with(',')) shape.remove_prefix(1);
  if (!shape.starts_with(')')) return bad("must have three axes");
  if (!xyz) std::swap(axes[0], axes[2]);
  layout.size = axes;
  layout.x_fastest = xyz == fortran;  // C order: the last axis is the fastest
  return layout;
}

// The fields that are needed, of either header, in either byte order.
struct NiftiHeader {
  std::span<uint8_t> bytes;
  bool is_2 = false, big_endian = false;

  template <class T>
  T at(size_t offset) const {
    std::array<uint8_t, sizeof(T)> value;
    std::memcpy(value.data(), bytes.data() + offset, sizeof(T));
    if (big_endian) std::reverse(value.begin(), value.end());
    return value_at<T>(value.data());
  }
  int64_t dim(size_t i) const { return is_2 ? at<int64_t>(16 + 8 * i) : at<int16_t>(40 + 2 * i); }
  double pixdim(size_t i) const {
    return is_2 ? at<double>(104 + 8 * i) : double{at<float>(76 + 4 * i)};
  }
  int16_t datatype() const { return at<int16_t>(is_2 ? 12 : 70); }
  double vox_offset() const {
    return is_2 ? static_cast<double>(at<int64_t>(168)) : double{at<float>(108)};
  }
  double slope() const { return is_2 ? at<double>(176) : double{at<float>(112)}; }
  double intercept() const { return is_2 ? at<double>(184) : double{at<float>(116)}; }
  int unit() const { return (is_2 ? at<int32_t>(500) : bytes[123]) & 7; }
};

Result<VoxelType> nifti_type(int16_t datatype, const std::string& where) {
  static constexpr std::pair<int16_t, VoxelType> kTypes[] = {
      {2, VoxelType::kU8},     {4, VoxelType::kI16},    {8, VoxelType::kI32},
      {256, VoxelType::kI8},   {512, VoxelType::kU16},  {768, VoxelType::kU32},
      {1024, VoxelType::kI64}, {1280, VoxelType::kU64},
  };
  for (const auto& [known, type] : kTypes) {
    if (datatype == known) return type;
  }
  const char* const name = datatype == 16     ? "float32"
                           : datatype == 64   ? "float64"
                           : datatype == 1536 ? "float128"
                                              : "no whole number";
  return fail(
      Code::kInvalid,
      fmt::format("{}: its voxels are {} (NIfTI datatype {}): labels are whole numbers of 1, "
                  "2, 4 or 8 bytes; convert them first",
                  where, name, datatype));
}

Result<VoxelLayout> nifti_layout(ByteSource& source) {
  const auto bad = [&](const std::string& what) {
    return fail(Code::kInvalid, fmt::format("{}: {}", source.path(), what));
  };
  std::array<uint8_t, 540> bytes{};
  if (TRY(source.read(std::span(bytes).first(348))) < 348) return bad("is no NIfTI file");
  const auto size = value_at<uint32_t>(bytes.data()), turned = __builtin_bswap32(size);
  NiftiHeader head{bytes};
  head.big_endian = turned == 348 || turned == 540;
  head.is_2 = (head.big_endian ? turned : size) == 540;
  if (head.is_2) {
    if (TRY(source.read(std::span(bytes).subspan(348))) < 192) return bad("is no NIfTI file");
    if (std::memcmp(bytes.data() + 4, "n+2\0\r\n\032\n", 8) != 0)
      return bad("is no single-file NIfTI-2");
  } else if ((size != 348 && turned != 348) || std::memcmp(bytes.data() + 344, "n+1", 4) != 0) {
    return bad("is no single-file NIfTI-1 or NIfTI-2");
  }
  if (head.dim(0) < 3 || head.dim(0) > 7) return bad("must have three axes");
  for (size_t i = 4; i <= static_cast<size_t>(head.dim(0)); ++i) {
    if (head.dim(i) > 1) return bad("must have three axes");
  }
  VoxelLayout layout;
  layout.big_endian = head.big_endian;
  std::array<double, 3> resolution;
  // xyzt_units: metres, millimetres, micrometres.
  const int unit = head.unit();
  const double to_nm = unit == 1 ? 1e9 : unit == 3 ? 1e3 : 1e6;
  for (size_t d = 0; d < 3; ++d) {
    layout.size[d] = head.dim(d + 1);
    if (layout.size[d] < 1) return bad("has an empty axis");
    resolution[d] = std::abs(head.pixdim(d + 1)) * to_nm;
    if (!(resolution[d] > 0)) resolution[d] = to_nm;
  }
  layout.resolution = resolution;
  const double offset = head.vox_offset();
  if (!(offset >= (head.is_2 ? 540 : 348) && offset < 1e9))
    return bad("has an impossible vox_offset");
  layout.data_offset = static_cast<uint64_t>(offset);
  const double slope = head.slope(), inter = head.intercept();
  if (slope != 0 && !std::isnan(slope) && (slope != 1 || inter != 0))
    return bad(fmt::format("its values are scaled ({} x + {}), labels are not", slope, inter));
  layout.type = TRY(nifti_type(head.datatype(), source.path()));
  return layout;
}

// ---- blocks --------------------------------------------------------------------------------------

// Widens `count` values; returns the index of the first negative one, or count.
template <class T>
size_t widen(const uint8_t* from, size_t count, uint64_t* to) {
  for (size_t i = 0; i < count; ++i) {
    const T value = value_at<T>(from + i * sizeof(T));
    if constexpr (std::is_signed_v<T>) {
      if (value < 0) return i;
    }
    to[i] = static_cast<uint64_t>(value);
  }
  return count;
}

size_t widen(VoxelType type, const uint8_t* from, size_t count, uint64_t* to) {
  switch (type) {
    case VoxelType::kU8:
      return widen<uint8_t>(from, count, to);
    case VoxelType::kU16:
      return widen<uint16_t>(from, count, to);
    case VoxelType::kU32:
      return widen<uint32_t>(from, count, to);
    case VoxelType::kU64:
      return widen<uint64_t>(from, count, to);
    case VoxelType::kI8:
      return widen<int8_t>(from, count, to);
    case VoxelType::kI16:
      return widen<int16_t>(from, count, to);
    case VoxelType::kI32:
      return widen<int32_t>(from, count, to);
    case VoxelType::kI64:
      return widen<int64_t>(from, count, to);
  }
  return 0;
}

class VoxelSource final : public BlockSource {
 public:
  VoxelSource(std::string path, VoxelLayout layout, Grid grid, Account account)
      : path_(std::move(path)),
        layout_(layout),
        grid_(grid),
        account_(std::move(account)),
        fast_(layout.x_fastest ? 0 : 2),
        slow_(2 - fast_),
        row_(kRow * 64 * 8) {
    bytes_total_ = static_cast<uint64_t>(layout.size[0]) * static_cast<uint64_t>(layout.size[1]) *
                   static_cast<uint64_t>(layout.size[2]) * bytes_of(layout.type);
  }
  Result<void> open(const std::string& path, bool packed, ScratchSpace& space) {
    if (packed) {
      unpacked_ = TRY(space.open());
      auto source = TRY(ByteSource::open(path, ByteSource::Gzip::kByContent));
      std::vector<uint8_t> buffer(65536);
      while (const size_t got = TRY(source->read(buffer)))
        TRY(unpacked_.append(std::span<const uint8_t>(buffer).first(got)));
      return check_size(unpacked_.size());
    }
    file_ = TRY(File::open(path));
    return check_size(TRY(file_.info()).size);
  }

  Result<std::optional<BlockUnit>> next(std::stop_token stop) override {
    if (at_[slow_] == grid_.blocks()[slow_]) return std::nullopt;
    const uint32_t across = grid_.blocks()[fast_];
    const uint32_t count = std::min<uint32_t>(kRow, across - at_[fast_]);
    BlockUnit unit;
    unit.kind = BlockUnit::Kind::kVoxels;
    unit.bytes = TRY(Pages::map(TRY(account_.acquire(Bytes(count * kBlockBytes), stop))));
    TRY(fill(unit, count));
    for (uint32_t i = 0; i < count; ++i) {
      GridAt g = at_;
      g[fast_] += i;
      const uint64_t ordinal = blocks_.fetch_add(1, std::memory_order_relaxed);
      unit.items.push_back({grid_.block_at(g), ordinal, 0, i * kBlockBytes, kBlockBytes});
    }
    at_[fast_] += count;
    if (at_[fast_] == across) {
      at_[fast_] = 0;
      if (++at_[1] == grid_.blocks()[1]) {
        at_[1] = 0;
        ++at_[slow_];
      }
    }
    return std::optional(std::move(unit));
  }
  const std::string& name() const override { return path_; }

 private:
  Result<void> check_size(uint64_t size) const {
    const uint64_t need = layout_.data_offset + bytes_total_;
    if (size >= need) return {};
    return fail(Code::kInvalid,
                fmt::format("{}: has {} bytes, its shape needs {}", path_, size, need));
  }
  // Reads the rows of `count` blocks and deals them out.
  Result<void> fill(BlockUnit& unit, uint32_t count) {
    const size_t width = bytes_of(layout_.type);
    const auto begin_of = [&](size_t axis) { return 64 * int64_t{at_[axis]}; };
    const int64_t fast0 = begin_of(fast_);
    const auto fast_count =
        static_cast<size_t>(std::min<int64_t>(64 * int64_t{count}, layout_.size[fast_] - fast0));
    auto* const voxels = reinterpret_cast<uint64_t*>(unit.bytes.data());
    const size_t slow_step = slow_ == 2 ? 4096 : 1, fast_step = fast_ == 0 ? 1 : 4096;
    std::array<uint64_t, kRow * 64> wide;
    for (int64_t s = 0; s < std::min<int64_t>(64, layout_.size[slow_] - begin_of(slow_)); ++s) {
      for (int64_t y = 0; y < std::min<int64_t>(64, layout_.size[1] - begin_of(1)); ++y) {
        const int64_t voxel =
            ((begin_of(slow_) + s) * layout_.size[1] + begin_of(1) + y) * layout_.size[fast_] +
            fast0;
        const std::span<uint8_t> row(row_.data(), fast_count * width);
        TRY(read_at(layout_.data_offset + static_cast<uint64_t>(voxel) * width, row));
        if (layout_.big_endian) swap_bytes(row, width);
        const size_t good = widen(layout_.type, row.data(), fast_count, wide.data());
        if (good < fast_count) {
          std::array<int64_t, 3> where{};
          where[fast_] = fast0 + static_cast<int64_t>(good);
          where[1] = begin_of(1) + y;
          where[slow_] = begin_of(slow_) + s;
          return fail(Code::kInvalid, fmt::format("{}: voxel {},{},{} is negative", path_, where[0],
                                                  where[1], where[2]));
        }
        const size_t corner = static_cast<size_t>(s) * slow_step + static_cast<size_t>(y) * 64;
        for (size_t i = 0; i < fast_count; ++i)
          voxels[(i / 64) * kBlockVoxels + corner + (i % 64) * fast_step] = wide[i];
        bytes_read_.fetch_add(row.size(), std::memory_order_relaxed);
      }
    }
    return {};
  }
  Result<void> read_at(uint64_t offset, std::span<uint8_t> out) const {
    return file_.is_open() ? file_.read_at(offset, out) : unpacked_.read_at(offset, out);
  }

  std::string path_;
  VoxelLayout layout_;
  Grid grid_;
  Account account_;
  size_t fast_, slow_;  // axes
  std::vector<uint8_t> row_;
  File file_;
  ScratchFile unpacked_;
  GridAt at_{};
};

}  // namespace

Result<VoxelLayout> read_voxel_layout(const VoxelOptions& options) {
  if (options.file == VoxelFile::kRaw) {
    if (!options.shape || options.dtype.empty())
      return fail(Code::kUsage, "raw voxels need --shape X,Y,Z and --dtype");
    VoxelLayout layout;
    layout.size = *options.shape;
    layout.type = TRY(type_of(options.dtype, "--dtype"));
    return layout;
  }
  auto source = TRY(ByteSource::open(options.path, ByteSource::Gzip::kByContent));
  return options.file == VoxelFile::kNpy ? npy_layout(*source, options.xyz) : nifti_layout(*source);
}

Result<std::unique_ptr<BlockSource>> open_voxel_source(const VoxelOptions& options,
                                                       const Grid& grid,
                                                       std::array<int64_t, 3> size, Account account,
                                                       std::shared_ptr<ScratchSpace> space) {
  const VoxelLayout layout = TRY(read_voxel_layout(options));
  int64_t bytes = static_cast<int64_t>(bytes_of(layout.type));
  for (const int64_t side : layout.size) {
    if (__builtin_mul_overflow(bytes, side, &bytes))
      return fail(Code::kInvalid, options.path + ": its shape is larger than any file");
  }
  if (layout.size != size)
    return fail(
        Code::kInvalid,
        fmt::format("{}: has {} x {} x {} voxels, the spec's scale {} x {} x {}", options.path,
                    layout.size[0], layout.size[1], layout.size[2], size[0], size[1], size[2]));
  auto source = std::make_unique<VoxelSource>(options.path, layout, grid, std::move(account));
  const bool packed = options.path.ends_with(".gz");
  TRY(source->open(options.path, packed, *space));
  return std::unique_ptr<BlockSource>(std::move(source));
}

Bytes voxel_source_floor() { return Bytes(kRow * kBlockBytes); }

}  // namespace spillway::exporter

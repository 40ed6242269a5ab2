#include "export/source/voxel_source.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <utility>

#include "core/file/file.hpp"
#include "core/file/folders.hpp"
#include "export/spec/input_stream.hpp"
#include "format/known_format.hpp"

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

std::string or_else(std::string text, const char* other) { return text.empty() ? other : text; }

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
      {"uint64", VoxelType::kU64}, {"int8", VoxelType::kI8},    {"int16", VoxelType::kI16},
      {"int32", VoxelType::kI32},  {"int64", VoxelType::kI64},  {"bool", VoxelType::kU8},
  };
  for (const std::string_view prefix : {"numpy.", "np."}) {
    if (name.starts_with(prefix)) name.erase(0, prefix.size());
  }
  if (name.starts_with('|') || name.starts_with('=') || name.starts_with('<') ||
      name.starts_with('>'))
    name.erase(0, 1);
  for (const auto& [known, type] : kTypes) {
    if (name == known) return type;
  }
  return fail(Code::kInvalid,
              fmt::format("{}: voxels of type {}: labels are whole numbers of 1, 2, 4 or 8 bytes; "
                          "convert them first",
                          where, name));
}

// Reads the dictionary of an .npy header, as any numpy has written it: a literal of Python.
class NpyDictionary {
 public:
  NpyDictionary(std::string_view text, std::string where) : text_(text), where_(std::move(where)) {}

  Result<VoxelLayout> read(bool xyz) {
    if (!take('{')) return bad("its header is no dictionary");
    while (!take('}')) {
      const std::string key = TRY(string("a key"));
      if (!take(':')) return bad(fmt::format("no ':' behind '{}' in its header", key));
      bool* const seen = key == "descr"           ? &has_type_
                         : key == "fortran_order" ? &has_order_
                         : key == "shape"         ? &has_shape_
                                                  : nullptr;
      if (seen == nullptr)
        return bad(fmt::format("its header has the key '{}', which is not of the format", key));
      if (std::exchange(*seen, true)) return bad(fmt::format("its header has '{}' twice", key));
      TRY(seen == &has_type_ ? type() : seen == &has_order_ ? order() : shape());
      if (!take(',') && !is_next('}')) return bad("no ',' between the entries of its header");
    }
    skip();
    if (at_ != text_.size() &&
        text_.substr(at_).find_first_not_of(std::string_view("\0", 1)) != std::string_view::npos)
      return bad("something stands behind the dictionary of its header");
    if (!has_type_ || !has_order_ || !has_shape_)
      return bad("its header has no descr, fortran_order or shape");
    VoxelLayout layout = layout_;
    layout.size = axes_;
    if (!xyz) std::swap(layout.size[0], layout.size[2]);
    layout.x_fastest = xyz == fortran_;  // C order: the last axis is the fastest
    return layout;
  }

 private:
  tl::unexpected<Error> bad(const std::string& what) const {
    return fail(Code::kInvalid, fmt::format("{}: {} (byte {} of it)", where_, what, at_));
  }
  void skip() {
    while (at_ < text_.size() &&
           std::string_view(" \t\r\n").find(text_[at_]) != std::string_view::npos)
      ++at_;
  }
  bool is_next(char c) {
    skip();
    return at_ < text_.size() && text_[at_] == c;
  }
  bool take(char c) {
    const bool is = is_next(c);
    at_ += is;
    return is;
  }
  bool take_word(std::string_view word) {
    skip();
    const bool is = text_.substr(at_).starts_with(word);
    at_ += is ? word.size() : 0;
    return is;
  }
  // Of Python 2, too: u'descr'.
  Result<std::string> string(const char* what) {
    skip();
    if (is_next('u') || is_next('b')) ++at_;
    if (at_ == text_.size() || (text_[at_] != '\'' && text_[at_] != '"'))
      return bad(fmt::format("its header has no text where {} must be", what));
    const size_t end = text_.find(text_[at_], at_ + 1);
    if (end == std::string_view::npos) return bad("its header ends within a text");
    const std::string value(text_.substr(at_ + 1, end - at_ - 1));
    at_ = end + 1;
    return value;
  }
  Result<void> type() {
    if (is_next('[') || is_next('('))
      return bad("its voxels are structures of several fields; labels are one whole number each");
    const std::string name = TRY(string("the type"));
    layout_.type = TRY(type_of(name, where_));
    layout_.big_endian = name.starts_with('>');
    return {};
  }
  Result<void> order() {
    fortran_ = take_word("True");
    if (!fortran_ && !take_word("False")) return bad("its fortran_order is neither True nor False");
    return {};
  }
  Result<void> shape() {
    if (!take('(')) return bad("its shape is no tuple");
    size_t count = 0;
    while (!take(')')) {
      skip();
      int64_t side = 0;
      const auto [end, error] =
          std::from_chars(text_.data() + at_, text_.data() + text_.size(), side);
      if (error != std::errc() || side < 0) return bad("its shape has no whole number here");
      at_ = static_cast<size_t>(end - text_.data());
      if (at_ < text_.size() && (text_[at_] == 'L' || text_[at_] == 'l')) ++at_;  // Python 2
      if (count < axes_.size()) axes_[count] = side;
      if (++count > 64) break;
      if (!take(',') && !is_next(')')) return bad("its shape has no ',' here");
    }
    if (count != 3) return bad("must have three axes");
    if (axes_[0] == 0 || axes_[1] == 0 || axes_[2] == 0) return bad("has an empty axis");
    return {};
  }

  const std::string_view text_;
  const std::string where_;
  size_t at_ = 0;
  VoxelLayout layout_;
  std::array<int64_t, 3> axes_{};
  bool fortran_ = false, has_type_ = false, has_order_ = false, has_shape_ = false;
};

Result<VoxelLayout> npy_layout(ByteStream& source, bool xyz) {
  constexpr size_t kMostHeader = 65536;
  const auto bad = [&](const std::string& what) {
    return fail(Code::kInvalid, fmt::format("{}: {}", source.name(), what));
  };
  uint8_t head[12];
  const size_t got = TRY(source.read(head));
  if (got < sizeof head || std::memcmp(head, "\x93NUMPY", 6) != 0)
    return bad(
        or_else(format::known_format_not(std::span(head).first(got), "NumPy"), "is no .npy file"));
  if (head[6] < 1 || head[6] > 3)
    return bad(fmt::format("is .npy of version {}.{}; 1.0 to 3.0 are read", head[6], head[7]));
  const size_t prefix = head[6] == 1 ? 10 : 12;
  const size_t length = head[6] == 1 ? value_at<uint16_t>(head + 8) : value_at<uint32_t>(head + 8);
  if (length > kMostHeader || length < 12)
    return bad(fmt::format("has a header of {} bytes; at least 12 and at most {} are read", length,
                           kMostHeader));
  std::string header(reinterpret_cast<char*>(head) + prefix, sizeof head - prefix);
  const size_t have = header.size();
  header.resize(length);
  if (TRY(source.read({reinterpret_cast<uint8_t*>(header.data()) + have, length - have})) <
      length - have)
    return bad("ends within its header");
  VoxelLayout layout = TRY(NpyDictionary(header, source.name()).read(xyz));
  layout.data_offset = layout.header_bytes = prefix + length;
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
  int16_t bitpix() const { return at<int16_t>(is_2 ? 14 : 72); }
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

std::string not_nifti(std::span<const uint8_t> bytes) {
  const auto first = bytes.first(format::kFormatBytes);
  if (format::known_format(first) == "NIfTI-1")
    return "is the header of a NIfTI pair (.hdr, .img), or damaged";
  return format::known_format_not(first, "NIfTI");
}

Result<VoxelLayout> nifti_layout(ByteStream& source) {
  const auto bad = [&](const std::string& what) {
    return fail(Code::kInvalid, fmt::format("{}: {}", source.name(), what));
  };
  std::array<uint8_t, 540> bytes{};
  const size_t got = TRY(source.read(std::span(bytes).first(348)));
  if (got < 348) return bad(or_else(not_nifti(bytes), "is no NIfTI file"));
  const auto size = value_at<uint32_t>(bytes.data()), turned = __builtin_bswap32(size);
  NiftiHeader head{bytes};
  head.big_endian = turned == 348 || turned == 540;
  head.is_2 = (head.big_endian ? turned : size) == 540;
  if (head.is_2) {
    if (TRY(source.read(std::span(bytes).subspan(348))) < 192) return bad("is no NIfTI file");
    if (std::memcmp(bytes.data() + 4, "n+2\0\r\n\032\n", 8) != 0)
      return bad("is no single-file NIfTI-2");
  } else if ((size != 348 && turned != 348) || std::memcmp(bytes.data() + 344, "n+1", 4) != 0) {
    return bad(or_else(not_nifti(bytes), "is no single-file NIfTI-1 or NIfTI-2"));
  }
  if (head.dim(0) < 3 || head.dim(0) > 7) return bad("must have three axes");
  for (size_t i = 4; i <= static_cast<size_t>(head.dim(0)); ++i) {
    if (head.dim(i) > 1) return bad("must have three axes");
  }
  VoxelLayout layout;
  layout.header_bytes = head.is_2 ? 540 : 348;
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
  if (!(offset >= (head.is_2 ? 540 : 348) && offset < 1e9 && std::trunc(offset) == offset))
    return bad("has an impossible vox_offset");
  layout.data_offset = static_cast<uint64_t>(offset);
  const double slope = head.slope(), inter = head.intercept();
  if (slope != 0 && !std::isnan(slope) && (slope != 1 || inter != 0))
    return bad(fmt::format("its values are scaled ({} x + {}), labels are not", slope, inter));
  layout.type = TRY(nifti_type(head.datatype(), source.name()));
  if (head.bitpix() != 8 * static_cast<int>(bytes_of(layout.type)))
    return bad(fmt::format("its datatype {} does not have the {} bits a voxel that it says",
                           head.datatype(), head.bitpix()));
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
  VoxelSource(std::string path, VoxelLayout layout, bool ends_with_data, Grid grid, Account account)
      : path_(std::move(path)),
        layout_(layout),
        ends_with_data_(ends_with_data),
        grid_(grid),
        account_(std::move(account)),
        fast_(layout.x_fastest ? 0 : 2),
        slow_(2 - fast_),
        row_(kRow * 64 * 8) {
    bytes_total_ = static_cast<uint64_t>(layout.size[0]) * static_cast<uint64_t>(layout.size[1]) *
                   static_cast<uint64_t>(layout.size[2]) * bytes_of(layout.type);
  }
  // What a plain file is read from, in any order.
  Result<void> open() {
    file_ = TRY(File::open(path_));
    before_ = TRY(file_.info());
    if (before_.size < layout_.data_offset + bytes_total_) return too_short(before_.size);
    if (ends_with_data_ && before_.size > layout_.data_offset + bytes_total_)
      return too_long(fmt::format("has {} bytes", before_.size));
    return {};
  }
  // What can be read once goes to scratch, at the first next(); its header was read already.
  void open_once(std::unique_ptr<ByteStream> source, std::shared_ptr<ScratchSpace> space) {
    once_ = std::move(source);
    space_ = std::move(space);
  }
  Result<void> spool(ByteStream& source, const std::stop_token& stop) {
    source.end_on(stop);
    unpacked_ = TRY(space_->open());
    std::vector<uint8_t> buffer(65536);
    uint64_t at = layout_.header_bytes;
    const uint64_t end = layout_.data_offset + bytes_total_;
    while (at < end) {
      if (stop.stop_requested()) return fail(Code::kCancelled, "stopped while unpacking " + path_);
      const uint64_t until = at < layout_.data_offset ? layout_.data_offset : end;
      const auto part = std::span(buffer).first(std::min<uint64_t>(buffer.size(), until - at));
      const size_t got = TRY(source.read(part));
      if (at >= layout_.data_offset) TRY(unpacked_.append(part.first(got)));
      at += got;
      if (got < part.size()) return too_short(at);
    }
    layout_.data_offset = 0;
    // Behind the data: for gzip its checksum.
    while (const size_t more = TRY(source.read(buffer))) {
      if (ends_with_data_) return too_long("goes on");
      if (stop.stop_requested() || more < buffer.size()) break;
    }
    return {};
  }

  Result<std::optional<BlockUnit>> next(std::stop_token stop) override {
    if (once_) {
      TRY(spool(*once_, stop));
      once_.reset();
    }
    if (at_[slow_] == grid_.blocks()[slow_]) {
      if (file_.is_open()) TRY(must_be_unchanged(path_, before_));
      return std::nullopt;
    }
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
  tl::unexpected<Error> too_short(uint64_t size) const {
    return fail(Code::kInvalid, fmt::format("{}: has {} bytes, its shape needs {}", path_, size,
                                            layout_.data_offset + bytes_total_));
  }
  tl::unexpected<Error> too_long(const std::string& how) const {
    return fail(Code::kInvalid,
                fmt::format("{}: {}, its shape and type end at byte {}: they are not what the file "
                            "holds",
                            path_, how, layout_.data_offset + bytes_total_));
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
  const bool ends_with_data_;  // NIfTI may go on
  Grid grid_;
  Account account_;
  size_t fast_, slow_;  // axes
  std::vector<uint8_t> row_;
  File file_;
  FileInfo before_;
  std::unique_ptr<ByteStream> once_;
  std::shared_ptr<ScratchSpace> space_;
  ScratchFile unpacked_;
  GridAt at_{};
};

}  // namespace

namespace {

// Raw values may begin with any bytes: they are packed when they are called so.
Result<std::unique_ptr<ByteStream>> open_bytes(const VoxelOptions& options) {
  const bool may_be_packed = options.file != VoxelFile::kRaw || options.path.ends_with(".gz");
  auto source = TRY(open_input(
      options.path, may_be_packed ? ByteStream::Gzip::kByContent : ByteStream::Gzip::kNever));
  source->end_on(options.stop);
  return source;
}

}  // namespace

Result<VoxelLayout> parse_voxel_header(ByteStream& source, const VoxelOptions& options) {
  if (options.file == VoxelFile::kNpy) return npy_layout(source, options.xyz);
  if (options.file == VoxelFile::kNifti) return nifti_layout(source);
  if (!options.shape || options.dtype.empty())
    return fail(Code::kUsage, "raw voxels need --shape X,Y,Z and --dtype");
  VoxelLayout layout;
  layout.size = *options.shape;
  layout.type = TRY(type_of(options.dtype, "--dtype"));
  layout.big_endian = options.dtype.starts_with('>');
  return layout;
}

Result<VoxelLayout> read_voxel_layout(const VoxelOptions& options) {
  auto source = TRY(open_bytes(options));
  return parse_voxel_header(*source, options);
}

Result<std::unique_ptr<BlockSource>> open_voxel_source(const VoxelOptions& options,
                                                       const Grid& grid,
                                                       std::array<int64_t, 3> size, Account account,
                                                       std::shared_ptr<ScratchSpace> space) {
  auto bytes = TRY(open_bytes(options));
  const VoxelLayout layout = TRY(parse_voxel_header(*bytes, options));
  if (layout.size != size)
    return fail(
        Code::kInvalid,
        fmt::format("{}: has {} x {} x {} voxels, the spec's scale {} x {} x {}", options.path,
                    layout.size[0], layout.size[1], layout.size[2], size[0], size[1], size[2]));
  int64_t total = static_cast<int64_t>(bytes_of(layout.type));
  for (const int64_t side : layout.size) {
    if (__builtin_mul_overflow(total, side, &total))
      return fail(Code::kInvalid, options.path + ": its shape is larger than any file");
  }
  const bool ends_with_data = options.file != VoxelFile::kNifti;
  auto source = std::make_unique<VoxelSource>(bytes->name(), layout, ends_with_data, grid,
                                              std::move(account));
  uint8_t none[1];
  TRY(bytes->read(std::span(none).first(0)));  // now it is known what it is
  if (bytes->is_plain_file())
    TRY(source->open());
  else
    source->open_once(std::move(bytes), std::move(space));
  return std::unique_ptr<BlockSource>(std::move(source));
}

Bytes voxel_source_floor() { return Bytes(kRow * kBlockBytes); }

}  // namespace spillway::exporter

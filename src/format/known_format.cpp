#include "format/known_format.hpp"

#include <fmt/format.h>

#include <cstring>
#include <utility>

#include "core/file/folders.hpp"

namespace spillway::format {

using namespace std::string_view_literals;

std::string_view known_format(std::span<const uint8_t> first) {
  static constexpr std::pair<std::string_view, std::string_view> kBegins[] = {
      {"\x1f\x8b\x08"sv, "gzip"},
      {"\x28\xb5\x2f\xfd"sv, "zstd"},
      {"\xfd"
       "7zXZ\0"sv,
       "xz"},
      {"BZh"sv, "bzip2"},
      {"PK\x03\x04"sv, "zip (.npz?)"},
      {"\x93NUMPY"sv, "NumPy"},
      {"\x5c\x01\0\0"sv, "NIfTI-1"},
      {"\0\0\x01\x5c"sv, "NIfTI-1"},
      {"\x1c\x02\0\0n+2\0"sv, "NIfTI-2"},
      {"\0\0\x02\x1cn+2\0"sv, "NIfTI-2"},
      {"\x89HDF\r\n\x1a\n"sv, "HDF5"},
      {"II*\0"sv, "TIFF"},
      {"MM\0*"sv, "TIFF"},
      {"II+\0"sv, "BigTIFF"},
      {"MM\0+"sv, "BigTIFF"},
      {"NRRD0"sv, "NRRD"},
      {"PAR1"sv, "Parquet"},
      {"ARROW1\0\0"sv, "an Arrow file (shards are Arrow streams)"},
      {"\xff\xff\xff\xff"sv, "an Arrow stream"},
      {"\x89PNG\r\n"sv, "PNG"},
      {"\xff\xd8\xff"sv, "JPEG"},
  };
  const std::string_view text(reinterpret_cast<const char*>(first.data()), first.size());
  for (const auto& [begin, name] : kBegins) {
    if (text.starts_with(begin)) return name;
  }
  return {};
}

std::string known_format_not(std::span<const uint8_t> first, std::string_view wanted) {
  const std::string_view is = known_format(first);
  return is.empty() ? std::string() : fmt::format("is {}, not {}", is, wanted);
}

std::string_view known_folder(const std::string& path) {
  static constexpr std::pair<const char*, std::string_view> kNames[] = {
      {".zarray", "Zarr"}, {".zgroup", "Zarr"}, {"zarr.json", "Zarr"}, {"attributes.json", "N5"}};
  for (const auto& [name, format] : kNames) {
    if (exists(path + "/" + name).value_or(false)) return format;
  }
  return {};
}

}  // namespace spillway::format

// What a file is by its first bytes, whatever its name says.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace spillway::format {

inline constexpr size_t kMagicBytes = 264;  // how many of the first bytes tell

enum class Magic { kUnknown, kGzip, kBzip2, kZstd, kUtf16, kParquet, kOther };
struct FileKind {
  Magic magic = Magic::kUnknown;
  std::string_view name;  // "an HDF5 file"
  std::string_view hint;  // what to do with it; may be empty
};
FileKind kind_of(std::span<const uint8_t> beginning);

}  // namespace spillway::format

// What a file is by its first bytes, so that a reader can call by its name what it does not read.
//
// Threads  Any.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace spillway::format {

constexpr size_t kFormatBytes = 16;  // that are looked at

// "HDF5", "TIFF", "gzip", ...; empty when no known format begins so.
std::string_view known_format(std::span<const uint8_t> first);
// "is gzip, not NumPy": for a message; empty as above.
std::string known_format_not(std::span<const uint8_t> first, std::string_view wanted);
// Of a folder: "Zarr" or "N5"; else empty.
std::string_view known_folder(const std::string& path);

}  // namespace spillway::format

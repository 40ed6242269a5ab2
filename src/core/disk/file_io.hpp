// The one seam to the system's file calls: whole reads and writes, with every short count and EINTR
// handled, and faults that tests can arm (see fault.hpp).
//
// Fails    kIo, kDiskFull (ENOSPC, EDQUOT, EFBIG), kCorrupt when a file is shorter than what is
// read.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "core/result.hpp"

namespace spillway {

[[nodiscard]] Result<void> write_fully_at(int fd, uint64_t offset, std::span<const uint8_t> data,
                                          const std::string& path);
[[nodiscard]] Result<void> read_fully_at(int fd, uint64_t offset, std::span<uint8_t> out,
                                         const std::string& path);
[[nodiscard]] Result<void> sync_file(int fd, const std::string& path);

}  // namespace spillway

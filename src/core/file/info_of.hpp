// A stat as we tell it; for core/file only.
#pragma once

#include <sys/stat.h>

#include "core/file/file.hpp"

namespace spillway {

inline FileInfo info_of(const struct stat& status) {
  FileInfo info;
  info.kind = S_ISREG(status.st_mode)   ? FileInfo::Kind::kFile
              : S_ISDIR(status.st_mode) ? FileInfo::Kind::kFolder
              : S_ISCHR(status.st_mode) ? FileInfo::Kind::kDevice
                                        : FileInfo::Kind::kOther;
  info.size = static_cast<uint64_t>(status.st_size);
  info.changed_ns = int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec;
  info.device = status.st_dev;
  info.inode = status.st_ino;
  return info;
}

}  // namespace spillway

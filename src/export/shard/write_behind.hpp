// Writes large files while the next part of them is made: full buffers go to a thread that writes them
// past the page cache.
//
// A finished file is synced before it gets its name, so the disk sets the pace in any case; without
// the page cache a byte is not copied again, and what others hold there stays.
//
// Memory   room(): three buffers.
// Threads  One caller; a thread of its own that waits for the disk and, if asked to, hashes.
// Cost     No copy. A file system that has no such writes gets ordinary ones.
// Fails    kIo, kDiskFull, told by the next call.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "core/bytes.hpp"
#include "core/memory/budget.hpp"
#include "core/result.hpp"
#include "export/spec/sha256.hpp"

namespace spillway::exporter {

class WriteBehind {
 public:
  static constexpr size_t kBufferBytes = size_t{512} << 10;
  static Bytes room();
  enum class Hash { kByCaller, kBehind };  // on whose thread
  // `lease`: room().
  [[nodiscard]] static Result<std::unique_ptr<WriteBehind>> create(Lease lease, Hash hash);
  virtual ~WriteBehind() = default;

  // A buffer of kBufferBytes to fill; waits until one is free. One is out at a time.
  virtual std::span<uint8_t> buffer() = 0;
  // Takes the buffer, which is full, as the bytes of `fd` at `offset`, a multiple of kBufferBytes.
  // It is added to `hash`, which is the caller's again after finish().
  [[nodiscard]] virtual Result<void> write(int fd, uint64_t offset, const std::string& path,
                                           Sha256& hash) = 0;
  // Waits for all that was given; `fd` then writes through the page cache again.
  [[nodiscard]] virtual Result<void> finish(int fd) = 0;
};

}  // namespace spillway::exporter

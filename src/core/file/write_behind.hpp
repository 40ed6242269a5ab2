// Writes large files while the next part of them is made: full buffers go to a thread that writes them
// past the page cache.
//
// A finished file is synced before it gets its name, so the disk sets the pace in any case; without
// the page cache a byte is not copied again, and what others hold there stays.
//
// Memory   room(): three buffers.
// Threads  One caller; a thread of its own that waits for the disk and, if asked to, taps.
// Cost     No copy. A file system that has no such writes gets ordinary ones.
// Fails    kIo, kDiskFull, told by the next call.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "core/bytes.hpp"
#include "core/file/file.hpp"
#include "core/memory/budget.hpp"
#include "core/result.hpp"

namespace spillway {

// Sees bytes pass, in order; for hashes.
class ByteTap {
 public:
  virtual ~ByteTap() = default;
  virtual void add(std::span<const uint8_t> bytes) = 0;
};

class WriteBehind {
 public:
  static constexpr size_t kBufferBytes = size_t{512} << 10;
  static Bytes room();
  enum class Tap { kByCaller, kBehind };  // on whose thread
  // `lease`: room().
  [[nodiscard]] static Result<std::unique_ptr<WriteBehind>> create(Lease lease, Tap tap);
  virtual ~WriteBehind() = default;

  // A buffer of kBufferBytes to fill; waits until one is free. One is out at a time.
  virtual std::span<uint8_t> buffer() = 0;
  // Takes the buffer, which is full, as the bytes of `file` at `offset`, a multiple of kBufferBytes.
  // `tap`, if any, sees it and is the caller's again after finish(), as is `file`.
  [[nodiscard]] virtual Result<void> write(const File& file, uint64_t offset, ByteTap* tap) = 0;
  // Waits for all that was given; `file` then writes through the page cache again.
  [[nodiscard]] virtual Result<void> finish(const File& file) = 0;
};

}  // namespace spillway

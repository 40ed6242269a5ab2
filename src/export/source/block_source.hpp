// Where blocks come from, in units of some hundred KiB.
//
// Threads  next(): one thread. The counters: any.
// Memory   A unit is in Pages leased from the account that the source was made with: a chunk of
//          kChunkBytes, or one block of any legal size (floor()).
// Fails    kInvalid where the input cannot be read on (with the byte offset), kIo, kCancelled.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "core/memory/budget.hpp"
#include "core/memory/pages.hpp"
#include "core/mutex.hpp"
#include "export/block/label_block.hpp"
#include "export/spec/volume_spec.hpp"

namespace spillway::exporter {

enum class Payload { kByContent, kLz4, kRaw };  // of a blocks stream

inline constexpr size_t kMaxPayload = kMaxBlockBytes + 4096;

// Keeps the buffer of one unit that is done for the next: a mapping costs a page fault every 4 KiB.
//
// Threads  Any.
class SpareRoom {
 public:
  // Waits for memory when there is no spare; a spare that is too small is given back first.
  [[nodiscard]] Result<Pages> take(Account& account, size_t bytes, const std::stop_token& stop);
  void give(Pages pages);

 private:
  Mutex mutex_;
  Pages spare_ GUARDED_BY(mutex_);
  bool is_awaited_ GUARDED_BY(mutex_) = false;  // memory: what is given goes back to the account
};

enum class Missing { kZero, kError };  // what a chunk that is not there means

struct BlockUnit {
  BlockUnit() = default;
  BlockUnit(BlockUnit&&) = default;
  BlockUnit& operator=(BlockUnit&&) = default;
  ~BlockUnit() {
    if (home) home->give(std::move(bytes));
  }
  enum class Kind {
    kPayload,  // as a blocks stream has them
    kVoxels,   // 2 MiB of u64, x fastest
    kRow,      // label table, then the zstd frame of the block
    kChunk,    // of a precomputed volume, gzip taken off
  };
  struct Item {
    BlockAt at{};
    uint64_t ordinal = 0;  // number of the block in the source's order
    uint64_t offset = 0;   // in the source, for messages
    size_t begin = 0;      // in `bytes`
    size_t length = 0;
    uint32_t labels = 0;      // kRow: entries of the table at the beginning
    uint32_t block_size = 0;  // kRow: of the block in the frame
  };
  Kind kind = Kind::kPayload;
  Pages bytes;
  std::vector<Item> items;
  std::shared_ptr<SpareRoom> home;  // where `bytes` go; may be none

  std::span<const uint8_t> of(const Item& item) const {
    return {bytes.data() + item.begin, item.length};
  }
};

class BlockSource {
 public:
  static constexpr size_t kChunkBytes = size_t{512} << 10;
  virtual ~BlockSource() = default;

  [[nodiscard]] virtual Result<std::optional<BlockUnit>> next(std::stop_token stop) = 0;
  virtual const std::string& name() const = 0;
  uint64_t blocks() const { return blocks_.load(std::memory_order_relaxed); }
  uint64_t bytes_read() const { return bytes_read_.load(std::memory_order_relaxed); }
  uint64_t bytes_total() const { return bytes_total_; }  // 0: unknown
  // Chunks or shards of the source that are not there; known at its end.
  uint64_t missing() const { return missing_.load(std::memory_order_relaxed); }

 protected:
  std::atomic<uint64_t> blocks_{0}, bytes_read_{0}, missing_{0};
  uint64_t bytes_total_ = 0;
};

// A blocks stream: i32 x, y, z, length, then the payload; again and again until the end of file.
// `path`: a file, "-" for stdin, or an http(s) address.
[[nodiscard]] Result<std::unique_ptr<BlockSource>> open_block_stream(const std::string& path,
                                                                     Account account);
Bytes block_stream_floor();

}  // namespace spillway::exporter

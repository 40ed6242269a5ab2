// Scatters fixed-size records over partitions, in memory while the account lends, then on scratch.
//
// Several writers scatter at once, each with a small buffer a partition; full buffers become frames
// that are kept in leased memory or, once that is refused, appended to scratch in extents of one
// partition each, so that reading a partition back is mostly sequential. Later, each partition is
// read whole, by any thread, in no particular order.
//
// Memory   Writers' buffers: writers * partitions * frame_bytes, leased at creation. Frames:
//          try_acquire, 2 MiB at a time; a refusal spills and acquires nothing. Beside the leases:
//          16 bytes an extent of 256 KiB on scratch, at most 64 MiB a TiB of --scratch-limit.
// Cost     A record is copied once into a buffer, once into a frame; spilled bytes are written once
//          and read once.
// Threads  Writer: one thread each, side by side. read(): any, after all writers flushed.
// Fails    kScratchFull, kIo; read: kCorrupt when a frame does not match its checksum, kCancelled.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <vector>

#include "core/disk/scratch.hpp"
#include "core/memory/budget.hpp"
#include "core/memory/pages.hpp"

namespace spillway {

struct PartitionerOptions {
  size_t partitions = 1;
  size_t record_bytes = 0;
  size_t frame_bytes = 8192;  // rounded down to whole records
  size_t writers = 1;
};

class Partitioner {
  static constexpr size_t kExtentBytes = size_t{256} << 10;
  static constexpr size_t kHeaderBytes = 16;

 public:
  // `buffers` covers the writers' buffers (see buffer_bytes); `frames` lends for what stays in
  // memory.
  static Bytes buffer_bytes(const PartitionerOptions& options);
  [[nodiscard]] static Result<std::unique_ptr<Partitioner>> create(
      PartitionerOptions options, Lease buffers, Account frames,
      std::shared_ptr<ScratchSpace> space);

  class Writer {
   public:
    // Appends one record of record_bytes. Hot: a copy and a compare.
    template <class Record>
    [[nodiscard]] Result<void> append(size_t partition, const Record& record) {
      uint32_t& fill = fill_[partition];
      if (fill + sizeof(Record) > frame_bytes_) [[unlikely]]
        TRY(flush(partition));
      std::memcpy(buffer_ + partition * stride_ + kHeaderBytes + fill, &record, sizeof(Record));
      fill += static_cast<uint32_t>(sizeof(Record));
      return {};
    }
    [[nodiscard]] Result<void> flush_all();

   private:
    friend class Partitioner;
    struct Frame {  // in leased memory, before its bytes
      const Frame* before;
      uint64_t bytes;
      std::span<const uint8_t> data() const {
        return {reinterpret_cast<const uint8_t*>(this + 1), bytes};
      }
    };
    struct Extent {
      uint64_t offset;
      uint32_t bytes;  // used
      uint32_t frames;
    };
    Result<void> flush(size_t partition);
    Result<void> spill(size_t partition, uint32_t bytes);
    Frame* keep(size_t bytes);  // room in memory, or null

    Partitioner* owner_ = nullptr;
    uint8_t* buffer_ = nullptr;
    size_t frame_bytes_ = 0;
    size_t stride_ = 0;  // of the buffers: a frame header, then frame_bytes_
    std::vector<uint32_t> fill_;
    std::vector<const Frame*> kept_;  // the last of each partition
    std::vector<std::vector<Extent>> extents_;
    std::vector<Pages> chunks_;
    size_t chunk_used_ = 0;
    ScratchFile file_;
    uint64_t file_end_ = 0;
    std::vector<uint64_t> records_;
    uint64_t spilled_ = 0;
  };
  Writer& writer(size_t index) { return writers_[index]; }

  uint64_t records(size_t partition) const;
  uint64_t spilled_bytes() const;  // after the writers flushed
  bool is_spilling() const { return spilling_.load(std::memory_order_relaxed); }  // any time

  // Calls `take(span of whole records)` for every frame of the partition, until a stop. `buffer`: at
  // least read_buffer_bytes().
  template <class Take>
  [[nodiscard]] Result<void> read(size_t partition, std::span<uint8_t> buffer,
                                  const std::stop_token& stop, Take&& take) const {
    const auto stopped = [] { return fail(Code::kCancelled, "stopped while reading a partition"); };
    for (const Writer& writer : writers_) {
      for (auto* frame = writer.kept_[partition]; frame != nullptr; frame = frame->before) {
        if (stop.stop_requested()) return stopped();
        take(frame->data());
      }
      for (const Writer::Extent& extent : writer.extents_[partition]) {
        if (stop.stop_requested()) return stopped();
        TRY(load(writer, extent, buffer));
        size_t at = 0;
        for (uint32_t i = 0; i < extent.frames; ++i) {
          take(TRY(frame_at(buffer, extent, at)));
        }
      }
    }
    return {};
  }
  static constexpr size_t read_buffer_bytes() { return kExtentBytes; }
  // The records of the frame at `at`, which moves behind it; nothing when it is not what was written.
  static std::optional<std::span<const uint8_t>> parse_frame(std::span<const uint8_t> extent,
                                                             size_t& at);

 private:
  Partitioner() = default;
  Result<void> load(const Writer& writer, const Writer::Extent& extent,
                    std::span<uint8_t> buffer) const;
  Result<std::span<const uint8_t>> frame_at(std::span<const uint8_t> buffer,
                                            const Writer::Extent& extent, size_t& at) const;

  PartitionerOptions options_;
  Pages buffers_;
  Account frames_;
  std::shared_ptr<ScratchSpace> space_;
  std::vector<Writer> writers_;
  std::atomic<bool> spilling_{false};
};

}  // namespace spillway

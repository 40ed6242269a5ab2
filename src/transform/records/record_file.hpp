// Sorted records in a file of the work folder: written once, read in order any number of times.
//
// Memory   Writer and Reader: cost() each, leased from `account` at creation.
// Durable  After finish(); open() finds it again by its size in a later process.
// Threads  Writer, Reader: one each. Readers of one file may run side by side.
// Fails    kScratchFull, kDiskFull, kIo; kCorrupt (checksums, frames out of order, a short file).
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "core/disk/blob.hpp"
#include "core/disk/frame.hpp"
#include "core/memory/pages.hpp"
#include "core/records/external_sort.hpp"

namespace spillway::transform {

class RecordFile {
 public:
  static constexpr size_t kFrame = size_t{256} << 10;
  static Bytes cost() {
    return Bytes(2 * kFrame + FrameCodec::kHeaderBytes) +
           FrameCodec::workspace(Codec::kLz4);
  }

  class Writer {
   public:
    [[nodiscard]] static Result<std::unique_ptr<Writer>> create(
        std::string path, Account account, std::shared_ptr<ScratchSpace> space);
    [[nodiscard]] Result<void> add(Record record);
    // Durable on return; what open() wants.
    [[nodiscard]] Result<DurableRun> finish();

   private:
    Writer() : codec_(Codec::kLz4, kFrame) {}
    std::unique_ptr<Blob> blob_;
    FrameCodec codec_;
    Lease workspace_;
    Pages memory_;
    std::optional<RecordWriter> frames_;
    DurableRun run_;
  };

  class Reader {
   public:
    [[nodiscard]] static Result<std::unique_ptr<Reader>> open(std::string path,
                                                              const DurableRun& run,
                                                              Account account,
                                                              std::shared_ptr<ScratchSpace> space);
    // The next record; valid until the next call.
    [[nodiscard]] Result<std::optional<Record>> next();

   private:
    Reader() : codec_(Codec::kLz4, kFrame) {}
    std::unique_ptr<Blob> blob_;
    FrameCodec codec_;
    Lease workspace_;
    Pages memory_;
    Record rest_;
    DurableRun run_;
    FramePlace place_;
  };
};

}  // namespace spillway::transform

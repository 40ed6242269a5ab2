// Makes finished shards visible: whole, durable, by rename, and remembers which ones are.
//
// Files are written in the work folder under numbers. A group of them is synced at once, renamed
// (the CSV before the Arrow file, so whoever sees the shard sees its index), and only then noted in
// the journal. A run that is started again walks the shards in the same order and skips those that
// the journal knows and whose files still have their hashes.
//
// Memory   Two queues of 1 MiB that spill, and the names of two groups.
// Cost     One sync of the file system a group of 512 files or 512 MiB, not one a file; a thread of
//          its own waits for the disk while the next group is written.
// Threads  One at a time.
// Fails    kIo, kDiskFull, kScratchFull; open: kUsage when the journal is of another configuration;
//          same_as_before: kUsage. After a failure flush() tries again; after a failed sync in vain:
//          nothing that may be lost is published.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "core/disk/journal.hpp"
#include "core/disk/scratch.hpp"
#include "core/file/file.hpp"
#include "core/json_fwd.hpp"
#include "core/memory/budget.hpp"
#include "core/records/spill_queue.hpp"
#include "export/shard/arrow_shard.hpp"
#include "export/work/block_worker.hpp"

namespace spillway::exporter {

class ShardPublisher {
 public:
  static Bytes room();
  ~ShardPublisher();
  [[nodiscard]] static Result<std::unique_ptr<ShardPublisher>> open(
      std::string out, std::string work, const std::string& configuration, Account account,
      std::shared_ptr<ScratchSpace> space);

  // Notes something that the shards depend on, which is not known when the journal is opened. When a
  // run that is continued noted another value and finished shards: kUsage with `refusal`.
  [[nodiscard]] Result<void> same_as_before(const std::string& name, const std::string& value,
                                            const std::string& refusal);

  bool has_noted(const std::string& name) const { return noted_.contains(name); }

  // Whether the next shard, in the order of all runs, stands there already and is whole. With `input`
  // only shards count that were added with an `input`, which is told; without it only others.
  [[nodiscard]] Result<bool> is_done(const std::string& name, std::string* input = nullptr);

  // Calls `take(name)` for each shard that earlier runs finished and that is whole, in order, before
  // its turn; is_done() then takes this for the answer. Reads them through, once.
  [[nodiscard]] Result<void> check_finished(
      const std::function<Result<void>(const std::string& name)>& take,
      const std::stop_token& stop);

  // A number for the next shard's files, and where to write them: "arrow", "csv", "shard".
  uint64_t take_number() { return number_++; }
  std::string part(uint64_t number, const std::string& extension) const;
  struct Finished {
    uint64_t number = 0;
    std::string name;                     // within the output folder, without extension
    std::vector<std::string> extensions;  // in the order in which they become visible
    std::string entry;                    // its line of the manifest, JSON; "file" and hashes
    uint64_t bytes = 0;
    std::string input;  // what it was made of, when the run's whole input is not known before it
  };
  [[nodiscard]] Result<void> add(Finished shard);
  [[nodiscard]] Result<void> flush();  // all that was added is visible
  // Takes back what this and earlier runs published, and the journal's memory of it.
  [[nodiscard]] Result<void> retract();

  // Calls `take` with the manifest's entry of every shard, in order. Once, after flush().
  [[nodiscard]] Result<void> entries(const std::function<Result<void>(std::string_view)>& take);
  const std::string& folder() const { return out_; }
  uint64_t shards() const { return shards_; }
  uint64_t skipped() const { return skipped_; }
  uint64_t bytes() const { return bytes_; }  // written by this run

 private:
  struct Pending {
    Finished shard;
    bool is_noted;  // in the journal already
  };
  ShardPublisher() = default;
  Result<void> publish(const std::vector<Pending>& group);
  Result<void> wait();  // for the group that is being published
  // Whether the files of a journal's entry stand there and have their hashes.
  Result<bool> is_whole(const OrderedJson& entry, const std::stop_token& stop) const;
  Result<void> remember(std::string_view entry);

  std::string out_, work_;
  File disk_;  // the work folder, held: a failed sync is final
  std::unique_ptr<Journal> journal_;
  std::unique_ptr<SpillQueue> known_;           // the journal's entries, oldest first
  std::unique_ptr<SpillQueue> entries_;         // for the manifest
  std::string next_known_;                      // taken from known_, not yet met
  std::map<std::string, std::string> damaged_;  // by name: the journal's entries of those in work
  std::map<std::string, std::string> noted_;    // by same_as_before(): a few
  bool has_shards_ = false;                     // in the journal
  std::vector<Pending> group_, publishing_;
  Result<void> published_;  // of the thread
  std::thread thread_;
  uint64_t group_bytes_ = 0;
  uint64_t number_ = 0, shards_ = 0, skipped_ = 0, bytes_ = 0;
};

// A shard as the manifest tells of it.
ShardPublisher::Finished finished_shard(uint64_t number, const std::string& name, Target target,
                                        const ShardFigures& figures);

}  // namespace spillway::exporter

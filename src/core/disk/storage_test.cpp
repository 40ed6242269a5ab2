// Blob, Partitioner and ScratchSpace together: what the engine keeps, in memory and on disk.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <numeric>

#include "core/damage.hpp"
#include "core/disk/blob.hpp"
#include "core/disk/scratch.hpp"
#include "core/fault.hpp"
#include "core/records/partitioner.hpp"

namespace spillway {
namespace {

class Folder {
 public:
  Folder() {
    char name[] = "/tmp/spillway-storage-XXXXXX";
    path_ = ::mkdtemp(name);
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

struct Disk {
  explicit Disk(Bytes limit = 1_GiB) : space(*ScratchSpace::create({folder.path(), limit, true})) {}
  Folder folder;
  std::shared_ptr<ScratchSpace> space;
};

std::vector<uint8_t> piece_of(size_t size, size_t salt) {
  std::vector<uint8_t> piece(size);
  for (size_t i = 0; i < size; ++i) piece[i] = static_cast<uint8_t>(i * 31 + salt * 7 + i / 251);
  return piece;
}

RC_GTEST_PROP(Blob, ReadsBackWhatWasAppendedInMemoryAndSpilled,
              (const std::vector<uint16_t>& sizes)) {
  const Disk disk;
  auto budget = Budget::create(Bytes(*rc::gen::inRange<uint64_t>(0, 300000)));
  Account account = *budget->open({"store", 1});
  auto blob = Blob::create(disk.folder.path() + "/blob", account, disk.space);
  std::vector<uint64_t> offsets;
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (i == sizes.size() / 2) RC_ASSERT(blob->persist().has_value());
    offsets.push_back(*blob->append(piece_of(sizes[i], i)));
  }
  std::vector<uint8_t> room(65536);
  for (size_t i = 0; i < sizes.size(); ++i) {
    const uint8_t* const at = *blob->read(offsets[i], sizes[i], room);
    RC_ASSERT(std::equal(at, at + sizes[i], piece_of(sizes[i], i).begin()));
  }
}

TEST(Blob, SurvivesTheProcessOnceKept) {
  const Disk disk;
  auto budget = Budget::create(1_MiB);
  const std::string path = disk.folder.path() + "/blob";
  uint64_t size = 0;
  {
    auto blob = Blob::create(path, *budget->open({"store", 1}), disk.space);
    ASSERT_TRUE(blob->append(piece_of(5000, 1)));
    ASSERT_TRUE(blob->persist());
    blob->keep();
    size = blob->size();
  }
  auto again = Blob::open(path, size, disk.space);
  ASSERT_TRUE(again) << again.error().message();
  std::vector<uint8_t> room(5000);
  const uint8_t* const at = *(*again)->read(0, 5000, room);
  EXPECT_TRUE(std::equal(at, at + 5000, piece_of(5000, 1).begin()));
  const auto longer = Blob::open(path, size + 1, disk.space);
  ASSERT_FALSE(longer);
  EXPECT_EQ(longer.error().code(), Code::kCorrupt);
}

TEST(Blob, LeavesNothingWhenNotKept) {
  const Disk disk;
  auto budget = Budget::create(Bytes(0));
  {
    auto blob = Blob::create(disk.folder.path() + "/blob", *budget->open({"store", 1}), disk.space);
    ASSERT_TRUE(blob->append(piece_of(5000, 1)));
    EXPECT_FALSE(std::filesystem::is_empty(disk.folder.path()));
  }
  EXPECT_TRUE(std::filesystem::is_empty(disk.folder.path()));
  EXPECT_EQ(disk.space->used(), Bytes(0));
}

struct Record {
  uint64_t key;
  uint32_t value;
} __attribute__((packed));

RC_GTEST_PROP(Partitioner, KeepsEveryRecordInItsPartition, ()) {
  const Disk disk;
  auto budget = Budget::create(64_MiB);
  const bool in_memory = *rc::gen::arbitrary<bool>();
  Account frames = *budget->open({"frames", 1, Bytes(0), in_memory ? 32_MiB : Bytes(0)});
  PartitionerOptions options{.partitions = *rc::gen::inRange<size_t>(1, 40),
                             .record_bytes = sizeof(Record),
                             .frame_bytes = *rc::gen::inRange<size_t>(12, 400),
                             .writers = *rc::gen::inRange<size_t>(1, 4)};
  Account buffers = *budget->open({"buffers", 2});
  auto made = Partitioner::create(options, *buffers.try_acquire(Partitioner::buffer_bytes(options)),
                                  frames, disk.space);
  RC_ASSERT(made.has_value());
  Partitioner& partitioner = **made;
  const uint64_t count = *rc::gen::inRange<uint64_t>(0, 20000);
  for (uint64_t i = 0; i < count; ++i) {
    const Record record{i, static_cast<uint32_t>(i * 7)};
    RC_ASSERT(partitioner.writer(i % options.writers)
                  .append(i * 2654435761u % options.partitions, record)
                  .has_value());
  }
  for (size_t i = 0; i < options.writers; ++i)
    RC_ASSERT(partitioner.writer(i).flush_all().has_value());
  std::vector<bool> met(count);
  std::vector<uint8_t> room(Partitioner::read_buffer_bytes());
  uint64_t total = 0;
  for (size_t partition = 0; partition < options.partitions; ++partition) {
    uint64_t here = 0;
    RC_ASSERT(partitioner
                  .read(partition, room, {},
                        [&](std::span<const uint8_t> frame) {
                          for (size_t at = 0; at < frame.size(); at += sizeof(Record)) {
                            Record record;
                            std::memcpy(&record, frame.data() + at, sizeof record);
                            const uint64_t key = record.key;
                            RC_ASSERT(key < count && !met[key] &&
                                      record.value == static_cast<uint32_t>(key * 7));
                            RC_ASSERT(key * 2654435761u % options.partitions == partition);
                            met[key] = true;
                            ++here;
                          }
                        })
                  .has_value());
    RC_ASSERT(here == partitioner.records(partition));
    total += here;
  }
  RC_ASSERT(total == count);
  RC_ASSERT(in_memory || count < 40 || partitioner.spilled_bytes() > 0u ||
            total * 12 < 400 * options.partitions);
}

// Candidates on scratch: every cut and every flipped bit is noticed when the partition is read.
TEST(Partitioner, NoticesEveryCutAndFlippedBitOnScratch) {
  const Disk disk;
  auto budget = Budget::create(1_MiB);
  PartitionerOptions options{
      .partitions = 1, .record_bytes = sizeof(Record), .frame_bytes = 60, .writers = 1};
  Account buffers = *budget->open({"buffers", 2});
  auto made = Partitioner::create(options, *buffers.try_acquire(Partitioner::buffer_bytes(options)),
                                  *budget->open({"frames", 1, Bytes(0), Bytes(0)}), disk.space);
  ASSERT_TRUE(made);
  Partitioner& partitioner = **made;
  constexpr uint64_t kRecords = 12;
  for (uint64_t i = 0; i < kRecords; ++i)
    ASSERT_TRUE(partitioner.writer(0).append(0, Record{i * 977, static_cast<uint32_t>(i)}));
  ASSERT_TRUE(partitioner.writer(0).flush_all());
  ASSERT_GT(partitioner.spilled_bytes(), 0u);
  // The file has no name: it is reached as the process's own.
  std::string path;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    if (std::filesystem::read_symlink(entry.path(), gone).string().starts_with(disk.folder.path()))
      path = entry.path().string();
  }
  ASSERT_NE(path, "");
  std::vector<uint8_t> room(Partitioner::read_buffer_bytes());
  const size_t noticed = damage(path, [&]() -> Result<bool> {
    uint64_t met = 0;
    bool right = true;
    TRY(partitioner.read(0, room, {}, [&](std::span<const uint8_t> frame) {
      for (size_t at = 0; at < frame.size(); at += sizeof(Record), ++met) {
        Record record;
        std::memcpy(&record, frame.data() + at, sizeof record);
        right &= record.key == met * 977 && record.value == met;
      }
    }));
    return right && met == kRecords;
  });
  EXPECT_EQ(noticed, 2 * partitioner.spilled_bytes());
}

TEST(Scratch, RefusesTmpfs) {
  const auto refused = ScratchSpace::create({"/dev/shm", Bytes(0)});
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message().find("tmpfs"), std::string::npos);
}

TEST(Scratch, NamesItsLimitAndGivesBackWhatItHeld) {
  const Disk disk(1_MiB);
  {
    ScratchFile file = *disk.space->open();
    const std::vector<uint8_t> half = piece_of(600 << 10, 1);
    ASSERT_TRUE(file.append(half));
    const auto full = file.append(half);
    ASSERT_FALSE(full);
    EXPECT_EQ(full.error().code(), Code::kScratchFull);
    EXPECT_NE(full.error().message().find("--scratch-limit"), std::string::npos);
    EXPECT_EQ(disk.space->used(), 600_KiB);
  }
  EXPECT_EQ(disk.space->used(), Bytes(0));
  EXPECT_TRUE(std::filesystem::is_empty(disk.folder.path())) << "scratch files have no name";
}

TEST(Scratch, AShortFileIsNeverTheEnd) {
  const Disk disk;
  ScratchFile file = *disk.space->open();
  ASSERT_TRUE(file.append(piece_of(100, 1)));
  std::vector<uint8_t> out(101);
  const auto read = file.read_at(0, out);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code(), Code::kCorrupt);
}

TEST(Scratch, WritesPastTheFileSizeLimitAreAnError) {
  std::signal(SIGXFSZ, SIG_IGN);
  struct rlimit before {};
  getrlimit(RLIMIT_FSIZE, &before);
  const struct rlimit small { 64 << 10, before.rlim_max };
  const Disk disk;
  ScratchFile file = *disk.space->open();
  setrlimit(RLIMIT_FSIZE, &small);
  const auto written = file.append(piece_of(100 << 10, 1));
  setrlimit(RLIMIT_FSIZE, &before);
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code(), Code::kScratchFull);
}

#ifdef SPILLWAY_FAULTS
TEST(Blob, FailsCleanlyAtEveryWriteAndGoesOnAfterShortOnes) {
  for (const int error : {ENOSPC, EIO}) {
    for (uint64_t nth = 1;; ++nth) {
      const Disk disk;
      auto budget = Budget::create(40_KiB);
      auto blob =
          Blob::create(disk.folder.path() + "/blob", *budget->open({"store", 1}), disk.space);
      fault::arm(fault::Site::kWrite, nth, error);
      bool failed = false;
      for (size_t i = 0; i < 20 && !failed; ++i) failed = !blob->append(piece_of(9000, i));
      const bool was_hit = failed;
      fault::disarm_all();
      if (!was_hit) {
        ASSERT_GT(nth, 5u);
        break;
      }
      blob.reset();
      EXPECT_EQ(disk.space->used(), Bytes(0));
      EXPECT_TRUE(std::filesystem::is_empty(disk.folder.path()));
    }
  }
  const Disk disk;
  auto budget = Budget::create(Bytes(0));
  auto blob = Blob::create(disk.folder.path() + "/blob", *budget->open({"store", 1}), disk.space);
  fault::arm(fault::Site::kShortWrite, 1, 1, true);
  const uint64_t offset = *blob->append(piece_of(9000, 3));
  fault::disarm_all();
  std::vector<uint8_t> room(9000);
  const uint8_t* const at = *blob->read(offset, 9000, room);
  EXPECT_TRUE(std::equal(at, at + 9000, piece_of(9000, 3).begin()));
}
#endif

}  // namespace
}  // namespace spillway

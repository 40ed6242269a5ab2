#include "core/records/spill_queue.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <rapidcheck/state.h>

#include <cstring>
#include <deque>

#include "core/fault.hpp"
#include "core/test_folder.hpp"

namespace spillway {
namespace {

using Record = std::vector<uint8_t>;

struct Disk {
  explicit Disk(const SpillQueue::Options& options, Bytes limit = 1_GiB)
      : space(*ScratchSpace::create({folder.path(), limit, true})),
        budget(Budget::create(SpillQueue::floor(options))),
        queue(*SpillQueue::create(options, *budget->open({"queue", 1}), space)) {}
  TestFolder folder;
  std::shared_ptr<ScratchSpace> space;
  std::unique_ptr<Budget> budget;
  std::unique_ptr<SpillQueue> queue;
};

// std::deque is the model.
using Model = std::deque<Record>;

struct Push : rc::state::Command<Model, Disk> {
  Record record = *rc::gen::resize(40, rc::gen::arbitrary<Record>());
  void apply(Model& model) const override { model.push_back(record); }
  void run(const Model&, Disk& disk) const override {
    RC_ASSERT(disk.queue->push(record).has_value());
  }
  void show(std::ostream& os) const override { os << "push " << record.size(); }
};

struct Pop : rc::state::Command<Model, Disk> {
  void apply(Model& model) const override {
    if (!model.empty()) model.pop_front();
  }
  void run(const Model& model, Disk& disk) const override {
    RC_ASSERT(disk.queue->size() == model.size());
    const auto got = disk.queue->pop();
    RC_ASSERT(got.has_value());
    RC_ASSERT(got->has_value() == !model.empty());
    if (*got) RC_ASSERT(Record((**got).begin(), (**got).end()) == model.front());
  }
  void show(std::ostream& os) const override { os << "pop"; }
};

RC_GTEST_PROP(SpillQueue, BehavesLikeADeque, ()) {
  SpillQueue::Options options;
  options.segment_bytes = *rc::gen::inRange<size_t>(64, 256);
  options.frame_bytes = *rc::gen::inRange<size_t>(64, 128);
  Disk disk(options);
  // Far more pushes than pops, so that most runs spill.
  rc::state::check(Model(), disk, rc::state::gen::execOneOfWithArgs<Push, Push, Push, Pop, Pop>());
}

TEST(SpillQueue, KeepsOrderAcrossSegmentsAndGivesTheDiskBack) {
  Disk disk({.segment_bytes = 4096, .frame_bytes = 1024});
  const auto record_of = [](uint32_t i) {
    Record record(4 + i % 60);
    std::memcpy(record.data(), &i, 4);
    return record;
  };
  uint32_t out = 0;
  for (uint32_t i = 0; i < 20000; ++i) {
    ASSERT_TRUE(disk.queue->push(record_of(i)));
    if (i % 3 == 0) {
      const auto got = *disk.queue->pop();
      ASSERT_EQ(Record(got->begin(), got->end()), record_of(out++));
    }
  }
  EXPECT_GT(disk.space->used(), Bytes(0));
  while (!disk.queue->empty()) {
    const auto got = *disk.queue->pop();
    ASSERT_EQ(Record(got->begin(), got->end()), record_of(out++));
  }
  EXPECT_EQ(out, 20000u);
  EXPECT_LE(disk.budget->peak(), SpillQueue::floor({.segment_bytes = 4096, .frame_bytes = 1024}));
  disk.queue.reset();
  EXPECT_EQ(disk.space->used(), Bytes(0));
}

TEST(SpillQueue, StaysInMemoryBelowASegment) {
  Disk disk({.segment_bytes = 4096, .frame_bytes = 1024});
  for (int round = 0; round < 1000; ++round) {
    ASSERT_TRUE(disk.queue->push(Record(100)));
    ASSERT_TRUE(*disk.queue->pop());
  }
  EXPECT_EQ(disk.space->peak(), Bytes(0));
}

TEST(SpillQueue, RefusesARecordLongerThanASegment) {
  Disk disk({.segment_bytes = 128, .frame_bytes = 64});
  EXPECT_TRUE(disk.queue->push(Record(124)));
  const auto longer = disk.queue->push(Record(125));
  ASSERT_FALSE(longer);
  EXPECT_EQ(longer.error().code(), Code::kTooLarge);
}

#ifdef SPILLWAY_FAULTS
TEST(SpillQueue, AFailedWriteLosesNothing) {
  for (uint64_t nth = 1; nth < 60; ++nth) {
    Disk disk({.segment_bytes = 256, .frame_bytes = 64});
    fault::arm(fault::Site::kWrite, nth, ENOSPC);
    uint32_t failures = 0;
    for (uint8_t i = 0; i < 200; ++i) {
      const Record record(20, i);
      auto pushed = disk.queue->push(record);
      if (!pushed) {
        EXPECT_EQ(pushed.error().code(), Code::kScratchFull);
        ++failures;
        ASSERT_TRUE(disk.queue->push(record));  // there is room again
      }
    }
    fault::disarm_all();
    EXPECT_EQ(failures, 1u);
    for (uint8_t i = 0; i < 200; ++i) {
      const auto got = disk.queue->pop();
      ASSERT_TRUE(got) << got.error().message();
      ASSERT_EQ(Record((**got).begin(), (**got).end()), Record(20, i));
    }
  }
}
#endif

}  // namespace
}  // namespace spillway

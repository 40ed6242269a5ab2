#include "expand/engine/layer.hpp"

#include <gtest/gtest.h>

#include "core/damage.hpp"
#include "core/test_folder.hpp"

namespace spillway::expand {
namespace {

constexpr unsigned kKeyBits = 20;

// Room for one thread's frames.
struct Room {
  std::vector<uint8_t> raw = std::vector<uint8_t>(Blob::kMaxPiece);
  std::vector<uint64_t> packed = std::vector<uint64_t>(kFrameStates);
  std::vector<uint32_t> ends = std::vector<uint32_t>(FrameBuffer::kMaxEnds);
  std::vector<uint64_t> mask = std::vector<uint64_t>(FrameBuffer::kMaxEnds / 64 + 1);
  FrameBuffer buffer{raw, packed, ends, mask};
};

std::vector<uint8_t> state_at(uint32_t i) {
  std::vector<uint8_t> bytes(3 + i % 4, static_cast<uint8_t>(i));
  bytes[0] = static_cast<uint8_t>(i >> 8);
  return bytes;
}

using States = std::vector<std::vector<uint8_t>>;

Result<States> states_of(const Segment& segment, StateForm form, Room& room) {
  States states;
  for (size_t frame = 0; frame < segment.frames().size(); ++frame) {
    const uint32_t kept = segment.frames()[frame].kept;
    const StateBlock block = TRY(segment.load(frame, 0, kept, room.buffer));
    for (size_t i = 0; i < block.size(); ++i) {
      const StateView view = block[i];
      std::vector<uint8_t> bytes(view.bytes.begin(), view.bytes.end());
      if (form == StateForm::kPacked) {
        bytes.resize(8);
        std::memcpy(bytes.data(), &view.packed, 8);
      }
      states.push_back(std::move(bytes));
    }
  }
  return states;
}

struct Files {
  TestFolder folder;
  std::shared_ptr<ScratchSpace> space = *ScratchSpace::create({folder.path(), 1_GiB, true});
  std::string path(const char* name) const { return folder.path() + "/" + name; }
  std::unique_ptr<Blob> fresh(const char* name) const {
    return Blob::create(path(name), Account(), space);
  }
  Result<std::unique_ptr<Blob>> again(const char* name, uint64_t size) const {
    return Blob::open(path(name), size, space);
  }
};

uint64_t keep(Blob& blob) {
  EXPECT_TRUE(blob.persist());
  blob.keep();
  return blob.size();
}

TEST(Segment, NoticesEveryCutAndFlippedBitOfPackedStates) {
  const Files files;
  Room room;
  States expected;
  uint64_t size = 0;
  {
    Segment segment(StateForm::kPacked, kKeyBits, files.fresh("layer-0"), nullptr);
    for (uint64_t i = 0; i < 60; ++i) {
      const uint64_t state = i * 17389 % (1u << kKeyBits);
      ASSERT_TRUE(segment.append(std::span(&state, 1)));
      if (i % 25 == 24) {
        ASSERT_TRUE(segment.finish());
      }
    }
    ASSERT_TRUE(segment.finish());
    ASSERT_EQ(segment.frames().size(), 3u);
    expected = *states_of(segment, StateForm::kPacked, room);
    size = keep(segment.states());
  }
  ASSERT_EQ(expected.size(), 60u);
  const size_t noticed = damage(files.path("layer-0"), [&]() -> Result<bool> {
    const auto segment = TRY(
        Segment::open(StateForm::kPacked, kKeyBits, TRY(files.again("layer-0", size)), nullptr));
    return TRY(states_of(*segment, StateForm::kPacked, room)) == expected;
  });
  EXPECT_EQ(noticed, 2 * size) << "no byte of a frame is without its checksum";
}

TEST(Segment, NoticesEveryCutAndFlippedBitOfALogAndItsMask) {
  const Files files;
  Room room;
  States expected;
  uint64_t size = 0, mask_size = 0;
  {
    Segment log(StateForm::kBytes, 64, files.fresh("layer-0"), nullptr);
    uint32_t next = 0;
    for (int frame = 0; frame < 2; ++frame) {
      std::vector<uint8_t> bytes(4096);
      std::vector<uint32_t> ends(512), parent_ends(64);
      Successors successors(StateForm::kBytes, {}, bytes, ends, parent_ends);
      for (uint32_t parent = 0; parent < 20; ++parent) {
        for (uint32_t i = 0; i < parent % 5; ++i) ASSERT_TRUE(successors.push(state_at(next++)));
        successors.end_parent();
      }
      ASSERT_TRUE(log.append_log(successors));
    }
    std::vector<uint64_t> marks(next / 64 + 2);
    for (uint32_t i = 0; i < next; i += 3) {
      marks[i / 64] |= uint64_t{1} << (i % 64);
      expected.push_back(state_at(i));
    }
    ASSERT_TRUE(log.set_mask(marks, files.fresh("mask-0")));
    EXPECT_EQ(*states_of(log, StateForm::kBytes, room), expected);
    size = keep(log.states());
    mask_size = keep(*log.mask());
  }
  const auto read = [&]() -> Result<bool> {
    const auto segment = TRY(Segment::open(StateForm::kBytes, 64, TRY(files.again("layer-0", size)),
                                           TRY(files.again("mask-0", mask_size))));
    return TRY(states_of(*segment, StateForm::kBytes, room)) == expected;
  };
  EXPECT_EQ(damage(files.path("layer-0"), read), 2 * size);
  EXPECT_EQ(damage(files.path("mask-0"), read), 2 * mask_size);
}

// The log is read back before it is a checkpoint's: which parents kept nothing must not be guessed.
TEST(Segment, NoticesDamageToALogBeforeItHasItsMask) {
  const Files files;
  Segment log(StateForm::kBytes, 64, files.fresh("layer-0"), nullptr);
  std::vector<uint8_t> bytes(4096);
  std::vector<uint32_t> ends(512), parent_ends(64);
  Successors successors(StateForm::kBytes, {}, bytes, ends, parent_ends);
  uint32_t count = 0;
  for (uint32_t parent = 0; parent < 12; ++parent) {
    for (uint32_t i = 0; i < parent % 3; ++i) ASSERT_TRUE(successors.push(state_at(count++)));
    successors.end_parent();
  }
  ASSERT_TRUE(log.append_log(successors));
  const std::vector<uint64_t> none(count / 64 + 2);
  const size_t noticed = damage(files.path("layer-0"), [&]() -> Result<bool> {
    return TRY(log.set_mask(none, files.fresh("mask-0"))) == 12;
  });
  EXPECT_GE(noticed, 2 * (40u + 12 * 4)) << "the header and the parents' ends";
}

}  // namespace
}  // namespace spillway::expand

// What a name leads to: the whole content on the disk, or what was there before.
#include "core/file/output.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <stop_token>
#include <string>
#include <thread>

#include "core/fault.hpp"
#include "core/file/folders.hpp"
#include "core/test_folder.hpp"

namespace spillway {
namespace {

namespace fs = std::filesystem;

size_t entries_in(const std::string& folder) {
  return static_cast<size_t>(std::distance(fs::directory_iterator(folder), {}));
}

std::string content_of(const std::string& path) {
  auto text = read_small_file(path, 1 << 20);
  if (text) return *std::move(text);
  ADD_FAILURE() << text.error().message();
  return {};
}

TEST(Output, IsThereWholeOrNotAtAll) {
  const TestFolder folder;
  const std::string path = folder.path() + "/result";
  {
    const auto output = *create_output(path);
    ASSERT_TRUE(output->append("half a"));
  }
  EXPECT_EQ(entries_in(folder.path()), 0u);
  ASSERT_TRUE(write_durably(path, "first"));
  {
    const auto output = *create_output(path);
    ASSERT_TRUE(output->append("second, never committed"));
    EXPECT_EQ(content_of(path), "first");
  }
  ASSERT_TRUE(write_durably(path, "third"));
  EXPECT_EQ(content_of(path), "third");
  EXPECT_EQ(read_small_file(path, 3).error().code(), Code::kTooLarge);
  EXPECT_EQ(entries_in(folder.path()), 1u);
}

TEST(Output, GathersChangesAndReadsBackThroughItsBuffer) {
  const TestFolder folder;
  const std::string path = folder.path() + "/result";
  const auto output = *create_output(path, {.buffer = 7});
  std::string expected;
  for (int i = 0; i < 40; ++i) {
    const std::string piece(static_cast<size_t>(i % 11), static_cast<char>('a' + i % 26));
    ASSERT_TRUE(output->append(piece));
    expected += piece;
  }
  const uint8_t changed[] = {'X', 'Y'};
  ASSERT_TRUE(output->write_at(5, changed));
  expected.replace(5, 2, "XY");
  const auto seen = *output->read_back();
  std::string text(seen->size(), '\0');
  ASSERT_TRUE(seen->read_at(0, {reinterpret_cast<uint8_t*>(text.data()), text.size()}));
  EXPECT_EQ(text, expected);
  ASSERT_TRUE(std::move(*output).commit());
  EXPECT_EQ(content_of(path), expected);
}

TEST(Output, TwoWritersOfOneNameShareNothing) {
  const TestFolder folder;
  const std::string path = folder.path() + "/result";
  const auto first = *create_output(path);
  const auto second = *create_output(path);
  ASSERT_TRUE(first->append("of the first"));
  ASSERT_TRUE(second->append("second"));
  ASSERT_TRUE(std::move(*first).commit());
  EXPECT_EQ(content_of(path), "of the first");
  ASSERT_TRUE(std::move(*second).commit());
  EXPECT_EQ(content_of(path), "second");
  EXPECT_EQ(entries_in(folder.path()), 1u);
}

TEST(Output, TakesOverWhatADeadProcessLeft) {
  const TestFolder folder;
  const std::string path = folder.path() + "/result";
  ASSERT_TRUE(write_durably(path + ".partial", "a long leftover of a process that was killed"));
  ASSERT_TRUE(write_durably(path, "new"));
  EXPECT_EQ(content_of(path), "new");
  EXPECT_EQ(entries_in(folder.path()), 1u);
}

TEST(Folders, AreMadeListedAndRemovedWhole) {
  const TestFolder folder;
  const std::string deep = folder.path() + "/a/b/c";
  ASSERT_TRUE(make_folders(deep + "/"));
  ASSERT_TRUE(make_folders(deep));
  ASSERT_TRUE(write_durably(deep + "/file", "x"));
  fs::create_symlink(deep, folder.path() + "/a/link");
  EXPECT_TRUE(*is_folder(folder.path() + "/a/link"));
  EXPECT_FALSE(*exists(deep + "/file/below"));
  EXPECT_EQ(make_folders(deep + "/file").error().code(), Code::kInvalid);
  ASSERT_TRUE(remove_tree(folder.path() + "/a"));
  EXPECT_TRUE(*is_empty_folder(folder.path()));
  EXPECT_FALSE(*remove_file(folder.path() + "/a"));
  fs::create_symlink("loop", folder.path() + "/loop");
  EXPECT_FALSE(look_at(folder.path() + "/loop")) << "a loop is not a missing file";
}

TEST(Folders, NameWhatHoldsThem) {
  for (const auto& [path, holder] :
       {std::pair("a", "."), std::pair("a/b", "a"), std::pair("a/b/", "a"), std::pair("/a", "/"),
        std::pair("/", "/"), std::pair("", ".")})
    EXPECT_EQ(folder_of(path), holder) << path;
  EXPECT_EQ(name_of("a/b"), "b");
}

#ifdef SPILLWAY_FAULTS
// Whatever call fails, the content is the old one or, from the rename on, the new one; and no other
// file is left.
TEST(Output, KeepsTheOldContentWhenAnyCallFails) {
  const TestFolder folder;
  const std::string path = folder.path() + "/result";
  using fault::Site;
  for (const Site site : {Site::kOpen, Site::kWrite, Site::kSync, Site::kRename, Site::kStat,
                          Site::kTruncate, Site::kLock}) {
    for (const int error : {ENOSPC, EIO}) {
      for (uint64_t nth = 1;; ++nth) {
        ASSERT_TRUE(write_durably(path, "old"));
        fault::arm(site, nth, error);
        const auto written = write_durably(path, "new");
        fault::disarm_all();
        const bool was_last = site == Site::kOpen || site == Site::kSync;  // of the folder
        if (written) {
          EXPECT_GT(nth, 1u);
          break;
        }
        EXPECT_EQ(written.error().code(), error == ENOSPC ? Code::kDiskFull : Code::kIo);
        const bool is_renamed = was_last && nth == 2;
        EXPECT_EQ(content_of(path), is_renamed ? "new" : "old");
        // What could not be looked at or locked may be another's: the next writer takes it over.
        const bool may_stay = site == Site::kStat || site == Site::kTruncate || site == Site::kLock;
        EXPECT_LE(entries_in(folder.path()), may_stay ? 2u : 1u);
      }
    }
  }
}

// Linux says once that it lost what it could not write, and the next sync succeeds.
TEST(File, AFailedSyncIsFinal) {
  const TestFolder folder;
  File file = *File::open(folder.path() + "/file", File::Mode::kReplace);
  const uint8_t data[] = {1, 2, 3};
  ASSERT_TRUE(file.write_at(0, data));
  ASSERT_TRUE(file.sync());
  fault::arm(fault::Site::kSync, 1, EIO);
  EXPECT_FALSE(file.sync());
  fault::disarm_all();
  ASSERT_TRUE(file.write_at(3, data));
  for (int i = 0; i < 2; ++i) {
    const auto again = file.sync();
    ASSERT_FALSE(again);
    EXPECT_EQ(again.error().code(), Code::kIo);
    EXPECT_NE(again.error().message().find("an earlier sync failed"), std::string::npos);
  }
}
#endif

// Nobody opened it, and nobody will: that is neither its end nor something to read.
TEST(File, AStopEndsWaitingForAPipe) {
  const TestFolder folder;
  const std::string path = folder.path() + "/pipe";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  File file = *File::open(path);
  std::stop_source stop;
  stop.request_stop();
  uint8_t bytes[4];
  const auto read = file.read(bytes, stop.get_token());
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code(), Code::kCancelled);
}

TEST(File, ReadsAPipeToItsEndWhicheverSideComesFirst) {
  const TestFolder folder;
  const std::string path = folder.path() + "/pipe";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  File reader = *File::open(path);
  std::thread writer([&] { std::ofstream(path) << "abc" << std::flush << "defg"; });
  uint8_t bytes[8];
  const auto read = reader.read(bytes);
  writer.join();
  ASSERT_TRUE(read);
  EXPECT_EQ(std::string(bytes, bytes + *read), "abcdefg");
}

}  // namespace
}  // namespace spillway

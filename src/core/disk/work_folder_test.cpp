#include "core/disk/work_folder.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "core/fault.hpp"
#include "core/test_folder.hpp"

namespace spillway {
namespace {

namespace fs = std::filesystem;

void put(const std::string& path) { std::ofstream(path) << "x"; }

TEST(WorkFolder, HoldsOneProcessAtATime) {
  const TestFolder folder;
  const std::string out = folder.path() + "/out";
  auto first = WorkFolder::inside(out, "journal", "result");
  ASSERT_TRUE(first) << first.error().message();
  const auto second = WorkFolder::inside(out, "journal", "result");
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code(), Code::kInvalid);
}

TEST(WorkFolder, EntersWhatIsItsOwnAndNothingElse) {
  const TestFolder folder;
  put(folder.path() + "/file");
  EXPECT_FALSE(WorkFolder::inside(folder.path() + "/file", "journal", "result"));
  EXPECT_FALSE(WorkFolder::inside(folder.path(), "journal", "result"));
  put(folder.path() + "/result");
  EXPECT_TRUE(WorkFolder::inside(folder.path(), "journal", "result"));
  EXPECT_FALSE(WorkFolder::beside(folder.path() + "/nowhere/out", "journal"));
}

// A kill at any moment of the tidying leaves either the anchor and all it names, or no anchor. Here the
// anchor cannot be removed, as if the kill came first.
TEST(WorkFolder, RemovesTheAnchorBeforeWhatItNames) {
  const TestFolder folder;
  auto work = WorkFolder::beside(folder.path() + "/out", "journal");
  ASSERT_TRUE(work);
  fs::create_directories(work->anchor() + "/in-the-way");
  put(work->path() + "/a-run");
  put(work->path() + "/z-run");
  EXPECT_TRUE(*work->has_anchor());
  EXPECT_FALSE(work->clear());
  EXPECT_TRUE(fs::exists(work->path() + "/a-run"));
  EXPECT_TRUE(fs::exists(work->path() + "/z-run"));
  fs::remove_all(work->anchor());
  EXPECT_TRUE(work->remove());
  EXPECT_FALSE(fs::exists(work->path()));
}

// Who waited with a folder opened that its owner then removed has nothing: another process may make the
// name anew.
TEST(WorkFolder, DoesNotHoldARemovedFolder) {
  const TestFolder folder;
  const std::string out = folder.path() + "/out";
  auto first = WorkFolder::beside(out, "journal");
  ASSERT_TRUE(first);
  ASSERT_TRUE(first->remove());
  const auto second = WorkFolder::beside(out, "journal");  // while the first is still held
  ASSERT_TRUE(second) << second.error().message();
  EXPECT_FALSE(WorkFolder::beside(out, "journal"));
}

TEST(WorkFolder, StaysBesideResultsSoThatTheNextRunMayEnter) {
  const TestFolder folder;
  const std::string out = folder.path() + "/out";
  {
    const auto work = WorkFolder::inside(out, "journal", "result");
    ASSERT_TRUE(work);
    put(out + "/report");
    ASSERT_TRUE(work->leave_nothing(out));
  }
  const auto again = WorkFolder::inside(out, "journal", "result");
  ASSERT_TRUE(again) << again.error().message();
  fs::remove(out + "/report");
  ASSERT_TRUE(again->leave_nothing(out));
  EXPECT_FALSE(fs::exists(out));
}

#ifdef SPILLWAY_FAULTS
TEST(WorkFolder, WhatCannotBeLookedAtIsNotTakenForMissing) {
  const TestFolder folder;
  const auto work = WorkFolder::beside(folder.path() + "/out", "journal");
  ASSERT_TRUE(work);
  put(work->anchor());
  fault::arm(fault::Site::kStat, 1, EIO);
  const auto anchor = work->has_anchor();
  fault::disarm_all();
  ASSERT_FALSE(anchor);
  EXPECT_EQ(anchor.error().code(), Code::kIo);
  EXPECT_TRUE(fs::exists(work->anchor()));
}
#endif

}  // namespace
}  // namespace spillway

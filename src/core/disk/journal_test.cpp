#include "core/disk/journal.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <xxhash.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "core/fault.hpp"
#include "core/test_folder.hpp"

namespace spillway {
namespace {

struct Read {
  Result<Journal> journal;
  std::vector<std::string> entries;
};

Read open(const std::string& path, std::string_view configuration = "{\"a\":1}") {
  std::vector<std::string> entries;
  auto journal = Journal::open(path, configuration, [&](std::string_view entry) -> Result<void> {
    entries.emplace_back(entry);
    return {};
  });
  return {std::move(journal), std::move(entries)};
}

std::string content(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

TEST(Journal, GivesBackWhatWasAppended) {
  const TestFolder folder;
  const std::string path = folder.path() + "/journal";
  {
    Read first = open(path);
    ASSERT_TRUE(first.journal) << first.journal.error().message();
    EXPECT_TRUE(first.entries.empty());
    for (const char* entry : {"one", "", "three with spaces"})
      ASSERT_TRUE(first.journal->append(entry));
  }
  const Read again = open(path);
  ASSERT_TRUE(again.journal);
  EXPECT_EQ(again.entries, (std::vector<std::string>{"one", "", "three with spaces"}));
  EXPECT_EQ(again.journal->entries(), 3u);
}

TEST(Journal, RefusesAnotherConfiguration) {
  const TestFolder folder;
  const std::string path = folder.path() + "/journal";
  ASSERT_TRUE(open(path).journal);
  const Read other = open(path, "{\"a\":2}");
  ASSERT_FALSE(other.journal);
  EXPECT_EQ(other.journal.error().code(), Code::kUsage);
}

TEST(Journal, LosesOnlyTheLastLineWhenCutAnywhere) {
  const TestFolder folder;
  const std::string path = folder.path() + "/journal";
  {
    Read first = open(path);
    ASSERT_TRUE(first.journal->append("alpha"));
    ASSERT_TRUE(first.journal->append("beta"));
  }
  const std::string whole = content(path);
  for (size_t cut = 0; cut <= whole.size(); ++cut) {
    std::ofstream(path, std::ios::binary) << whole.substr(0, cut);
    const auto lines = std::count(whole.begin(), whole.begin() + static_cast<long>(cut), '\n');
    {
      Read read = open(path);
      ASSERT_TRUE(read.journal) << cut << ": " << read.journal.error().message();
      EXPECT_EQ(static_cast<long>(read.entries.size()), std::max<long>(0, lines - 1)) << cut;
      ASSERT_TRUE(read.journal->append("gamma"));
    }
    const Read after = open(path);
    ASSERT_TRUE(after.journal);
    ASSERT_FALSE(after.entries.empty());
    EXPECT_EQ(after.entries.back(), "gamma") << cut;
  }
}

TEST(Journal, ADamagedLineIsNeverReplayed) {
  const TestFolder folder;
  const std::string path = folder.path() + "/journal";
  {
    Read first = open(path);
    ASSERT_TRUE(first.journal->append("alpha"));
    ASSERT_TRUE(first.journal->append("beta"));
  }
  const std::string whole = content(path);
  const size_t last_line = whole.rfind('\n', whole.size() - 2) + 1;
  for (size_t at = 0; at < whole.size(); ++at) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 4);
    std::ofstream(path, std::ios::binary) << damaged;
    const Read read = open(path);
    // A line break that is gone makes the lines around it look like one that a crash cut short.
    if (at + 1 < last_line) {
      ASSERT_FALSE(read.journal) << at;
      EXPECT_EQ(read.journal.error().code(), Code::kCorrupt) << at;
    } else {
      ASSERT_TRUE(read.journal) << at;
      EXPECT_LE(read.entries.size(), at + 1 == last_line ? 0u : 1u) << at;
    }
  }
}

// 100,000 lines were read as 100,000 MiB.
TEST(Journal, ReadsManyLinesInFewPieces) {
  const TestFolder folder;
  const std::string path = folder.path() + "/journal";
  { ASSERT_TRUE(open(path).journal); }
  std::string text = content(path);
  constexpr int kLines = 20'000;
  for (int i = 1; i <= kLines; ++i) {
    const std::string rest = fmt::format("{} entry {} {}", i, i, std::string(i % 97, 'x'));
    text += fmt::format("{:016x} {}\n", XXH3_64bits(rest.data(), rest.size()), rest);
  }
  std::ofstream(path, std::ios::binary) << text;
#ifdef SPILLWAY_FAULTS
  constexpr uint64_t kMany = 1000;
  fault::arm(fault::Site::kRead, kMany, EIO);
  const Read read = open(path);
  EXPECT_GT(fault::remaining(fault::Site::kRead), kMany - 10);
  fault::disarm_all();
#else
  const Read read = open(path);
#endif
  ASSERT_TRUE(read.journal) << read.journal.error().message();
  EXPECT_EQ(read.entries.size(), size_t{kLines});
  EXPECT_EQ(read.entries[96], "entry 97 ");
}

#ifdef SPILLWAY_FAULTS
TEST(Journal, AFailedWriteLeavesWhatWasThere) {
  const TestFolder folder;
  const std::string path = folder.path() + "/journal";
  for (uint64_t nth = 1; nth < 4; ++nth) {
    Read read = open(path);
    ASSERT_TRUE(read.journal);
    const uint64_t before = read.journal->entries();
    ASSERT_TRUE(read.journal->append("kept"));
    fault::arm(fault::Site::kWrite, 1, ENOSPC);
    EXPECT_FALSE(read.journal->append("lost"));
    fault::disarm_all();
    ASSERT_TRUE(read.journal->append("after"));
    EXPECT_EQ(read.journal->entries(), before + 2);
  }
  EXPECT_EQ(open(path).entries.size(), 6u);
}

// What the system may have dropped is not built upon: the next process reads what is there.
TEST(Journal, NothingIsNotedAfterAFailedSync) {
  const TestFolder folder;
  const std::string path = folder.path() + "/journal";
  {
    Read read = open(path);
    ASSERT_TRUE(read.journal->append("kept"));
    fault::arm(fault::Site::kSync, 1, EIO);
    EXPECT_FALSE(read.journal->append("lost?"));
    fault::disarm_all();
    EXPECT_FALSE(read.journal->append("after"));
    EXPECT_EQ(read.journal->entries(), 1u);
  }
  Read again = open(path);
  ASSERT_TRUE(again.journal);
  EXPECT_EQ(again.entries.front(), "kept");
  EXPECT_TRUE(again.journal->append("after"));
}
#endif

}  // namespace
}  // namespace spillway

#include "core/memory/procstat.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <string>

namespace spillway {
namespace {

class StatusFile {
 public:
  explicit StatusFile(const std::string& text) {
    path_ = ::testing::TempDir() + "/status-" + std::to_string(::getpid());
    std::ofstream(path_) << text;
  }
  ~StatusFile() { ::unlink(path_.c_str()); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

TEST(ProcessMemory, IsFoundBehindLinesOfAnyLength) {
  for (const size_t groups : {10u, 4070u, 4085u, 4086u, 4096u, 8192u, 100000u}) {
    const StatusFile status("Name:\tspillway\nGroups:\t" + std::string(groups, '7') +
                            " RssAnon: 5\nVmRSS:\t  90 kB\nRssAnon:\t      50 kB\n"
                            "RssFile:\t      30 kB\nRssShmem:\t      10 kB\nThreads:\t1\n");
    const ProcessMemory memory = process_memory(status.path());
    EXPECT_EQ(memory.anonymous, 50_KiB) << groups;
    EXPECT_EQ(memory.file, 30_KiB) << groups;
    EXPECT_EQ(memory.shared, 10_KiB) << groups;
  }
}

TEST(ProcessMemory, OfThisProcessIsWhatItTouched) {
  const Bytes before = process_memory().anonymous;
  EXPECT_GT(before, Bytes(0));
  const std::string touched(size_t{64} << 20, 'x');
  EXPECT_GE(process_memory().anonymous, before + 60_MiB) << touched.size();
}

TEST(ProcessMemory, IsZeroWithoutAStatus) {
  EXPECT_EQ(process_memory("/nonexistent/status").counted(), Bytes(0));
}

}  // namespace
}  // namespace spillway

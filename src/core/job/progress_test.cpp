#include "core/job/progress.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

namespace spillway {
namespace {

struct Fixture {
  FakeClock clock;
  ProgressLines lines{64_MiB, {.clock = &clock, .memory = [] {
                                 return ProcessMemory{20_MiB, 900_MiB, 10_MiB};
                               }}};
  ProgressSnapshot now{.phase = "depth 9", .text = "12 states"};
  void pass(double seconds) {
    clock.advance(std::chrono::nanoseconds(static_cast<int64_t>(seconds * 1e9)));
  }
};

TEST(Rate, IsOfWhatWasDoneSinceTheFirstLook) {
  FakeClock clock;
  Rate rate(clock);
  EXPECT_FALSE(rate.per_second(5'000'000)) << "a resumed job has done these before";
  clock.advance(std::chrono::milliseconds(400));
  EXPECT_FALSE(rate.per_second(5'000'100)) << "too early to say; not 0";
  clock.advance(std::chrono::milliseconds(3600));
  EXPECT_DOUBLE_EQ(*rate.per_second(5'000'800), 200);
  EXPECT_FALSE(rate.per_second(1)) << "a search that starts over";
}

TEST(Rate, IsWrittenAsADashOrNullWhileUnknown) {
  EXPECT_EQ(rate_text(std::nullopt), "-");
  EXPECT_EQ(rate_json(std::nullopt), "null");
  EXPECT_EQ(rate_text(1234.4), "1,234");
  EXPECT_EQ(rate_text(12.34e6, 1e6, 1), "12.3");
  EXPECT_EQ(rate_json(12.6), "13");
}

TEST(ProgressLines, SayTimePhaseMemoryAndScratch) {
  Fixture f;
  f.pass(83);
  f.now.spilled = 5_MiB;
  EXPECT_EQ(f.lines.text(f.now),
            "1:23  depth 9  12 states  memory 30 MiB of 64 MiB  scratch 5 MiB");
  f.pass(3600);
  EXPECT_EQ(f.lines.text(f.now).substr(0, 9), "1:01:23  ");
}

TEST(ProgressLines, EstimateFromWhatThePhaseDidSinceItBegan) {
  Fixture f;
  f.pass(1000);  // of earlier phases
  f.now.fraction = 0.2;
  EXPECT_EQ(f.lines.text(f.now).find("ends"), std::string::npos) << "nothing done yet";
  f.pass(30);
  f.now.fraction = 0.5;  // 30 s for 30 %: 50 s for the rest
  EXPECT_TRUE(f.lines.text(f.now).ends_with("  phase ends in 0:50")) << f.lines.text(f.now);
  f.now.phase = "depth 10";
  f.now.fraction = 0.01;
  EXPECT_EQ(f.lines.text(f.now).find("ends"), std::string::npos) << "another phase begins";
  f.pass(10);
  f.now.fraction = 1.5;  // a guess that was too low
  const std::string over = f.lines.text(f.now);
  EXPECT_NE(over.find("99 %"), std::string::npos) << over;
  EXPECT_EQ(over.find("ends"), std::string::npos)
      << over << ": there is work left; 0:00 is no guess";
  f.now.fraction = -1;
  EXPECT_EQ(f.lines.text(f.now).find('%'), std::string::npos) << "unknown";
}

TEST(ProgressLines, AreJsonWhateverTheJobSays) {
  Fixture f;
  f.pass(12.34);
  f.now.phase = "\"quoted\"\n\xff";  // not UTF-8, as a file's name may be
  f.now.fraction = std::numeric_limits<double>::quiet_NaN();
  f.now.json = "\"depth\":9,\"states\":18446744073709551615";
  const std::string line = f.lines.json(f.now);
  EXPECT_EQ(line.find('\n'), std::string::npos);
  const auto json = nlohmann::json::parse(line);
  EXPECT_EQ(json["phase"], "\"quoted\"\n\xef\xbf\xbd");
  EXPECT_DOUBLE_EQ(json["seconds"], 12.3);
  EXPECT_EQ(json["fraction"], -1);
  EXPECT_EQ(json["memory"], (30_MiB).count()) << "mapped files do not count";
  EXPECT_EQ(json["memory_limit"], (64_MiB).count());
  EXPECT_EQ(json["depth"], 9);
  EXPECT_EQ(json["states"], std::numeric_limits<uint64_t>::max());
  f.now = {};
  EXPECT_TRUE(nlohmann::json::accept(f.lines.json(f.now)));
  EXPECT_EQ(nlohmann::json::parse(ProgressLines::json_note("a \"b\" \xff"))["note"],
            "a \"b\" \xef\xbf\xbd");
}

TEST(ProgressLines, FitTheTerminalByWholeCharacters) {
  EXPECT_EQ(ProgressLines::fitted("abcdef", 4), "abcd");
  EXPECT_EQ(ProgressLines::fitted("abc", 4), "abc");
  EXPECT_EQ(ProgressLines::fitted("a\xc3\xa4\xe2\x82\xac z", 3), "a\xc3\xa4\xe2\x82\xac");
  EXPECT_EQ(ProgressLines::fitted("a\nb\x1b[2Jc", 40), "a b [2Jc");
}

TEST(Progress, TellsNotesWhileItDraws) {
  for (const auto mode : {ProgressMode::kJson, ProgressMode::kPlain, ProgressMode::kNone}) {
    ::testing::internal::CaptureStderr();
    Progress::start(mode, 1_MiB, [] { return ProgressSnapshot(); })->note("hello");
    const std::string said = ::testing::internal::GetCapturedStderr();
    if (mode == ProgressMode::kJson) {
      EXPECT_TRUE(said.starts_with("{\"note\":\"hello\"}\n{")) << said;  // and the end
      EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 2);
    } else {
      EXPECT_EQ(said, mode == ProgressMode::kPlain ? "spillway: hello\n" : "");
    }
  }
}

}  // namespace
}  // namespace spillway

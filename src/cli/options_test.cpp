#include "cli/options.hpp"

#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <chrono>

namespace spillway::cli {
namespace {

using std::chrono::milliseconds;

TEST(Duration, ReadsEachUnit) {
  EXPECT_EQ(parse_duration("60s").value_or(milliseconds(-1)), milliseconds(60000));
  EXPECT_EQ(parse_duration("500ms").value_or(milliseconds(-1)), milliseconds(500));
  EXPECT_EQ(parse_duration("2m").value_or(milliseconds(-1)), milliseconds(120000));
  EXPECT_EQ(parse_duration("1.5h").value_or(milliseconds(-1)), milliseconds(5400000));
}

TEST(Duration, RefusesWhatIsNotATimeAsUsage) {
  for (const char* text : {"", "s", "-1s", "60x", "6 0s", "nan", "nans", "inf", "1e300s", "60s "}) {
    const auto parsed = parse_duration(text);
    ASSERT_FALSE(parsed.has_value()) << text;
    EXPECT_EQ(parsed.error().code(), Code::kUsage) << text;
  }
}

TEST(CommonOptions, KeepTheGivenMemoryAndNameItsSource) {
  CommonOptions common;
  common.memory = "64MiB";
  const auto job = common.finish();
  ASSERT_TRUE(job.has_value());
  EXPECT_EQ(job->memory, 64_MiB);
  EXPECT_EQ(job->memory_source, "--memory");
}

TEST(CommonOptions, NameTheFlagWhoseSizeIsWrong) {
  CommonOptions common;
  common.memory = "64MiB";
  common.scratch_limit = "lots";
  const auto job = common.finish();
  ASSERT_FALSE(job.has_value());
  EXPECT_EQ(job.error().code(), Code::kUsage);
  EXPECT_NE(job.error().message().find("--scratch-limit"), std::string::npos);
}

TEST(CommonOptions, RefuseAReportOfUnknownKind) {
  CommonOptions common;
  common.memory = "64MiB";
  common.job.report = "report.txt";
  const auto job = common.finish();
  ASSERT_FALSE(job.has_value());
  EXPECT_EQ(job.error().code(), Code::kUsage);
}

// An application of one command with the common options, as main() builds it.
class Texts : public testing::Test {
 protected:
  void SetUp() override { common_.add_to(*app_.add_subcommand("expand", "searches")); }
  const CLI::App& command() const { return *app_.get_subcommand("expand"); }
  CLI::App app_{"about", "spillway"};
  CommonOptions common_;
};

TEST_F(Texts, ManPageDescribesEveryOption) {
  const std::string page = man_page(app_);
  const auto options = long_options(command());
  ASSERT_GE(options.size(), 8u);
  for (std::string option : options) {
    std::string escaped;
    for (const char c : option) escaped += c == '-' ? std::string("\\-") : std::string(1, c);
    EXPECT_NE(page.find(".B " + escaped + " "), std::string::npos) << option;
  }
}

TEST_F(Texts, CompletionOffersEveryOption) {
  const std::string script = bash_completion(app_);
  for (const std::string& option : long_options(command())) {
    EXPECT_NE(script.find(option + " "), std::string::npos) << option;
  }
}

}  // namespace
}  // namespace spillway::cli

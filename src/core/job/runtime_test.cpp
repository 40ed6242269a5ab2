#include "core/job/runtime.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/file/source.hpp"
#include "core/test_folder.hpp"

namespace spillway {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class Runtime : public ::testing::Test {
 protected:
  std::unique_ptr<JobRuntime> start(std::stop_token stop = {}) {
    MemoryPlan plan;
    plan.reserve(1_MiB, "code");
    plan.account({"work", 1, 1_MiB}, "buffers");
    JobOptions job{.memory = 64_MiB, .memory_source = "--memory", .progress = ProgressMode::kNone};
    job.report = folder_.path() + "/extra.json";
    auto made = JobRuntime::start({.command = "count",
                                   .job = job,
                                   .plan = std::move(plan),
                                   .scratch_folder = folder_.path(),
                                   .own_report = folder_.path() + "/report.json",
                                   .stop = std::move(stop),
                                   .keeps = "a checkpoint"});
    EXPECT_TRUE(made) << made.error().message();
    return std::move(*made);
  }
  nlohmann::json report(const std::string& name) const {
    const auto text = read_small_file(folder_.path() + "/" + name, 1 << 20);
    return text ? nlohmann::json::parse(*text)["job"] : nlohmann::json();
  }
  static ProgressSnapshot snapshot() { return {.phase = "phase 7", .text = "12 things"}; }
  TestFolder folder_;
};

TEST_F(Runtime, LeavesAReportOfAFinishedRun) {
  const auto runtime = start();
  const auto done = runtime->run({.snapshot = snapshot,
                                  .work = [&] { return runtime->finish_report(); },
                                  .describe = [](Report& r) { r.fact("things", "12"); }});
  ASSERT_TRUE(done) << done.error().message();
  for (const char* name : {"report.json", "extra.json"}) {
    EXPECT_EQ(report(name)["ended"], "finished");
    EXPECT_EQ(report(name)["things"], 12);
    EXPECT_EQ(report(name)["pressure"]["exceeded"], 0);
  }
}

TEST_F(Runtime, LeavesAReportOfAFailedRunWithTheReason) {
  const auto runtime = start();
  const auto done = runtime->run({.snapshot = snapshot,
                                  .work = [] { return fail(Code::kCorrupt, "bad \xff row 7"); },
                                  .describe = [](Report& r) { r.fact("things", "3"); }});
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().message(), "bad \\xff row 7");
  EXPECT_EQ(report("extra.json")["ended"], "failed");
  EXPECT_EQ(report("extra.json")["error"], "bad \\xff row 7");
  EXPECT_EQ(report("extra.json")["things"], 3);
  EXPECT_TRUE(report("report.json").is_null()) << "nothing is there that could be resumed";
}

TEST_F(Runtime, SaysWhetherAStoppedRunGoesOn) {
  for (const bool resumes : {true, false}) {
    std::stop_source user;
    const auto runtime = start(user.get_token());
    const auto done = runtime->run({.snapshot = snapshot,
                                    .work = [&]() -> Result<void> {
                                      user.request_stop();
                                      EXPECT_TRUE(runtime->stop().stop_requested());
                                      return fail(Code::kCancelled, "stopped");
                                    },
                                    .can_resume = [&] { return resumes; }});
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().message(), resumes ? "stopped; the same command continues"
                                              : "stopped; nothing is kept of this run");
    EXPECT_EQ(report(resumes ? "report.json" : "extra.json")["ended"], "interrupted");
  }
}

TEST_F(Runtime, PromisesToResumeAfterAFullDiskOnlyWhereItDoes) {
  for (const bool resumes : {true, false}) {
    const auto runtime = start();
    const auto done = runtime->run({.snapshot = snapshot,
                                    .work = [] { return fail(Code::kDiskFull, "writing x: full"); },
                                    .can_resume = [&] { return resumes; }});
    EXPECT_THAT(done.error().message(),
                resumes ? ::testing::Matcher<std::string>(HasSubstr("it resumes"))
                        : ::testing::Matcher<std::string>(Not(HasSubstr("resume"))));
  }
}

TEST_F(Runtime, TellsWhereItIsAndWhoHoldsTheMemory) {
  EXPECT_THAT(JobRuntime::status(), HasSubstr("no job runs"));
  EXPECT_THAT(JobRuntime::stop_notice(), Not(HasSubstr("checkpoint")));
  const auto runtime = start();
  Account work = *runtime->open("work");
  const Lease lease = *work.try_acquire(512_KiB);
  const auto done =
      runtime->run({.snapshot = snapshot, .work = []() -> Result<void> {
                      EXPECT_THAT(JobRuntime::status(), HasSubstr("phase 7"));
                      EXPECT_THAT(JobRuntime::status(), HasSubstr("work            512 KiB"));
                      EXPECT_THAT(JobRuntime::stop_notice(), HasSubstr("stopping at a checkpoint"));
                      return {};
                    }});
  EXPECT_TRUE(done);
}

}  // namespace
}  // namespace spillway

#include "core/job/report.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace spillway {
namespace {

struct Fixture {
  FakeClock clock;
  ProcessMemory now{20_MiB, 900_MiB, 10_MiB};
  std::unique_ptr<Budget> budget = Budget::create(64_MiB);
  Account account = *budget->open({"candidates", 1, 1_MiB});
  std::unique_ptr<Report> report = Report::start(
      "expand", options(), *budget,
      {.clock = &clock, .memory = [this] { return now; }, .every = std::chrono::hours(1)});

  static JobOptions options() {
    JobOptions options;
    options.memory = 64_MiB;
    options.memory_source = "--memory";
    return options;
  }
  void pass(std::chrono::milliseconds time) {
    clock.advance(time);
    report->sample();
  }
  nlohmann::json finished() {
    report->finish();
    return nlohmann::json::parse(report->json());
  }
};

TEST(Report, KeepsAtMostTwoThousandPointsOverTheWholeTime) {
  Fixture f;
  for (uint64_t i = 1; i <= 10000; ++i) {
    f.report->count(i, Bytes(2 * i));
    f.now.anonymous = i == 7777 ? 50_MiB : 20_MiB;
    f.pass(std::chrono::milliseconds(50));
  }
  const auto json = f.finished();
  const auto& ledger = json["ledger"];
  ASSERT_LT(ledger.size(), 2000u);
  ASSERT_GE(ledger.size(), 900u);
  EXPECT_EQ(ledger.front()["seconds"], 0.0);
  EXPECT_DOUBLE_EQ(ledger.back()["seconds"], 500);
  for (size_t i = 1; i < ledger.size(); ++i) {
    const double at = ledger[i]["seconds"];
    EXPECT_GT(at, ledger[i - 1]["seconds"].get<double>() - 1e-9);
    EXPECT_NEAR(ledger[i]["done"].get<double>(), at * 20, 1) << "each point is as it was taken";
    EXPECT_EQ(ledger[i]["scratch"].get<uint64_t>(), 2 * ledger[i]["done"].get<uint64_t>());
  }
  EXPECT_EQ(json["memory"]["peak_anonymous"], (50_MiB).count()) << "thinning loses no peak";
  EXPECT_EQ(f.report->peak(), 60_MiB);
}

TEST(Report, HoldsTheLedgerNextToWhatTheProcessHolds) {
  Fixture f;
  {
    const auto lease = f.account.try_acquire(8_MiB);
    f.pass(std::chrono::milliseconds(50));
  }
  f.pass(std::chrono::milliseconds(50));
  const auto json = f.finished();
  EXPECT_EQ(json["command"], "expand");
  EXPECT_DOUBLE_EQ(json["seconds"], 0.1);
  EXPECT_EQ(json["memory"]["limit"], (64_MiB).count());
  EXPECT_EQ(json["memory"]["peak_accounted"], (8_MiB).count());
  EXPECT_EQ(json["memory"]["peak_unaccounted"], (30_MiB).count());
  EXPECT_EQ(json["ledger"][1]["accounted"], (8_MiB).count());
  EXPECT_EQ(json["ledger"][1]["anonymous"], (30_MiB).count());
  EXPECT_EQ(json["accounts"][0]["name"], "candidates");
  EXPECT_EQ(json["accounts"][0]["peak"], (8_MiB).count());
}

TEST(Report, IsJsonWhateverTheJobSays) {
  Fixture f;
  f.report->fact("states", "12");
  f.report->fact("arguments", "{\"text\":\"a\"}");
  f.report->fact("path", "\"/tmp/\xff\"");  // not UTF-8, as a file's name may be
  f.report->table({"Layers \"x\"", {"depth"}, {{"\xff\n"}}});
  const auto json = f.finished();
  EXPECT_EQ(json["job"]["states"], 12);
  EXPECT_EQ(json["job"]["arguments"]["text"], "a");
  EXPECT_TRUE(json["job"]["path"].is_string());
  EXPECT_EQ(json["tables"][0]["rows"][0][0], "\xef\xbf\xbd\n");
}

TEST(Report, PageNeedsNothingElse) {
  Fixture f;
  f.report->fact("problem", "\"<script>alert(1)</script>\"");
  f.report->table({"Layers", {"depth", "<b>"}, {{"1", "a&b"}}});
  f.report->series({"rate <i>", "1/s", {{0.0, 1.0}, {1.0, 2.0}}});
  for (int i = 0; i < 10; ++i) f.pass(std::chrono::milliseconds(100));
  f.report->finish();
  const std::string page = f.report->html();
  for (const char* outside : {"http:", "https:", "//cdn", " src=", " href=", "@import", "url(",
                              "<script", "<link", "<iframe", "<img", "<b>\"", "<i>"}) {
    EXPECT_EQ(page.find(outside), std::string::npos) << outside;
  }
  for (const char* part : {"<!doctype html>", "<meta charset=\"utf-8\">", "<style>", "<svg",
                           "&lt;script&gt;", "a&amp;b", "rate &lt;i&gt;", "</html>"}) {
    EXPECT_NE(page.find(part), std::string::npos) << part;
  }
  // Every element that is opened is closed.
  for (const char* name : {"html", "body", "table", "tr", "td", "th", "svg", "div", "style"}) {
    const auto count = [&](const std::string& text) {
      size_t found = 0;
      for (size_t at = 0; (at = page.find(text, at)) != std::string::npos; at += text.size())
        ++found;
      return found;
    };
    const std::string open = std::string("<") + name;
    EXPECT_EQ(count(open + ">") + count(open + " "), count(std::string("</") + name + ">")) << name;
  }
}

}  // namespace
}  // namespace spillway

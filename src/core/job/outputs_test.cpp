#include "core/job/outputs.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "core/test_folder.hpp"

namespace spillway {
namespace {

class Outputs : public ::testing::Test {
 protected:
  std::string file(const std::string& name, const std::string& text = "data") {
    std::ofstream(folder_.path() + "/" + name) << text;
    return folder_.path() + "/" + name;
  }
  std::string name(const std::string& name) const { return folder_.path() + "/" + name; }
  static std::string refusal(const OutputName& output, const std::vector<std::string>& inputs = {},
                             bool overwrite = false) {
    const auto checked = check_outputs({&output, 1}, {inputs, {}, overwrite});
    return checked ? "" : checked.error().message();
  }
  TestFolder folder_;
};

TEST_F(Outputs, MayBeNewOrNotWantedOrTheJobsOwn) {
  EXPECT_EQ(refusal({"--out", name("new")}), "");
  EXPECT_EQ(refusal({"--out", ""}), "");
  EXPECT_EQ(refusal({"--out", file("mine"), [](const std::string&) { return true; }}), "");
}

TEST_F(Outputs, NeverReplaceWhatIsNotTheirsUnlessTold) {
  const std::string path = file("other");
  const std::string said = refusal({"--out", path, [](const std::string&) { return false; }});
  EXPECT_NE(said.find("--out " + path + ": stands there"), std::string::npos) << said;
  EXPECT_NE(said.find("--overwrite"), std::string::npos) << said;
  EXPECT_EQ(refusal({"--out", path}, {}, true), "");
}

TEST_F(Outputs, NeverReplaceAnInputWhateverIsToldOrItsNameIs) {
  const std::string path = file("input");
  std::filesystem::create_symlink(path, name("link"));
  std::filesystem::create_hard_link(path, name("hard"));
  for (const std::string& out : {path, name("link"), name("hard"), folder_.path() + "/./input"}) {
    const std::string said = refusal({"--out", out, nullptr}, {path}, true);
    EXPECT_NE(said.find("is the input " + path), std::string::npos) << out << ": " << said;
  }
}

TEST_F(Outputs, AreFilesInAFolderThatIsThere) {
  EXPECT_NE(refusal({"--report", name("no/r.json")}).find("there is no folder"), std::string::npos);
  EXPECT_NE(refusal({"--report", file("f") + "/r.json"}).find("is not a folder"),
            std::string::npos);
  EXPECT_NE(refusal({"--report", folder_.path()}, {}, true).find("is a folder"), std::string::npos);
  ASSERT_EQ(::mkfifo(name("pipe").c_str(), 0600), 0);
  EXPECT_NE(refusal({"--report", name("pipe")}, {}, true).find("not a regular file"),
            std::string::npos);
}

TEST_F(Outputs, MayBeInTheFolderThatTheJobMakes) {
  for (const std::string& made : {name("made"), name("made/"), folder_.path() + "/./made"})
    EXPECT_EQ(refusal({"--report", name("made/r.json"), nullptr, made}), "") << made;
  EXPECT_NE(refusal({"--report", name("made/x/r.json"), nullptr, name("made")}), "");
  EXPECT_NE(refusal({"--report", name("other/r.json"), nullptr, name("made")}), "");
}

TEST_F(Outputs, HaveNamesOfTheirOwn) {
  const std::vector<OutputName> outputs{{"--out", name("a")}, {"--rejects", name("./a")}};
  const auto checked = check_outputs(outputs, {.inputs = {}, .own = {}, .overwrite = true});
  ASSERT_FALSE(checked);
  EXPECT_NE(checked.error().message().find("--out and --rejects name the same file"),
            std::string::npos);
}

TEST_F(Outputs, AreNotWhatTheJobWritesByItself) {
  std::filesystem::create_directory(name("work"));
  std::filesystem::create_directory_symlink(name("work"), name("link"));
  const OutputRules rules{
      .inputs = {}, .own = {name("result.json"), name("work")}, .overwrite = true};
  for (const char* const path :
       {"result.json", "./result.json", "work/r.json", "link/r.json", "work"}) {
    const OutputName output{"--report", name(path)};
    const auto checked = check_outputs({&output, 1}, rules);
    ASSERT_FALSE(checked) << path;
    EXPECT_NE(checked.error().message().find("writes"), std::string::npos);
  }
  const OutputName other{"--report", name("results.json")};
  EXPECT_TRUE(check_outputs({&other, 1}, rules));
}

TEST_F(Outputs, KnowReportsOfOurs) {
  EXPECT_TRUE(is_own_report(file("r.json", "{\n \"program\": \"spillway 0.1.0\",\n")));
  EXPECT_TRUE(is_own_report(
      file("r.html", "<!doctype html><meta name=\"generator\" content=\"spillway 0.1.0\">")));
  EXPECT_FALSE(is_own_report(file("x.json", "{\"program\": \"other\"}")));
  EXPECT_FALSE(is_own_report(file("empty.json", "")));
}

}  // namespace
}  // namespace spillway

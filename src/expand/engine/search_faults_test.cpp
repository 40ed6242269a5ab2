// Every call to the system that the engine makes is failed once, and every file of its checkpoint
// is damaged.
#include <gtest/gtest.h>

#include <cerrno>
#include <nlohmann/json.hpp>
#include <set>

#include "core/damage.hpp"
#include "core/fault.hpp"
#include "core/file/output.hpp"
#include "expand/engine/search_fixture.hpp"

namespace spillway::expand {
namespace {

RandomGraph graph_of(StateForm form) {
  return RandomGraph({.form = form,
                      .nodes = 700,
                      .degree = 3,
                      .keep = form == StateForm::kBytes,
                      .scored = true,
                      .padding = 20});
}

// The least budget, so that all that can go to disk does.
Bytes least_capacity(const ProblemTraits& traits, Identity identity) {
  for (Bytes capacity = 1_MiB;; capacity += 256_KiB) {
    if (SearchPlan::make(capacity, 1, traits, identity)) return capacity;
  }
}

// One process's life: a search in `folder` from its checkpoint, if there is one.
struct Session {
  Session(const RandomGraph& graph, const Folder& folder, Identity identity)
      : path(folder.path() + "/checkpoint.json"),
        budget(Budget::create(least_capacity(graph.traits(), identity))),
        space(*ScratchSpace::create({folder.path(), 4_GiB, true})) {
    SearchOptions options =
        options_for({.tuning = {.small_layer = 12, .round_limit = 300, .bucket_records = 64},
                     .identity = identity},
                    folder);
    options.checkpoint = std::chrono::milliseconds(0);  // after every round
    auto made = Search::create(graph, options, *budget, space);
    EXPECT_TRUE(made) << made.error().message();
    search = std::move(*made);
  }
  Result<void> run() {
    if (std::filesystem::exists(path)) TRY(search->restore(TRY(read_small_file(path, 1 << 30))));
    return search->run({}, [&](const std::string& text) { return write_durably(path, text); });
  }

  std::string path;
  std::unique_ptr<Budget> budget;
  std::shared_ptr<ScratchSpace> space;
  std::unique_ptr<Search> search;
};

uint64_t bytes_in(const Folder& folder) {
  uint64_t total = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path()))
    total += entry.path().extension() == ".json" ? 0 : entry.file_size();
  return total;
}

void expect_files_of_checkpoint_only(const Folder& folder) {
  std::set<std::string> named{"checkpoint.json"};
  const auto collect = [&](const nlohmann::json& json, const auto& self) -> void {
    if (json.is_object() && json.contains("file")) named.insert(json["file"]);
    if (json.is_structured()) {
      for (const auto& part : json) self(part, self);
    }
  };
  const std::string path = folder.path() + "/checkpoint.json";
  if (std::filesystem::exists(path))
    collect(nlohmann::json::parse(*read_small_file(path, 1 << 30)), collect);
  for (const auto& entry : std::filesystem::directory_iterator(folder.path()))
    EXPECT_TRUE(named.contains(entry.path().filename().string())) << entry.path();
}

struct Case {
  StateForm form;
  Identity identity;
};
class Faults : public ::testing::TestWithParam<Case> {};

INSTANTIATE_TEST_SUITE_P(Search, Faults,
                         ::testing::Values(Case{StateForm::kPacked, Identity::kExact},
                                           Case{StateForm::kBytes, Identity::kFp128},
                                           Case{StateForm::kBytes, Identity::kExact}),
                         [](const auto& tested) {
                           return std::string(tested.param.form == StateForm::kPacked ? "Packed"
                                              : tested.param.identity == Identity::kExact
                                                  ? "ExactBytes"
                                                  : "LoggedBytes");
                         });

#ifdef SPILLWAY_FAULTS

// Fails the n-th call at the site, for every n (in steps) that the search reaches; returns how many
// there are.
uint64_t fail_each(const Case& tested, fault::Site site, int error, std::set<Code> allowed,
                   uint64_t step = 1) {
  const RandomGraph graph = graph_of(tested.form);
  const auto oracle = search_plainly(graph);
  EXPECT_TRUE(oracle);
  for (uint64_t nth = 1;; nth += step) {
    const Folder folder = Folder::in_memory();
    bool failed = false;
    bool saved_broken = false;
    {
      Session session(graph, folder, tested.identity);
      fault::arm(site, nth, error);
      auto ran = session.run();
      fault::disarm_all();
      failed = !ran;
      if (failed) {
        const Error& why = ran.error();
        EXPECT_TRUE(allowed.contains(why.code())) << nth << ": " << why.message();
        EXPECT_EQ(why.message().find('\n'), std::string::npos);
        // While a checkpoint is being written its files and the former one's are both there.
        saved_broken = why.message().find("checkpoint.json") != std::string::npos ||
                       why.message().starts_with("syncing " + folder.path() + ":");
      } else {
        expect_equal(*session.search, *oracle, tested.form);
      }
      session.search.reset();
      EXPECT_EQ(session.space->used().count(), bytes_in(folder)) << nth;
      EXPECT_EQ(session.budget->used(), Bytes(0)) << nth;
    }
    if (!failed) return nth - 1;
    if (!saved_broken) expect_files_of_checkpoint_only(folder);
    if (::testing::Test::HasFailure()) return nth;
    Session again(graph, folder, tested.identity);
    auto ran = again.run();
    EXPECT_TRUE(ran) << nth << ": " << (ran ? "" : ran.error().message());
    if (!ran) return nth;
    expect_equal(*again.search, *oracle, tested.form);
    if (::testing::Test::HasFailure()) return nth;
  }
}

TEST_P(Faults, FullDiskAtAnyWriteIsAnErrorAndTheSearchResumes) {
  EXPECT_GT(
      fail_each(GetParam(), fault::Site::kWrite, ENOSPC, {Code::kScratchFull, Code::kDiskFull}),
      40u);
}

TEST_P(Faults, ErrorAtAnyWriteIsAnErrorAndTheSearchResumes) {
  EXPECT_GT(fail_each(GetParam(), fault::Site::kWrite, EIO, {Code::kIo}), 40u);
}

TEST_P(Faults, ErrorAtAnySyncIsAnErrorAndTheSearchResumes) {
  EXPECT_GT(fail_each(GetParam(), fault::Site::kSync, EIO, {Code::kIo}), 10u);
}

TEST_P(Faults, ErrorAtAnyReadIsAnErrorAndTheSearchResumes) {
  EXPECT_GT(fail_each(GetParam(), fault::Site::kRead, EIO, {Code::kIo}, 11), 40u);
}

TEST_P(Faults, ShortWritesChangeNothing) {
  const RandomGraph graph = graph_of(GetParam().form);
  const auto oracle = search_plainly(graph);
  ASSERT_TRUE(oracle);
  for (uint64_t nth = 1; nth <= 60; ++nth) {
    const Folder folder = Folder::in_memory();
    Session session(graph, folder, GetParam().identity);
    fault::arm(fault::Site::kShortWrite, nth, 1, nth % 2 == 0);  // this one; or all from here on
    auto ran = session.run();
    fault::disarm_all();
    ASSERT_TRUE(ran) << ran.error().message();
    expect_equal(*session.search, *oracle, GetParam().form);
  }
}

#endif

// A checkpoint whose files are damaged is refused, or what is damaged does not matter.
TEST_P(Faults, DamagedCheckpointFilesAreNoticed) {
  const RandomGraph graph = graph_of(GetParam().form);
  const auto oracle = search_plainly(graph);
  ASSERT_TRUE(oracle);
  const Folder saved = Folder::in_memory();
  {
    Session session(graph, saved, GetParam().identity);
    size_t checkpoints = 0;
    const auto ran = session.search->run({}, [&](const std::string& text) -> Result<void> {
      if (++checkpoints == 6) return fail(Code::kCancelled, "far enough");
      return write_durably(session.path, text);
    });
    ASSERT_FALSE(ran);
  }
  size_t files = 0, noticed = 0;
  for (const auto& entry : std::filesystem::directory_iterator(saved.path())) {
    const std::string name = entry.path().filename().string();
    if (name == "checkpoint.json") continue;  // has a checksum of its own: checkpoint_test.cpp
    ++files;
    const auto whole = content_of(entry.path().string());
    const size_t step = std::max<size_t>(1, whole.size() / 6);
    for (size_t at = 0; at < whole.size(); at += step) {
      for (const bool cut : {false, true}) {
        const Folder folder = Folder::in_memory();
        std::filesystem::copy(saved.path(), folder.path(),
                              std::filesystem::copy_options::recursive);
        auto damaged = whole;
        if (cut) {
          damaged.resize(at);
        } else {
          damaged[at] = static_cast<uint8_t>(damaged[at] ^ (1u << (at % 8)));
        }
        overwrite(folder.path() + "/" + name, damaged);
        Session session(graph, folder, GetParam().identity);
        auto ran = session.run();
        // Old layers are read when the states are written, after the search.
        if (ran) ran = session.search->each_state([](auto...) -> Result<void> { return {}; });
        if (ran) {
          expect_equal(*session.search, *oracle, GetParam().form);
        } else {
          EXPECT_EQ(ran.error().code(), Code::kCorrupt) << name << ": " << ran.error().message();
          ++noticed;
        }
      }
    }
  }
  EXPECT_GT(files, 4u);
  EXPECT_GT(noticed, files * 6) << "most of it matters";
}

}  // namespace
}  // namespace spillway::expand

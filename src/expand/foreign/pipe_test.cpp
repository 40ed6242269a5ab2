#include "expand/foreign/pipe.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "expand/engine/search_oracle.hpp"
#include "expand/foreign/pipe_copies.hpp"

namespace spillway::expand {
namespace {

using std::chrono::milliseconds;
using testing::AnyOf;
using testing::HasSubstr;

// The error of a whole search by a program, "" when it succeeds.
std::string search_error(const ProblemArguments& words, OracleResult* result = nullptr) {
  auto problem = make_pipe(words);
  if (!problem) return problem.error().message();
  auto found = search_plainly(**problem);
  if (!found) {
    EXPECT_EQ(found.error().code(), Code::kInvalid);
    EXPECT_EQ(found.error().message().find('\n'), std::string::npos);
    return found.error().message();
  }
  if (result != nullptr) *result = *std::move(found);
  return "";
}

ProblemArguments python(const std::string& options, const std::string& program) {
  ProblemArguments words;
  std::istringstream in(options);
  for (std::string word; in >> word;) words.push_back(word);
  words.insert(words.end(), {"--", "python3", "-c", program});
  return words;
}

// A script that answers a line (`v`: the state, None at first) with body's text.
std::string json_error(const std::string& body, const std::string& options = "",
                       OracleResult* result = nullptr) {
  return search_error(python("--format json --timeout 20s --copies 1 " + options,
                             "import sys, json, os, time, random\n"
                             "def say(x): print(json.dumps(x), flush=True)\n"
                             "for line in sys.stdin:\n"
                             "  v = json.loads(line)\n  " +
                                 body),
                      result);
}

// A program in frames: `ask()` gives the states of a request, `say(lists)` answers.
std::string frames_error(const std::string& body, const std::string& options = "",
                         OracleResult* result = nullptr) {
  return search_error(
      python("--timeout 20s --copies 1 " + options,
             "import sys, struct, os, time\n"
             "i, o = sys.stdin.buffer, sys.stdout.buffer\n"
             "def u32(n): return struct.pack('<I', n)\n"
             "def read(n):\n"
             "  b = i.read(n)\n"
             "  if len(b) < n: sys.exit(0)\n"
             "  return b\n"
             "def num(): return struct.unpack('<I', read(4))[0]\n"
             "def ask():\n"
             "  return [read(num()) for _ in range(num())]\n"
             "def put(b): o.write(b); o.flush()\n"
             "def enc(l): return u32(len(l)) + b''.join(u32(len(s)) + s for s in l)\n"
             "def say(lists): put(b''.join(map(enc, lists)))\n" +
                 body),
      result);
}

// Starts at once even on a busy machine: for tests that wait for a time-out.
std::string shell_error(const std::string& options, const std::string& script) {
  ProblemArguments words{"--copies", "1"};
  std::istringstream in(options);
  for (std::string word; in >> word;) words.push_back(word);
  words.insert(words.end(), {"--", "sh", "-c", script});
  return search_error(words);
}

bool is_alive(pid_t pid) {
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  if (!std::getline(stat, line)) return false;
  const size_t name_end = line.rfind(')');
  return line.at(name_end + 2) != 'Z';
}

bool dies(pid_t pid) {
  for (int i = 0; i < 500; ++i) {
    if (!is_alive(pid)) return true;
    std::this_thread::sleep_for(milliseconds(10));  // for the kernel, not for the code under test
  }
  return false;
}

class DiscardSink final : public AnswerSink {
 public:
  Result<void> state(std::span<const uint8_t>) override { return {}; }
  void end_answer() override {}
};

TEST(Pipe, SearchesByFrames) {
  OracleResult result;
  EXPECT_EQ(search_error({"--copies", "1", "--", "python3",
                          std::string(SPILLWAY_SOURCE_DIR) + "/examples/collatz_frames.py", "1000"},
                         &result),
            "");
  EXPECT_EQ(result.states, 340u);
}

TEST(Pipe, SearchesByJson) {
  OracleResult result;
  EXPECT_EQ(search_error({"--copies=2", "--format=json", "--", "python3",
                          std::string(SPILLWAY_SOURCE_DIR) + "/examples/jugs_json.py", "3", "5"},
                         &result),
            "");
  EXPECT_EQ(result.states, 16u);
}

TEST(Pipe, AsksForWhatDidNotFitAgain) {
  auto problem =
      make_pipe(python("--format json --copies 1",
                       "import sys, json\n"
                       "for line in sys.stdin:\n"
                       "  v = json.loads(line)\n"
                       "  n = v or 0\n"
                       "  print(json.dumps([n * 10 + k for k in range(7)]), flush=True)\n"));
  ASSERT_TRUE(problem.has_value());
  const auto expander = (*problem)->expander();
  ASSERT_TRUE(expander.has_value());
  const std::string data = "123456789";
  std::vector<uint32_t> state_ends;
  for (uint32_t i = 1; i <= data.size(); ++i) state_ends.push_back(i);
  StateBlock block;
  block.data = reinterpret_cast<const uint8_t*>(data.data());
  block.ends = state_ends;
  std::vector<uint8_t> bytes(1000);
  std::vector<uint32_t> ends(20), parent_ends(100);
  Successors out(StateForm::kBytes, {}, bytes, ends, parent_ends);
  std::vector<std::string> found;
  for (size_t done = 0; done < 9;) {
    out.clear();
    const auto count = (*expander)->expand(block, done, out);
    ASSERT_TRUE(count.has_value()) << count.error().message();
    ASSERT_GE(*count, 1u);
    ASSERT_LE(*count, 2u);  // 20 ends hold two times 7
    ASSERT_EQ(out.count(), *count * 7);
    for (uint32_t i = 0; i < out.count(); ++i)
      found.emplace_back(out[i].bytes.begin(), out[i].bytes.end());
    done += *count;
  }
  ASSERT_EQ(found.size(), 63u);
  for (size_t i = 0; i < 63; ++i) EXPECT_EQ(found[i], std::to_string((i / 7 + 1) * 10 + i % 7));
}

TEST(Pipe, SaysHowTheProgramEndedAndItsLastWords) {
  EXPECT_EQ(shell_error("--timeout 20s", "echo first >&2; echo 'no licence' >&2; exit 7"),
            "pipe: sh ended before answer 1 (exit status 7); its last words: no licence");
  EXPECT_THAT(shell_error("--timeout 20s", "kill -9 $$"), HasSubstr("killed by signal 9"));
  EXPECT_EQ(search_error({"--copies", "2", "--", "true"}),
            "pipe: true, copy 1, ended before answer 1 (exit status 0)");
  EXPECT_EQ(search_error({"--copies", "1", "--", "/nonexistent/program"}),
            "pipe: cannot start /nonexistent/program: No such file or directory");
  EXPECT_THAT(search_error({"--copies", "1", "--", "/etc/passwd"}), HasSubstr("Permission denied"));
}

TEST(Pipe, SaysWhereItStoodWhenTheProgramDied) {
  EXPECT_THAT(json_error("if v == 3: sys.exit(5)\n  say([0] if v is None else [v + 1])"),
              HasSubstr("before line 8 (exit status 5)"));  // null twice, 0 thrice, 1, 2
  EXPECT_THAT(frames_error("num(); put(u32(1) + u32(8) + b'abc'); sys.exit(2)"),
              HasSubstr("in the middle of answer 1 (exit status 2)"));
  EXPECT_THAT(json_error("raise ValueError('no such state')"),
              HasSubstr("its last words: ValueError: no such state"));
}

TEST(Pipe, GivesUpOnAProgramThatHangs) {
  EXPECT_THAT(shell_error("--timeout 300ms", "sleep 60"),
              HasSubstr("sh was silent for 0.3 s before answer 1 (--timeout"));
  EXPECT_THAT(shell_error("--timeout 1500ms --format json", "read line; printf '[1'; sleep 60"),
              HasSubstr("was silent for 1.5 s in the middle of line 1"));
}

TEST(Pipe, WaitsForAProgramThatIsSlowButSpeaks) {
  EXPECT_EQ(shell_error("--timeout 1s --format json",
                        "while read line; do n=$((n + 1)); for c in '[ ' ' ' ' ' ' ' ']'; do\n"
                        "case $line$c in null\\[*) printf '[7';; *) printf \"$c\";; esac\n"
                        "if test $n = 3; then sleep 0.3; fi; done; echo; done"),
            "");
}

TEST(Pipe, TellsAWrongCountOfSuccessors) {
  // One fewer than announced: it waits for us, we for it.
  EXPECT_THAT(shell_error("--timeout 1500ms",
                          "head -c 4 > /dev/null; printf '\\2\\0\\0\\0\\1\\0\\0\\0a'; sleep 60"),
              HasSubstr("was silent for 1.5 s in the middle of answer 1"));
  // One more.
  EXPECT_THAT(
      frames_error("while True:\n  a = ask()\n  put(u32(1) + u32(1) + b'a' + u32(1) + b'b')"),
      HasSubstr("answered more than it was asked"));
  // An answer too few in a batch.
  EXPECT_THAT(
      json_error("if v != 5: say([1, 2, 3, 4, 5, 6, 7] if v is None else [])", "--timeout 1s"),
      HasSubstr("was silent for 1 s before line"));
}

TEST(Pipe, RefusesNonsenseInWordsOfOneLine) {
  EXPECT_THAT(search_error({"--copies", "1", "--", "cat", "/dev/urandom"}),
              HasSubstr("pipe: cat "));
  EXPECT_THAT(search_error({"--copies", "1", "--format", "json", "--", "cat", "/dev/urandom"}),
              HasSubstr("pipe: cat "));
  EXPECT_THAT(frames_error("num(); put(b'hello world')"), HasSubstr("'hell'"));
  EXPECT_THAT(frames_error("num(); put(u32(1) + u32(0))"), HasSubstr("a state of 0 bytes"));
  EXPECT_THAT(frames_error("num(); put(u32(1) + u32(65537))"),
              HasSubstr("a state of 65,537 bytes"));
  EXPECT_THAT(frames_error("num(); put(u32(1 << 31))"), HasSubstr("2,147,483,648 states"));
  EXPECT_THAT(json_error("print('hello', flush=True)"),
              HasSubstr("line 1 is not one JSON array of states: 'hello'"));
  EXPECT_THAT(json_error("say(['x' * 70000])"), HasSubstr("more than 65,536 bytes"));
  EXPECT_THAT(json_error("say([])"), HasSubstr("named no initial state"));
  EXPECT_THAT(json_error("say([str(i) * 9 for i in range(300000)])"),
              HasSubstr("more than 4 MiB in all"));
}

TEST(Pipe, RefusesIntegersBeyond64BitsNamingCopyAndLine) {
  EXPECT_EQ(search_error(python("--copies 2 --format json",
                                "import sys, json\n"
                                "for line in sys.stdin:\n"
                                "  print(json.dumps([10 ** 20]), flush=True)\n")),
            "pipe: python3, copy 1, gave line 1 with the integer 100000000000000000000, which does "
            "not fit 64 bits "
            "(write it as a string)");
}

TEST(Pipe, KeepsIntegersOf64BitsExact) {
  OracleResult result;
  EXPECT_EQ(
      json_error(
          "say([2 ** 64 - 1, 2 ** 64 - 2, -2 ** 63, 2 ** 53 + 1, 2 ** 53] if v is None else [])",
          "", &result),
      "");
  EXPECT_EQ(result.states, 5u);
}

// Whether it comes at once or is taken for the answer to the next question. (Where all answers are
// equal, none can be out of place.)
TEST(Pipe, RefusesAnAnswerTooMany) {
  const auto refused =
      AnyOf(HasSubstr("answered more than it was asked"), HasSubstr("is out of step"),
            HasSubstr("answered differently"), HasSubstr("other initial states"));
  for (const std::string delay : {"0", "0.05"}) {
    const std::string more = "time.sleep(" + delay + "); ";
    EXPECT_THAT(json_error("say([0] if v is None else [v + 1] if v < 50 else [])\n  if v == 7: " +
                           more + "say([777])"),
                refused);
    EXPECT_THAT(json_error("say([0] if v is None else [v + 1] if v < 50 else [])\n  if v == 50: " +
                           more + "say([])"),
                refused);
    EXPECT_THAT(json_error("say([1, 2, 3, 4, 5, 6, 7] if v is None else [])\n  if v == 5: " + more +
                           "say([])"),
                refused);
    // The one surplus equals what the next question would get, and the last answer what settles.
    EXPECT_THAT(
        json_error("say([0] if v is None else [(v + 1) % 20])\n  if v == 18: " + more + "say([0])"),
        refused);
  }
}

TEST(Pipe, CatchesAnAnswerThatDiffersInTheSameCopy) {
  EXPECT_THAT(json_error("c = globals().get('c', 0) + 1; say([0] if v is None else [c])"),
              HasSubstr("python3 answered differently when asked again about the state 0"));
  EXPECT_THAT(json_error("c = globals().get('c', 0) + 1; say([c])"),
              HasSubstr("other initial states the second time"));
}

TEST(Pipe, CatchesAnAnswerThatDiffersBetweenCopies) {
  // Each copy agrees with itself; their process ids differ.
  EXPECT_THAT(
      json_error("say([0] if v is None else [os.getpid()] if v == 0 else [])", "--copies 2"),
      HasSubstr("copies 1 and 2 answered differently about the state 0"));
  EXPECT_EQ(json_error("say([0] if v is None else [os.getpid()] if v == 0 else [])"),
            "");  // cannot be seen
  EXPECT_THAT(json_error("say([os.getpid()] if v is None else [])", "--copies 2"),
              HasSubstr("other initial states"));
}

TEST(Pipe, DoesNotNeedStandardError) {
  OracleResult result;
  EXPECT_EQ(
      json_error(
          "os.close(2) if v is None and not line is None and 'k' not in globals() else 0; k = 1\n"
          "  say([0] if v is None else [v + 1] if v < 5 else [])",
          "", &result),
      "");
  EXPECT_EQ(result.states, 6u);
}

TEST(Pipe, DoesNotDeadlockWhenEveryPipeIsFull) {
  OracleResult result;
  EXPECT_EQ(json_error("sys.stderr.write('x' * 200000 + '\\n')\n"
                       "  say(['%04d' % i + 'y' * 900 for i in range(400)] if v is None else [])",
                       "", &result),
            "");
  EXPECT_EQ(result.states, 400u);
}

TEST(Pipe, RunsNoMoreCopiesThanAllowed) {
  const auto count_of = [](const std::string& options) {
    const std::string folder = testing::TempDir() + "/pipe_copies_" + std::to_string(::getpid());
    std::filesystem::remove_all(folder);
    std::filesystem::create_directory(folder);
    EXPECT_EQ(json_error("open('" + folder +
                             "/' + str(os.getpid()), 'w'); say([0] if v is None else [v + 1] if v "
                             "< 3000 else [])",
                         options),
              "");
    const auto count = std::distance(std::filesystem::directory_iterator(folder), {});
    std::filesystem::remove_all(folder);
    return count;
  };
  EXPECT_EQ(count_of("--copies 1"), 1);
  EXPECT_EQ(count_of("--copies 3"), 2);  // one expander and one to check with
}

TEST(PipeProcess, LeavesNothingOfItsGroupBehind) {
  pid_t pid = 0;
  {
    auto process =
        PipeProcess::start({.command = {"sh", "-c", "sleep 4322 & sleep 4323"}, .label = "sh"});
    ASSERT_TRUE(process.has_value()) << process.error().message();
    pid = (*process)->pid();
    ASSERT_EQ(::kill(-pid, 0), 0);
  }
  // Others of the group are reaped by init in its own time.
  for (int i = 0; i < 500 && ::kill(-pid, 0) == 0; ++i)
    std::this_thread::sleep_for(milliseconds(10));
  EXPECT_NE(::kill(-pid, 0), 0);
}

TEST(PipeProcess, DiesWithTheThreadThatStartedIt) {
  std::unique_ptr<PipeProcess> process;
  std::thread([&] {
    auto started = PipeProcess::start({.command = {"sleep", "4324"}, .label = "sleep"});
    ASSERT_TRUE(started.has_value());
    process = *std::move(started);
  }).join();
  EXPECT_TRUE(dies(process->pid()));
}

TEST(PipeProcess, DiesWhenOurProcessIsKilled) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t victim = ::fork();
  if (victim == 0) {
    const auto process = PipeProcess::start({.command = {"sleep", "4325"}, .label = "sleep"});
    const pid_t pid = process ? (*process)->pid() : -1;
    if (::write(ends[1], &pid, sizeof pid) == sizeof pid) ::pause();
    ::_exit(1);
  }
  ASSERT_GT(victim, 0);
  pid_t child = -1;
  EXPECT_EQ(::read(ends[0], &child, sizeof child), static_cast<ssize_t>(sizeof child));
  EXPECT_TRUE(child > 0 && is_alive(child));
  ::kill(victim, SIGKILL);
  ::waitpid(victim, nullptr, 0);
  for (const int fd : ends) ::close(fd);
  EXPECT_TRUE(dies(child));
}

TEST(PipeCopies, OutliveTheThreadThatBorrowedThemFirst) {
  PipeCopies copies({.command = {"sh", "-c", "while read line; do echo '[1]'; done"},
                     .copies = 1,
                     .format = PipeFormat::kJson});
  pid_t pid = 0;
  std::thread([&] {
    auto loan = copies.borrow(0);
    ASSERT_TRUE(loan.has_value());
    pid = (*loan)->pid();
  }).join();
  DiscardSink sink;
  auto loan = copies.borrow(0);
  ASSERT_TRUE(loan.has_value());
  EXPECT_EQ((*loan)->pid(), pid);
  const auto asked = (*loan)->ask_initial(sink);
  EXPECT_TRUE(asked.has_value()) << asked.error().message();
}

TEST(PipeCopies, AreLentToOneAtATime) {
  PipeCopies copies(
      {.command = {"python3", "-c", "import sys\nfor l in sys.stdin: print('[1,2,3]', flush=True)"},
       .copies = 2,
       .format = PipeFormat::kJson});
  std::vector<std::thread> threads;
  std::atomic<int> inside[2] = {0, 0}, answered{0};
  for (unsigned t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (unsigned i = 0; i < 50; ++i) {
        const unsigned index = (t + i) % 2;
        auto loan = copies.borrow(index);
        ASSERT_TRUE(loan.has_value());
        EXPECT_EQ(inside[index].fetch_add(1), 0);
        DiscardSink sink;
        const auto asked = (*loan)->ask_initial(sink);
        EXPECT_TRUE(asked.has_value()) << asked.error().message();
        ++answered;
        inside[index].fetch_sub(1);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(answered, 200);
}

TEST(LastLine, KeepsTheLastThatSaysSomething) {
  LastLine line;
  const auto feed = [&](std::string_view text) {
    line.feed({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
  };
  EXPECT_EQ(line.text(), "");
  feed("first\nsec");
  EXPECT_EQ(line.text(), "sec");
  feed("ond\n\n");
  EXPECT_EQ(line.text(), "second");
  feed(std::string(100000, 'x') + "\r\n");
  EXPECT_EQ(line.text(), std::string(256, 'x'));
  feed("\x1b[31mred\n");
  EXPECT_EQ(line.text(), " [31mred");
}

TEST(PipeOptions, AreRefusedInWordsWhenWrong) {
  for (const ProblemArguments& words :
       std::vector<ProblemArguments>{{},
                                     {"--"},
                                     {"--", ""},
                                     {"cat"},
                                     {"--copies", "0", "--", "x"},
                                     {"--copies", "65", "--", "x"},
                                     {"--copies", "--", "x"},
                                     {"--copies=", "--", "x"},
                                     {"--timeout", "soon", "--", "x"},
                                     {"--timeout", "0", "--", "x"},
                                     {"--timeout=25h", "--", "x"},
                                     {"--timeout", "90000s", "--", "x"},
                                     {"--format", "xml", "--", "x"},
                                     {"--colour", "red", "--", "x"}}) {
    const auto made = make_pipe(words);
    ASSERT_FALSE(made.has_value()) << testing::PrintToString(words);
    EXPECT_EQ(made.error().code(), Code::kUsage) << testing::PrintToString(words);
  }
}

TEST(PipeOptions, AreNotPartOfTheResultUnlessTheyChangeIt) {
  const auto arguments = [](const ProblemArguments& words) {
    const auto made = make_pipe(words);
    return made ? (*made)->arguments_json() : made.error().message();
  };
  EXPECT_EQ(arguments({"--copies", "2", "--timeout=5m", "--", "a", "--copies", "3"}),
            arguments({"--", "a", "--copies", "3"}));
  EXPECT_NE(arguments({"--format", "json", "--", "a"}), arguments({"--", "a"}));
  EXPECT_THAT(arguments({"--", "a", "\xFF"}), HasSubstr("command"));
}

}  // namespace
}  // namespace spillway::expand

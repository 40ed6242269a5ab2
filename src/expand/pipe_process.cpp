#include "expand/pipe_process.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

extern char** environ;

namespace spillway::expand {
namespace {

constexpr size_t kMaxAnswer = size_t{16} << 20;
constexpr size_t kLastWords = 400;

}  // namespace

Result<std::unique_ptr<PipeProcess>> PipeProcess::start(std::vector<std::string> command,
                                                        std::chrono::milliseconds timeout) {
  std::array<std::array<int, 2>, 3> pipes{};
  for (auto& ends : pipes) {
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail_errno("making a pipe");
  }
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, pipes[0][0], STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, pipes[1][1], STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, pipes[2][1], STDERR_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none, reset;
  sigemptyset(&none);
  sigemptyset(&reset);
  for (const int number : {SIGPIPE, SIGXFSZ, SIGINT, SIGTERM}) sigaddset(&reset, number);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &reset);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  std::vector<char*> words;
  for (std::string& word : command) words.push_back(word.data());
  words.push_back(nullptr);

  std::unique_ptr<PipeProcess> process(new PipeProcess);
  process->name_ = command[0];
  process->timeout_ = timeout;
  const int spawned =
      ::posix_spawnp(&process->pid_, words[0], &actions, &attributes, words.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  for (const int fd : {pipes[0][0], pipes[1][1], pipes[2][1]}) ::close(fd);
  process->group_ = spawned == 0 ? process->pid_ : -1;
  process->input_ = pipes[0][1];
  process->output_ = pipes[1][0];
  process->complaints_ = pipes[2][0];
  for (const int fd : {process->input_, process->output_, process->complaints_})
    ::fcntl(fd, F_SETFL, O_NONBLOCK);
  if (spawned != 0) {
    process->pid_ = -1;
    return fail(Code::kInvalid,
                fmt::format("pipe: cannot start {}: {}", command[0], std::strerror(spawned)));
  }
  return process;
}

PipeProcess::~PipeProcess() {
  for (const int fd : {input_, output_, complaints_}) {
    if (fd >= 0) ::close(fd);
  }
  if (group_ > 0) ::kill(-group_, SIGKILL);  // whatever it started, too
  if (pid_ < 0) return;
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
}

void PipeProcess::read_complaints() {
  std::array<char, 4096> room;
  for (ssize_t got = 0; (got = ::read(complaints_, room.data(), room.size())) > 0;) {
    last_words_.append(room.data(), static_cast<size_t>(got));
    if (last_words_.size() > kLastWords) last_words_.erase(0, last_words_.size() - kLastWords);
  }
}

Error PipeProcess::error(const std::string& what) {
  std::string status;
  if (pid_ > 0) {
    int code = 0;
    pid_t ended = 0;
    // Its pipe is closed before it is gone: a moment's patience tells the status.
    for (int i = 0; i < 50 && ended == 0; ++i) {
      ended = ::waitpid(pid_, &code, WNOHANG);
      if (ended == 0) ::usleep(2000);
    }
    if (ended == pid_) {
      pid_ = -1;
      if (WIFEXITED(code)) status = fmt::format(", exit status {}", WEXITSTATUS(code));
      if (WIFSIGNALED(code)) status = fmt::format(", killed by signal {}", WTERMSIG(code));
    }
  }
  read_complaints();
  while (!last_words_.empty() && (last_words_.back() == '\n' || last_words_.back() == ' '))
    last_words_.pop_back();
  const size_t line = last_words_.rfind('\n');
  const std::string last = line == std::string::npos ? last_words_ : last_words_.substr(line + 1);
  return Error(Code::kInvalid, fmt::format("pipe: {} {}{}{}", name_, what, status,
                                           last.empty() ? "" : "; it said: " + last));
}

Result<void> PipeProcess::exchange() {
  const auto deadline = std::chrono::steady_clock::now() + timeout_;
  while (true) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0)
      return fail(error(fmt::format("gave no answer for {} s", timeout_.count() / 1000)));
    std::array<pollfd, 3> fds{{{output_, POLLIN, 0},
                               {complaints_, POLLIN, 0},
                               {outbox_.empty() ? -1 : input_, POLLOUT, 0}}};
    const int ready =
        ::poll(fds.data(), fds.size(), static_cast<int>(std::min<int64_t>(left.count(), 1000)));
    if (ready < 0 && errno != EINTR) return fail_errno("waiting for " + name_);
    if (ready <= 0) continue;
    if ((fds[1].revents & POLLIN) != 0) {
      read_complaints();
    } else if ((fds[1].revents & (POLLHUP | POLLERR)) != 0) {
      ::close(std::exchange(complaints_, -1));  // it has nothing more to say there; that is no end
    }
    if ((fds[2].revents & (POLLERR | POLLHUP)) != 0 && (fds[0].revents & POLLIN) == 0)
      return fail(error("ended before it answered"));
    if ((fds[2].revents & POLLOUT) != 0) {
      const ssize_t sent = ::write(input_, outbox_.data(), outbox_.size());
      if (sent > 0) outbox_.erase(outbox_.begin(), outbox_.begin() + sent);
      if (sent < 0 && errno == EPIPE && (fds[0].revents & POLLIN) == 0)
        return fail(error("ended before it answered"));
    }
    if ((fds[0].revents & (POLLIN | POLLHUP)) != 0) {
      const size_t before = inbox_.size();
      if (before > kMaxAnswer) return fail(error("answered with more than 16 MiB"));
      inbox_.resize(before + 65536);
      const ssize_t got = ::read(output_, inbox_.data() + before, 65536);
      inbox_.resize(before + static_cast<size_t>(std::max<ssize_t>(got, 0)));
      if (got > 0) return {};
      if (got == 0) return fail(error("ended before it answered"));
    }
  }
}

}  // namespace spillway::expand

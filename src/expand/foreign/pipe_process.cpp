#include "expand/foreign/pipe_process.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

namespace spillway::expand {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kLastWords = 256;
constexpr std::chrono::milliseconds kMoment{100};
// A program that ends closes its output a moment before its status is known.
constexpr std::chrono::milliseconds kEndPatience{500};

// While it lives, a write to a program that is gone is an error here and no signal for the process.
class NoSigpipe {
 public:
  NoSigpipe() {
    sigemptyset(&set_);
    sigaddset(&set_, SIGPIPE);
    sigset_t pending;
    was_pending_ = sigpending(&pending) == 0 && sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &set_, &old_);
  }
  NoSigpipe(const NoSigpipe&) = delete;
  NoSigpipe& operator=(const NoSigpipe&) = delete;
  ~NoSigpipe() {
    const timespec now{};
    if (!was_pending_) {
      while (sigtimedwait(&set_, nullptr, &now) < 0 && errno == EINTR) {
      }
    }
    pthread_sigmask(SIG_SETMASK, &old_, nullptr);
  }

 private:
  sigset_t set_{}, old_{};
  bool was_pending_ = false;
};

struct Birth {
  char* const* argv;
  int input, output, complaints;
  int report;  // gets the errno of what failed; closed by a successful exec
  pid_t parent;
};

// Between fork and exec: only calls that are safe there.
[[noreturn]] void become(const Birth& birth) {
  ::setpgid(0, 0);
  bool ready = ::prctl(PR_SET_PDEATHSIG, SIGKILL) == 0;
  if (::getppid() != birth.parent) ::_exit(127);  // it died before the line above
  struct sigaction usual {};
  usual.sa_handler = SIG_DFL;
  for (const int number : {SIGPIPE, SIGXFSZ, SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGCHLD, SIGUSR1})
    ::sigaction(number, &usual, nullptr);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ready = ready && ::dup2(birth.input, STDIN_FILENO) >= 0 &&
          ::dup2(birth.output, STDOUT_FILENO) >= 0 && ::dup2(birth.complaints, STDERR_FILENO) >= 0;
  if (ready) ::execvp(birth.argv[0], birth.argv);
  const int problem = errno;
  [[maybe_unused]] const ssize_t written = ::write(birth.report, &problem, sizeof problem);
  ::_exit(127);
}

}  // namespace

void LastLine::feed(std::span<const uint8_t> bytes) {
  for (const uint8_t byte : bytes) {
    if (byte == '\n' || byte == '\r') {
      if (!current_.empty()) last_ = std::exchange(current_, {});
    } else if (current_.size() < kLastWords) {
      current_ += byte < 0x20 || byte == 0x7F ? ' ' : static_cast<char>(byte);
    }
  }
}

std::string LastLine::text() const { return current_.empty() ? last_ : current_; }

PipeProcess::Fd& PipeProcess::Fd::operator=(Fd&& other) noexcept {
  if (this != &other) {
    close();
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

void PipeProcess::Fd::close() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

// Both ends lie above 2, whatever is open, so that the child's dup2 never overwrites one.
Result<PipeProcess::Ends> PipeProcess::make_pipe() {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) return fail_errno("making a pipe");
  Ends ends{Fd(fds[0]), Fd(fds[1])};
  for (Fd* end : {&ends.read, &ends.write}) {
    if (end->get() > STDERR_FILENO) continue;
    const int higher = ::fcntl(end->get(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (higher < 0) return fail_errno("making a pipe");
    *end = Fd(higher);
  }
  return ends;
}

Result<std::unique_ptr<PipeProcess>> PipeProcess::start(const Options& options) {
  CHECK(!options.command.empty());
  std::unique_ptr<PipeProcess> process(new PipeProcess(options.stop));
  process->label_ = options.label;
  process->timeout_ = options.timeout;
  Ends input = TRY(make_pipe()), output = TRY(make_pipe());
  Ends complaints = TRY(make_pipe()), report = TRY(make_pipe());
  for (const int fd : {input.write.get(), output.read.get(), complaints.read.get()}) {
    if (::fcntl(fd, F_SETFL, O_NONBLOCK) != 0) return fail_errno("making a pipe");
  }
  std::vector<std::string> words = options.command;
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const Birth birth{argv.data(),        input.read.get(),
                    output.write.get(), complaints.write.get(),
                    report.write.get(), ::getpid()};
  process->pid_ = ::fork();
  if (process->pid_ == 0) become(birth);
  if (process->pid_ < 0) return fail_errno(fmt::format("pipe: starting {}", options.label));
  ::setpgid(process->pid_, process->pid_);  // as the child does; whoever is first
  process->input_ = std::move(input.write);
  process->output_ = std::move(output.read);
  process->complaints_ = std::move(complaints.read);
  report.write.close();
  int problem = 0;
  ssize_t got = 0;
  do {
    got = ::read(report.read.get(), &problem, sizeof problem);
  } while (got < 0 && errno == EINTR);
  if (got == sizeof problem) {
    return fail(Code::kInvalid,
                fmt::format("pipe: cannot start {}: {}", options.label, std::strerror(problem)));
  }
  return process;
}

PipeProcess::~PipeProcess() {
  if (pid_ <= 0) return;
  // The group first, for what the program started: until it is reaped its number is nobody else's.
  ::kill(-pid_, SIGKILL);
  ::kill(pid_, SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

void PipeProcess::drain_complaints() {
  std::array<uint8_t, 4096> room;
  // Bounded, so that one who floods it cannot keep us here.
  for (int i = 0; i < 64 && complaints_.get() >= 0; ++i) {
    const ssize_t got = ::read(complaints_.get(), room.data(), room.size());
    if (got > 0) {
      last_words_.feed(std::span(room).first(static_cast<size_t>(got)));
    } else if (got == 0) {
      complaints_.close();  // it has nothing more to say there; that is no end
    } else if (errno != EINTR) {
      return;
    }
  }
}

std::string PipeProcess::how_it_ended() const {
  const auto until = Clock::now() + kEndPatience;
  while (true) {
    // It stays a zombie until the destructor, so that the group's number stays ours.
    siginfo_t info{};
    const int asked = ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT);
    if (asked == 0 && info.si_pid == pid_) {
      if (info.si_code == CLD_EXITED) return fmt::format("exit status {}", info.si_status);
      return fmt::format("killed by signal {} ({})", info.si_status, ::strsignal(info.si_status));
    }
    if (Clock::now() >= until) return "it still runs, but closed its end of a pipe";
    const timespec moment{0, 1'000'000};
    ::nanosleep(&moment, nullptr);
  }
}

tl::unexpected<Error> PipeProcess::failed(const std::string& what) {
  drain_complaints();
  const std::string said = last_words_.text();
  return fail(Code::kInvalid, fmt::format("pipe: {} {}{}", label_, what,
                                          said.empty() ? "" : "; its last words: " + said));
}

tl::unexpected<Error> PipeProcess::ended(const Listener& listener) {
  const std::string how = how_it_ended();
  return failed(fmt::format("ended {} ({})", listener.place(), how));
}

Result<size_t> PipeProcess::write_some(std::span<const uint8_t> request, const Listener& listener) {
  const NoSigpipe guard;
  const ssize_t sent = ::write(input_.get(), request.data(), request.size());
  if (sent >= 0) return static_cast<size_t>(sent);
  if (errno == EAGAIN || errno == EINTR) return 0;
  if (errno == EPIPE) return ended(listener);
  return fail_errno("pipe: writing to " + label_);
}

// Returns how many bytes were read.
Result<size_t> PipeProcess::read_some(const Listener& listener) {
  const ssize_t got = ::read(output_.get(), buffer_.data(), buffer_.size());
  if (got == 0) return ended(listener);
  if (got < 0) {
    if (errno == EAGAIN || errno == EINTR) return 0;
    return fail_errno("pipe: reading from " + label_);
  }
  const size_t size = static_cast<size_t>(got);
  size_t taken = 0;
  if (!listener.is_done()) {
    auto took = listener.take(std::span<const uint8_t>(buffer_).first(size));
    if (!took) return failed(took.error().message());
    taken = *took;
  }
  if (taken < size)
    return failed("answered more than it was asked (its standard output is for answers only)");
  return size;
}

// Before a question there is nothing to be heard.
Result<void> PipeProcess::check_silence(const Listener& listener) {
  pollfd waiting{output_.get(), POLLIN, 0};
  if (::poll(&waiting, 1, 0) <= 0) return {};
  const Listener nothing{listener.take, [] { return true; }, listener.place};
  TRY(read_some(nothing));
  return {};
}

Result<void> PipeProcess::ask(std::span<const uint8_t> request, const Listener& listener) {
  TRY(check_silence(listener));
  auto heard = Clock::now();
  while (!request.empty() || !listener.is_done()) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(heard + timeout_ - Clock::now()).count();
    std::array<pollfd, 3> fds{{{output_.get(), POLLIN, 0},
                               {complaints_.get(), POLLIN, 0},
                               {request.empty() ? -1 : input_.get(), POLLOUT, 0}}};
    // A moment at most: the stop wakes nobody.
    const auto moment = std::clamp<int64_t>(left, 0, kMoment.count());
    const int ready = ::poll(fds.data(), fds.size(), static_cast<int>(moment));
    if (stopped_.is_over()) {
      return fail(Code::kCancelled, fmt::format("stopped while pipe: {} had not answered {}",
                                                label_, listener.place()));
    }
    if (ready < 0 && errno != EINTR) return fail_errno("pipe: waiting for " + label_);
    if (ready == 0 && Clock::now() - heard >= timeout_) {
      return failed(fmt::format("was silent for {:g} s {} (--timeout; does it flush its output?)",
                                std::chrono::duration<double>(timeout_).count(), listener.place()));
    }
    if (ready <= 0) continue;
    if (fds[1].revents != 0) drain_complaints();
    size_t moved = 0;
    if (fds[0].revents != 0) moved += TRY(read_some(listener));
    if (fds[2].revents != 0) {
      const size_t sent = TRY(write_some(request, listener));
      request = request.subspan(sent);
      moved += sent;
    }
    if (moved > 0) heard = Clock::now();
  }
  return {};
}

}  // namespace spillway::expand

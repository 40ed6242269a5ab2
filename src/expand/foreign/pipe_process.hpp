// A child process that is asked over its standard input and answers on its standard output.
//
// Life     It leads its own process group, so that Ctrl-C at the terminal does not reach it. The
//          group is killed (SIGKILL) and the process reaped when this goes; and when our process
//          dies, however it does, the kernel kills the child. That is tied to the THREAD that called
//          start() (PR_SET_PDEATHSIG): call it from one that lives as long as this.
// Pipes    ask() writes, reads and drains standard error in one poll loop, so neither side ever
//          waits for the other with full pipes.
// Memory   A read buffer of 64 KiB; of standard error only the last line.
// Threads  One at a time.
// Stops    An answer that is not complete kStopPatience after the stop is given up: kCancelled.
// Fails    kInvalid, one line: the program's label, what happened, how it ended, the last line it
//          wrote on standard error.
#pragma once

#include <sys/types.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "core/result.hpp"

namespace spillway::expand {

// The last line of a stream, in constant memory.
class LastLine {
 public:
  void feed(std::span<const uint8_t> bytes);
  std::string text() const;  // printable, at most 256 bytes; "" before the first line

 private:
  std::string current_, last_;
};

class PipeProcess {
 public:
  struct Options {
    std::vector<std::string> command;  // looked up in PATH; at least one word
    std::string label;                 // "python3, copy 2": for messages
    std::chrono::milliseconds timeout{30000};
    std::stop_token stop;
  };
  // What ask() does with what the program says.
  struct Listener {
    // Takes bytes; returns how many belong to the answer. Fewer than all only when it is complete.
    std::function<Result<size_t>(std::span<const uint8_t>)> take;
    std::function<bool()> is_done;
    std::function<std::string()> place;  // "before answer 3": for messages
  };

  static constexpr std::chrono::milliseconds kStopPatience{1000};

  [[nodiscard]] static Result<std::unique_ptr<PipeProcess>> start(const Options& options);
  PipeProcess(const PipeProcess&) = delete;
  PipeProcess& operator=(const PipeProcess&) = delete;
  ~PipeProcess();

  // Sends the request and hands what comes back to the listener until the answer is complete. Fails
  // when the program ends, moves no byte for the timeout, or says more than the answer. After a
  // failure the process is of no further use.
  [[nodiscard]] Result<void> ask(std::span<const uint8_t> request, const Listener& listener);

  pid_t pid() const { return pid_; }
  const std::string& label() const { return label_; }

 private:
  class Fd {
   public:
    Fd() = default;
    explicit Fd(int fd) : fd_(fd) {}
    Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Fd& operator=(Fd&& other) noexcept;
    ~Fd() { close(); }
    void close();
    int get() const { return fd_; }

   private:
    int fd_ = -1;
  };
  struct Ends {
    Fd read, write;
  };
  static Result<Ends> make_pipe();

  // When the stop came; never before it did.
  class StopTime {
   public:
    explicit StopTime(std::stop_token stop) : note_(std::move(stop), Note{this}) {}
    bool is_over() const {
      const int64_t at = at_.load();
      return at != 0 && std::chrono::steady_clock::now().time_since_epoch().count() - at >
                            std::chrono::steady_clock::duration(kStopPatience).count();
    }

   private:
    struct Note {
      StopTime* self;
      void operator()() const {
        self->at_ = std::chrono::steady_clock::now().time_since_epoch().count();
      }
    };
    std::atomic<int64_t> at_{0};
    std::stop_callback<Note> note_;
  };

  explicit PipeProcess(std::stop_token stop) : stopped_(std::move(stop)) {}
  Result<void> check_silence(const Listener& listener);
  Result<size_t> write_some(std::span<const uint8_t> request, const Listener& listener);
  Result<size_t> read_some(const Listener& listener);
  void drain_complaints();
  std::string how_it_ended() const;
  tl::unexpected<Error> failed(const std::string& what);
  tl::unexpected<Error> ended(const Listener& listener);

  std::string label_;
  std::chrono::milliseconds timeout_{};
  StopTime stopped_;
  pid_t pid_ = -1;
  Fd input_, output_, complaints_;
  LastLine last_words_;
  std::array<uint8_t, 65536> buffer_;
};

}  // namespace spillway::expand

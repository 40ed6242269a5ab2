// A child process with its three standard streams as pipes that never block us.
//
// Threads  One owner. The destructor kills the process's group and reaps it.
// Fails    kInvalid, with the exit status and the last line of the child's stderr.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/result.hpp"

namespace spillway::expand {

class PipeProcess {
 public:
  [[nodiscard]] static Result<std::unique_ptr<PipeProcess>> start(
      std::vector<std::string> command, std::chrono::milliseconds timeout);
  ~PipeProcess();
  PipeProcess(const PipeProcess&) = delete;
  PipeProcess& operator=(const PipeProcess&) = delete;

  void send(std::span<const uint8_t> bytes) {
    outbox_.insert(outbox_.end(), bytes.begin(), bytes.end());
  }
  // Moves bytes both ways until something was read into inbox(). Fails when the program ends or the
  // time is up.
  [[nodiscard]] Result<void> exchange();
  std::vector<uint8_t>& inbox() { return inbox_; }
  Error error(const std::string& what);  // with what is known of the child

 private:
  PipeProcess() = default;
  void read_complaints();

  std::string name_;
  std::chrono::milliseconds timeout_{};
  pid_t pid_ = -1;
  pid_t group_ = -1;  // outlives the process: what it started belongs to it
  int input_ = -1, output_ = -1, complaints_ = -1;
  std::vector<uint8_t> outbox_, inbox_;
  std::string last_words_;
};

}  // namespace spillway::expand

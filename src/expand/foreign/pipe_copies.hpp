// The running copies of a pipe program, lent to one thread at a time.
//
// Step     Answers carry no number: one too many would be taken for the answer to the next question. So
//          a copy is asked for its initial states when it starts, and settle() asks two questions
//          again whose answers are known by then and differ.
// Life     A copy is started when it is first borrowed, by a thread that lives as long as this (see
//          PipeProcess), and killed with this.
// Threads  borrow() may be called by any thread; it waits while another has the copy, which is as long
//          as one question takes. A Loan belongs to one thread. Who holds one must not borrow another.
// Fails    As PipeProcess.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/mutex.hpp"
#include "core/result.hpp"
#include "expand/foreign/pipe_answer.hpp"
#include "expand/foreign/pipe_process.hpp"
#include "expand/problem/problem.hpp"

struct XXH3_state_s;

namespace spillway::expand {

struct PipeOptions {
  std::vector<std::string> command;
  unsigned copies = 1;
  std::chrono::milliseconds timeout{30000};
  PipeFormat format = PipeFormat::kFrames;
  std::stop_token stop;  // after it, a silent copy is waited for a second at most
};

// The states of an answer as one number, their order and lengths included.
class AnswerHash final : public AnswerSink {
 public:
  AnswerHash();
  Result<void> state(std::span<const uint8_t> bytes) override {
    add(bytes);
    return {};
  }
  void end_answer() override {}
  void add(std::span<const uint8_t> bytes);
  uint64_t value() const;

 private:
  std::unique_ptr<XXH3_state_s, void (*)(XXH3_state_s*)> state_;
};

// A copy of the program and the protocol it is spoken to in.
class PipeCopy {
 public:
  [[nodiscard]] static Result<std::unique_ptr<PipeCopy>> start(const PipeOptions& options,
                                                               unsigned index);
  [[nodiscard]] Result<void> ask_initial(AnswerSink& sink);
  // The successors of states [first, last) of the block.
  [[nodiscard]] Result<void> ask(const StateBlock& block, size_t first, size_t last,
                                 AnswerSink& sink);
  // Fails when the copy's answers are not those to the questions.
  [[nodiscard]] Result<void> settle();
  uint64_t initial_hash() const { return initial_hash_; }
  const std::string& label() const { return process_->label(); }
  pid_t pid() const { return process_->pid(); }

 private:
  PipeCopy() = default;
  Result<void> ask_prepared(uint32_t answers, AnswerSink& sink);
  Result<void> ask_batch(const StateBlock& block, size_t first, size_t last, AnswerSink& sink);
  Result<void> ask_known(AnswerSink& sink);
  void add_number(uint32_t value);
  void add_line(std::span<const uint8_t> text);

  PipeFormat format_ = PipeFormat::kFrames;
  std::unique_ptr<PipeProcess> process_;
  std::unique_ptr<AnswerDecoder> decoder_;
  std::vector<uint8_t> request_;  // at most kRequestBytes and one state
  uint64_t initial_hash_ = 0;
  std::vector<uint8_t> known_;  // the first state it was asked about; empty before that
  uint64_t known_hash_ = 0;
};

inline constexpr size_t kRequestBytes = 65536;

class PipeCopies {
 public:
  explicit PipeCopies(PipeOptions options);
  ~PipeCopies();
  PipeCopies(const PipeCopies&) = delete;
  PipeCopies& operator=(const PipeCopies&) = delete;

  class Loan {
   public:
    Loan(Loan&& other) noexcept
        : owner_(std::exchange(other.owner_, nullptr)), index_(other.index_) {}
    Loan& operator=(Loan&&) = delete;
    ~Loan() {
      if (owner_ != nullptr) owner_->give_back(index_);
    }
    PipeCopy* operator->() const { return owner_->copies_[index_].get(); }

   private:
    friend class PipeCopies;
    Loan(PipeCopies* owner, unsigned index) : owner_(owner), index_(index) {}
    PipeCopies* owner_;
    unsigned index_;
  };
  [[nodiscard]] Result<Loan> borrow(unsigned index);  // below options().copies
  const PipeOptions& options() const { return options_; }

 private:
  void give_back(unsigned index) EXCLUDES(mutex_);
  Result<std::unique_ptr<PipeCopy>> start(unsigned index) EXCLUDES(mutex_);
  void keep() EXCLUDES(mutex_);

  const PipeOptions options_;
  Mutex mutex_;
  CondVar changed_;
  std::vector<bool> lent_ GUARDED_BY(mutex_);
  std::optional<uint64_t> initial_hash_ GUARDED_BY(mutex_);  // what the copies agree on
  std::function<void()> task_ GUARDED_BY(mutex_);            // for the keeper
  bool ending_ GUARDED_BY(mutex_) = false;
  std::vector<std::unique_ptr<PipeCopy>> copies_;  // each is whose loan it is
  std::thread keeper_;                             // starts the copies and outlives them
};

}  // namespace spillway::expand

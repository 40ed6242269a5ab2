#include "expand/pipe_copies.hpp"

#include <fmt/format.h>

#include <future>

namespace spillway::expand {

Result<std::unique_ptr<PipeCopy>> PipeCopy::start(const PipeOptions& options, unsigned index) {
  std::unique_ptr<PipeCopy> copy(new PipeCopy);
  copy->format_ = options.format;
  copy->decoder_ = make_answer_decoder(options.format);
  std::string label = options.command[0];
  if (options.copies > 1) label += fmt::format(", copy {},", index + 1);
  copy->process_ = TRY(PipeProcess::start(
      {.command = options.command, .label = std::move(label), .timeout = options.timeout}));
  return copy;
}

Result<void> PipeCopy::ask_initial(AnswerSink& sink) {
  request_.clear();
  if (format_ == PipeFormat::kJson) {
    constexpr std::string_view kNull = "null";
    add_line({reinterpret_cast<const uint8_t*>(kNull.data()), kNull.size()});
  } else {
    add_number(0);
  }
  return ask(1, sink);
}

Result<void> PipeCopy::ask(const StateBlock& block, size_t first, size_t last, AnswerSink& sink) {
  const uint32_t count = static_cast<uint32_t>(last - first);
  request_.clear();
  if (format_ == PipeFormat::kFrames) add_number(count);
  for (size_t i = first; i < last; ++i) {
    const std::span<const uint8_t> state = block[i].bytes;
    if (format_ == PipeFormat::kJson) {
      add_line(state);
    } else {
      add_number(static_cast<uint32_t>(state.size()));
      request_.insert(request_.end(), state.begin(), state.end());
    }
  }
  return ask(count, sink);
}

Result<void> PipeCopy::ask(uint32_t answers, AnswerSink& sink) {
  decoder_->expect(answers);
  return process_->ask(
      request_,
      {.take = [&](std::span<const uint8_t> bytes) { return decoder_->feed(bytes, sink); },
       .is_done = [this] { return decoder_->is_done(); },
       .place = [this] { return decoder_->place(); }});
}

void PipeCopy::add_number(uint32_t value) {
  for (unsigned shift = 0; shift < 32; shift += 8)
    request_.push_back(static_cast<uint8_t>(value >> shift));
}

void PipeCopy::add_line(std::span<const uint8_t> text) {
  request_.insert(request_.end(), text.begin(), text.end());
  request_.push_back('\n');
}

PipeCopies::PipeCopies(PipeOptions options)
    : options_(std::move(options)), slots_(options_.copies) {
  keeper_ = std::jthread([this](const std::stop_token& stop) { keep(stop); });
}

PipeCopies::~PipeCopies() { slots_.clear(); }  // while the keeper still lives

Result<PipeCopies::Loan> PipeCopies::borrow(unsigned index) {
  CHECK(index < slots_.size());
  Slot& slot = slots_[index];
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !slot.lent; });
    slot.lent = true;
  }
  Loan loan(this, index);
  if (!slot.copy) slot.copy = TRY(start(index));
  return loan;
}

void PipeCopies::give_back(unsigned index) {
  {
    const std::lock_guard lock(mutex_);
    slots_[index].lent = false;
  }
  changed_.notify_all();
}

Result<std::unique_ptr<PipeCopy>> PipeCopies::start(unsigned index) {
  std::promise<Result<std::unique_ptr<PipeCopy>>> promise;
  auto started = promise.get_future();
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !task_; });
    task_ = [&] { promise.set_value(PipeCopy::start(options_, index)); };
  }
  changed_.notify_all();
  return started.get();
}

// The keeper's thread.
void PipeCopies::keep(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (changed_.wait(lock, stop, [&] { return static_cast<bool>(task_); })) {
    const auto task = std::exchange(task_, nullptr);
    lock.unlock();
    task();
    lock.lock();
    changed_.notify_all();
  }
}

}  // namespace spillway::expand

#include "expand/foreign/pipe_copies.hpp"

#include <fmt/format.h>
#include <xxhash.h>

#include <future>

namespace spillway::expand {

AnswerHash::AnswerHash()
    : state_(XXH3_createState(), [](XXH3_state_s* state) { XXH3_freeState(state); }) {
  XXH3_64bits_reset(state_.get());
}

void AnswerHash::add(std::span<const uint8_t> bytes) {
  const uint64_t size = bytes.size();
  XXH3_64bits_update(state_.get(), &size, sizeof size);
  XXH3_64bits_update(state_.get(), bytes.data(), bytes.size());
}

uint64_t AnswerHash::value() const { return XXH3_64bits_digest(state_.get()); }

Result<std::unique_ptr<PipeCopy>> PipeCopy::start(const PipeOptions& options, unsigned index) {
  std::unique_ptr<PipeCopy> copy(new PipeCopy);
  copy->format_ = options.format;
  copy->decoder_ = make_answer_decoder(options.format);
  std::string label = options.command[0];
  if (options.copies > 1) label += fmt::format(", copy {},", index + 1);
  copy->process_ = TRY(PipeProcess::start({.command = options.command,
                                           .label = std::move(label),
                                           .timeout = options.timeout,
                                           .stop = options.stop}));
  AnswerHash initial;
  TRY(copy->ask_initial(initial));
  copy->initial_hash_ = initial.value();
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
  return ask_prepared(1, sink);
}

Result<void> PipeCopy::ask(const StateBlock& block, size_t first, size_t last, AnswerSink& sink) {
  if (known_.empty()) {
    AnswerHash hash;
    TRY(ask_batch(block, first, first + 1, hash));
    known_.assign(block[first].bytes.begin(), block[first].bytes.end());
    known_hash_ = hash.value();
  }
  return ask_batch(block, first, last, sink);
}

Result<void> PipeCopy::settle() {
  AnswerHash initial, known;
  TRY(ask_initial(initial));
  if (!known_.empty()) TRY(ask_known(known));
  if (initial.value() == initial_hash_ && (known_.empty() || known.value() == known_hash_))
    return {};
  return fail(
      Code::kInvalid,
      fmt::format("pipe: {} is out of step: asked again what it was asked first, it answered "
                  "otherwise; it answers differently, or more than it is asked",
                  label()));
}

Result<void> PipeCopy::ask_known(AnswerSink& sink) {
  const uint32_t end = static_cast<uint32_t>(known_.size());
  StateBlock block;
  block.data = known_.data();
  block.ends = {&end, 1};
  return ask_batch(block, 0, 1, sink);
}

Result<void> PipeCopy::ask_batch(const StateBlock& block, size_t first, size_t last,
                                 AnswerSink& sink) {
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
  return ask_prepared(count, sink);
}

Result<void> PipeCopy::ask_prepared(uint32_t answers, AnswerSink& sink) {
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
    : options_(std::move(options)), lent_(options_.copies, false), copies_(options_.copies) {
  keeper_ = std::thread([this] { keep(); });
}

PipeCopies::~PipeCopies() {
  copies_.clear();  // while the thread they are tied to still lives
  {
    MutexLock lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  keeper_.join();
}

Result<PipeCopies::Loan> PipeCopies::borrow(unsigned index) {
  CHECK(index < options_.copies);
  {
    MutexLock lock(mutex_);
    while (lent_[index]) changed_.wait(mutex_);
    lent_[index] = true;
  }
  Loan loan(this, index);
  if (copies_[index]) return loan;
  auto copy = TRY(start(index));
  {
    MutexLock lock(mutex_);
    const uint64_t hash = copy->initial_hash();
    if (hash != initial_hash_.value_or(hash)) {
      return fail(
          Code::kInvalid,
          fmt::format("pipe: {} named other initial states than another copy", copy->label()));
    }
    initial_hash_ = hash;
  }
  copies_[index] = std::move(copy);
  return loan;
}

void PipeCopies::give_back(unsigned index) {
  {
    MutexLock lock(mutex_);
    lent_[index] = false;
  }
  changed_.notify_all();
}

Result<std::unique_ptr<PipeCopy>> PipeCopies::start(unsigned index) {
  std::promise<Result<std::unique_ptr<PipeCopy>>> promise;
  auto started = promise.get_future();
  {
    MutexLock lock(mutex_);
    while (task_) changed_.wait(mutex_);
    task_ = [&] { promise.set_value(PipeCopy::start(options_, index)); };
  }
  changed_.notify_all();
  return started.get();
}

// The keeper's thread.
void PipeCopies::keep() {
  MutexLock lock(mutex_);
  while (true) {
    while (!task_ && !ending_) changed_.wait(mutex_);
    if (!task_) return;
    const auto task = std::exchange(task_, nullptr);
    lock.unlock();
    task();
    lock.lock();
    changed_.notify_all();
  }
}

}  // namespace spillway::expand

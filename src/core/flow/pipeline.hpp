// Stages joined by channels: a source, stages in between, a sink, each with threads and an account.
//
//   Pipeline pipeline(stop);
//   auto raw   = pipeline.source<Raw>({.name = "read"}, read);
//   auto rows  = pipeline.stage<Rows>(raw, {.name = "decode", .threads = 2, .order = Order::kPreserve,
//                                          .account = decode, .peak = peak_of}, decode_one);
//   pipeline.sink(rows, {.name = "write", .account = write}, write_one);
//   TRY(pipeline.run());
//
// Memory travels with the units. Before a unit is worked on, its peak is leased from the stage's
// account; the stage takes the unit and its lease together, in the order of arrival, so no later
// unit can hold what an earlier one waits for. That, one unit's floor for each stage and ranks that
// rise towards the sink are the proof that a pipeline never hangs (core/budget.hpp): the sink has
// its floor, so it finishes a unit and frees it; then so can the stage before it; and so on.
//
// Order    kPreserve: what a stage emits for a unit follows what it emitted for the unit before,
//          whichever threads worked on them. kAny: as it comes. A sink with one thread behind
//          preserving stages sees the source's order.
// Errors   The first one wins: every wait ends, units in flight unwind with their leases, run()
//          returns it. kCancelled when the outer stop was requested.
// Threads  Build and run() on one thread. The functions run on the stages' threads; a stage with
//          several threads calls its function from all of them.
// Cost     A channel hop and an acquire a unit, under a microsecond: units are 256 KiB and more.
// Fails    With the functions' errors; kTooLarge when a peak is above its account's ceiling;
//          kMemoryLimit when the system refuses a thread; kInternal for an exception. std::bad_alloc is a bug in an estimate and names the stage.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "core/flow/channel.hpp"
#include "core/flow/turn.hpp"
#include "core/memory/budget.hpp"
#include "core/mutex.hpp"
#include "core/result.hpp"

namespace spillway {

enum class Order { kAny, kPreserve };

// A piece of work and the memory it is in.
template <class T>
struct Unit {
  T value;
  Lease lease;
};

// The way from one stage to the next; copies mean the same way.
template <class T>
class Flow {
 private:
  friend class Pipeline;
  std::shared_ptr<Channel<Unit<T>>> channel_;
};

// Where a stage's function puts what it made. False once the pipeline stops: return at once.
template <class T>
class Emit {
 public:
  [[nodiscard]] bool operator()(T value, Lease lease) {
    if (!before_()) return false;
    const Bytes bytes = lease.bytes();
    return channel_.push(Unit<T>{std::move(value), std::move(lease)}, bytes, stop_);
  }

 private:
  friend class Pipeline;
  Emit(Channel<Unit<T>>& channel, std::function<bool()> before, std::stop_token stop)
      : channel_(channel), before_(std::move(before)), stop_(std::move(stop)) {}
  Channel<Unit<T>>& channel_;
  std::function<bool()> before_;  // waits for the unit's turn
  std::stop_token stop_;
};

struct SourceOptions {
  std::string name;
  ChannelOptions out;
};

template <class In>
struct StageOptions {
  std::string name;
  unsigned threads = 1;
  Order order = Order::kPreserve;
  Account account;                             // unset: units need no memory of their own here
  std::function<Bytes(const Unit<In>&)> peak;  // unset: the account's floor
  ChannelOptions out;
};

// One row of what a pipeline did, for reports.
struct StageFigures {
  std::string name;
  uint64_t units = 0;
  double busy_seconds = 0;   // in its function, waits for its output included
  double input_seconds = 0;  // waiting for a unit
  double lease_seconds = 0;  // waiting for memory
};

class Pipeline {
 public:
  explicit Pipeline(std::stop_token outer = {}) : outer_(std::move(outer)) {}
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;

  // `next` makes units until it returns none. It leases for itself (acquire with the given token).
  template <class Out>
  Flow<Out> source(SourceOptions options,
                   std::function<Result<std::optional<Unit<Out>>>(std::stop_token)> next);

  // `work` gets a unit, the lease of its peak (empty without an account) and an Emit<Out>.
  template <class Out, class In>
  Flow<Out> stage(Flow<In> in, StageOptions<In> options,
                  std::function<Result<void>(Unit<In>, Lease, Emit<Out>&)> work);

  template <class In>
  void sink(Flow<In> in, StageOptions<In> options,
            std::function<Result<void>(Unit<In>, Lease)> work);

  // To the end; once.
  [[nodiscard]] Result<void> run();
  std::vector<StageFigures> figures() const;  // after run()

 private:
  struct Stage {
    std::string name;
    unsigned threads = 1;
    std::function<Result<void>()> thread;  // one thread's whole work
    std::function<void()> finish;          // after the last thread: closes the way out
    std::function<void()> abandon;         // after the run: drops what never reached the next stage
    Turn turn;                             // of preserving stages
    Mutex intake;                          // a unit and its lease are taken together
    uint64_t taken = 0;                    // tickets drawn
    std::atomic<unsigned> running{0};
    Mutex figures_mutex;
    StageFigures figures;
  };
  // A unit with its lease and ticket; none at the end.
  template <class In>
  struct Taken {
    Unit<In> unit;
    Lease lease;
    uint64_t ticket;
  };
  template <class In>
  Result<std::optional<Taken<In>>> take(Stage& stage, Channel<Unit<In>>& channel,
                                        StageOptions<In>& options);
  Stage& add(std::string name, unsigned threads);
  void run_thread(Stage& stage);
  void stop_with(Error error);
  static double now();

  std::stop_token outer_;
  std::stop_source stop_;
  std::vector<std::unique_ptr<Stage>> stages_;
  Mutex error_mutex_;
  std::optional<Error> error_ GUARDED_BY(error_mutex_);
};

// ---- templates -----------------------------------------------------------------------------------

template <class Out>
Flow<Out> Pipeline::source(SourceOptions options,
                           std::function<Result<std::optional<Unit<Out>>>(std::stop_token)> next) {
  Flow<Out> flow;
  flow.channel_ = std::make_shared<Channel<Unit<Out>>>(options.out);
  Stage& stage = add(std::move(options.name), 1);
  stage.finish = [channel = flow.channel_] { channel->close(); };
  stage.abandon = [channel = flow.channel_] { channel->abandon(); };
  stage.thread = [this, &stage, channel = flow.channel_, next = std::move(next)]() -> Result<void> {
    const std::stop_token stop = stop_.get_token();
    while (true) {
      const double begin = now();
      std::optional<Unit<Out>> unit = TRY(next(stop));
      stage.figures.busy_seconds += now() - begin;
      if (!unit) return {};
      ++stage.figures.units;
      const Bytes bytes = unit->lease.bytes();
      if (!channel->push(std::move(*unit), bytes, stop)) return {};
    }
  };
  return flow;
}

template <class In>
Result<std::optional<Pipeline::Taken<In>>> Pipeline::take(Stage& stage, Channel<Unit<In>>& channel,
                                                          StageOptions<In>& options) {
  const std::stop_token stop = stop_.get_token();
  MutexLock lock(stage.intake);
  const double begin = now();
  std::optional<Unit<In>> unit = channel.pop(stop);
  const double got = now();
  if (!unit) return std::optional<Taken<In>>();
  Taken<In> taken{std::move(*unit), Lease(), stage.taken++};
  if (options.account) {
    const Bytes peak = options.peak ? options.peak(taken.unit) : options.account.floor();
    taken.lease = TRY(options.account.acquire(peak, stop));
  }
  const double leased = now();
  MutexLock figures_lock(stage.figures_mutex);
  ++stage.figures.units;
  stage.figures.input_seconds += got - begin;
  stage.figures.lease_seconds += leased - got;
  return std::optional<Taken<In>>(std::move(taken));
}

template <class Out, class In>
Flow<Out> Pipeline::stage(Flow<In> in, StageOptions<In> options,
                          std::function<Result<void>(Unit<In>, Lease, Emit<Out>&)> work) {
  Flow<Out> flow;
  flow.channel_ = std::make_shared<Channel<Unit<Out>>>(options.out);
  Stage& stage = add(options.name, options.threads);
  stage.finish = [channel = flow.channel_] { channel->close(); };
  stage.abandon = [channel = flow.channel_] { channel->abandon(); };
  stage.thread = [this, &stage, from = in.channel_, to = flow.channel_,
                  shared = std::make_shared<StageOptions<In>>(std::move(options)),
                  work = std::move(work)]() -> Result<void> {
    while (auto taken = TRY(take(stage, *from, *shared))) {
      const double begin = now();
      bool my_turn = shared->order == Order::kAny;
      const auto wait_turn = [&] { return my_turn || (my_turn = stage.turn.wait(taken->ticket)); };
      Emit<Out> emit(*to, wait_turn, stop_.get_token());
      TRY(work(std::move(taken->unit), std::move(taken->lease), emit));
      if (!wait_turn()) return {};  // somebody failed
      if (shared->order == Order::kPreserve) stage.turn.pass(taken->ticket);
      MutexLock lock(stage.figures_mutex);
      stage.figures.busy_seconds += now() - begin;
    }
    return {};
  };
  return flow;
}

template <class In>
void Pipeline::sink(Flow<In> in, StageOptions<In> options,
                    std::function<Result<void>(Unit<In>, Lease)> work) {
  Stage& stage = add(options.name, options.threads);
  stage.thread = [this, &stage, from = in.channel_,
                  shared = std::make_shared<StageOptions<In>>(std::move(options)),
                  work = std::move(work)]() -> Result<void> {
    while (auto taken = TRY(take(stage, *from, *shared))) {
      const double begin = now();
      TRY(work(std::move(taken->unit), std::move(taken->lease)));
      MutexLock lock(stage.figures_mutex);
      stage.figures.busy_seconds += now() - begin;
    }
    return {};
  };
}

}  // namespace spillway

// One function on several threads.
//
// Fails    With the first error. kMemoryLimit when the system refuses a thread: those that run are told
//          by `on_error` to give up, and are joined.
#pragma once

#include <optional>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "core/mutex.hpp"
#include "core/result.hpp"

namespace spillway {

// What to tell of a thread that the system did not start.
Error thread_refused(const std::system_error& refused);

// `work(thread index)` on `threads` threads, the calling one among them; `on_error` is called at an
// error, on the thread that met it: it makes the others end.
template <class Work, class OnError>
[[nodiscard]] Result<void> parallel(unsigned threads, Work&& work, OnError&& on_error) {
  struct {
    Mutex mutex;
    std::optional<Error> error GUARDED_BY(mutex);
  } first;
  const auto failed = [&](Error error) {
    {
      MutexLock lock(first.mutex);
      if (!first.error) first.error = std::move(error);
    }
    on_error();
  };
  const auto run = [&](unsigned index) {
    if (auto result = work(index); !result) failed(std::move(result).error());
  };
  {
    std::vector<std::jthread> others;
    others.reserve(threads - 1);
    try {
      for (unsigned i = 1; i < threads; ++i) others.emplace_back(run, i);
    } catch (const std::system_error& refused) {
      failed(thread_refused(refused));
    }
    if (others.size() + 1 == threads) run(0);
  }
  MutexLock lock(first.mutex);
  if (first.error) return fail(std::move(*first.error));
  return {};
}

}  // namespace spillway

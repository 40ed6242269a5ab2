// The cost of the ledger: a lease is taken once a unit of work, so about 100 ns is cheap enough.
#include <benchmark/benchmark.h>

#include "core/memory/budget.hpp"

namespace spillway {
namespace {

Account open_account(Budget& budget) {
  return std::move(*budget.open({"bench", 1, 1_MiB, std::nullopt}));
}

void acquire_and_release(benchmark::State& state) {
  const auto budget = Budget::create(64_MiB);
  Account account = open_account(*budget);
  for (auto _ : state) benchmark::DoNotOptimize(account.try_acquire(64_KiB));
}
BENCHMARK(acquire_and_release);

void acquire_and_shrink(benchmark::State& state) {
  const auto budget = Budget::create(64_MiB);
  Account account = open_account(*budget);
  for (auto _ : state) {
    auto lease = account.try_acquire(64_KiB);
    lease->shrink_to(8_KiB);
    benchmark::DoNotOptimize(lease);
  }
}
BENCHMARK(acquire_and_shrink);

void refused(benchmark::State& state) {
  const auto budget = Budget::create(2_MiB);
  Account account = open_account(*budget);
  for (auto _ : state) benchmark::DoNotOptimize(account.try_acquire(4_MiB));
}
BENCHMARK(refused);

}  // namespace
}  // namespace spillway

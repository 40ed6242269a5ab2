// Spillway's Transformer alone, one thread, beside plain_transform: what the chemistry costs
// without readers, deduplication and Parquet.
//
//   spillway_transform_alone RULES.yaml RULE FILE.smi [reference]
#include <time.h>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <string>

#include "transform/chemistry/transformer.hpp"

namespace {

using namespace spillway;
using namespace spillway::transform;

struct Count final : ProductSink {
  uint64_t products = 0, failures = 0, bytes = 0;
  Result<void> product(const Product& made) override {
    ++products;
    bytes += made.smiles.size();
    return {};
  }
  Result<void> failure(const Failure&) override {
    ++failures;
    return {};
  }
};

double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

Result<void> run(int argc, char** argv) {
  const auto rules = TRY(TRY(RuleSet::load(argv[1]))->select({argv[2]}));
  const bool direct = argc < 5;
  const auto transformer = TRY(Transformer::create(rules, {.direct = direct}));
  std::ifstream input(argv[3]);
  Count count;
  uint64_t rows = 0, products = 0;
  const auto start = std::chrono::steady_clock::now();
  const double cpu = cpu_seconds();
  for (std::string line; std::getline(input, line); ++rows) {
    const auto applied =
        TRY(transformer->apply(std::string_view(line).substr(0, line.find_first_of(" \t")), count));
    for (const RuleCounts& one : applied.by_rule) products += one.products;
  }
  const double used = cpu_seconds() - cpu;
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  std::printf(
      "{\"rows\": %llu, \"products\": %llu, \"made\": %llu, \"failed\": %llu, \"seconds\": %.3f, "
      "\"cpu_seconds\": %.3f, \"products_per_cpu_s\": %.0f, \"made_per_cpu_s\": %.0f, "
      "\"direct\": %llu, \"reference\": %llu}\n",
      static_cast<unsigned long long>(rows), static_cast<unsigned long long>(products),
      static_cast<unsigned long long>(count.products),
      static_cast<unsigned long long>(count.failures), seconds, used,
      static_cast<double>(products) / used, static_cast<double>(count.products) / used,
      static_cast<unsigned long long>(transformer->paths().direct),
      static_cast<unsigned long long>(transformer->paths().reference));
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fprintf(stderr, "usage: spillway_transform_alone RULES.yaml RULE FILE.smi [reference]\n");
    return 2;
  }
  if (auto done = run(argc, argv); !done) {
    std::fprintf(stderr, "spillway_transform_alone: %s\n", done.error().message().c_str());
    return 1;
  }
  return 0;
}

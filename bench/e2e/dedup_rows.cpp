// Exact deduplication of N rows with 128-bit keys in the memory given, and beside it what the disk alone
// costs: writing the same bytes once and reading them once.
//
//   dedup_rows COUNT MEMORY FOLDER [--repeats PERCENT]
//
// A row is its key (16 bytes), a text of 20 to 75 bytes and an ordinal (8 bytes), as in a library of
// molecules. Prints one line of JSON: seconds of each, rows, unique rows, bytes, peak RssAnon.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>
#include <xxhash.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "core/flow/parallel.hpp"
#include "core/memory/procstat.hpp"
#include "core/records/external_sort.hpp"

using namespace spillway;

namespace {

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// Row `i`: text of the alphabet of SMILES, from a counter-based generator.
size_t make_row(uint64_t i, uint64_t ordinal, uint8_t* out) {
  static constexpr char kAlphabet[] = "CCCCccccNO(=)12[@H]F";
  const XXH128_hash_t seed = XXH3_128bits(&i, sizeof i);
  const size_t length = 20 + seed.low64 % 56;
  uint8_t* const text = out + 16;
  uint64_t bits = seed.high64;
  for (size_t at = 0; at < length; ++at) {
    if (at % 12 == 0) bits = bits * 6364136223846793005u + 1442695040888963407u;
    text[at] = static_cast<uint8_t>(kAlphabet[(bits >> (5 * (at % 12))) % 20]);
  }
  std::memcpy(text, &i, sizeof i);  // unique
  const XXH128_hash_t key = XXH3_128bits(text, length);
  const uint64_t words[2] = {__builtin_bswap64(key.high64), __builtin_bswap64(key.low64)};
  std::memcpy(out, words, 16);
  const uint64_t place = __builtin_bswap64(ordinal);
  std::memcpy(text + length, &place, 8);
  return 16 + length + 8;
}

Result<void> run(uint64_t count, Bytes memory, const std::string& folder, uint64_t repeats) {
  constexpr unsigned kThreads = 2;
  auto budget = Budget::create(memory - 8_MiB);
  Account account = TRY(budget->open({"sort", 1}));
  auto space = TRY(ScratchSpace::create({folder, Bytes(0)}));
  ExternalSortOptions options;
  options.inputs = kThreads;
  options.memory = budget->capacity();
  options.fold = [](std::span<uint8_t> kept, Record next) {
    return kept.size() == next.size() &&
           std::memcmp(kept.data(), next.data(), kept.size() - 8) == 0;
  };
  Bytes peak;
  std::jthread sampler([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      peak = std::max(peak, process_memory().counted());
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  });
  const auto begin = std::chrono::steady_clock::now();
  auto sort = TRY(ExternalSort::create(options, account, space));
  const uint64_t distinct = count - count * repeats / 100;
  uint64_t bytes[kThreads] = {};
  TRY(parallel(
      kThreads,
      [&](unsigned index) -> Result<void> {
        uint8_t row[128];
        for (uint64_t i = index; i < count; i += kThreads) {
          const size_t size = make_row(i % distinct, i, row);
          bytes[index] += size;
          TRY(sort->input(index).add({row, size}));
        }
        return {};
      },
      [] {}));
  const double added = seconds_since(begin);
  auto stream = TRY(sort->stream());
  uint64_t unique = 0, sum = 0;
  while (const auto record = TRY(stream.next())) {
    ++unique;
    sum += (*record)[20];
  }
  const double total = seconds_since(begin);
  sampler.request_stop();
  sampler.join();
  const uint64_t runs = sort->runs_written(), spilled = sort->spilled_bytes();
  sort.reset();

  // The disk alone.
  const uint64_t all = bytes[0] + bytes[1];
  std::vector<uint8_t> block(size_t{1} << 20);
  for (size_t i = 0; i < block.size(); ++i) block[i] = static_cast<uint8_t>(i * 2654435761u >> 13);
  const auto disk = std::chrono::steady_clock::now();
  {
    ScratchFile file = TRY(space->open());
    uint64_t at = 0;
    for (; at < all; at += block.size()) TRY(file.append(block));
    for (uint64_t from = 0; from < at; from += block.size()) TRY(file.read_at(from, block));
  }
  const double plain = seconds_since(disk);
  fmt::print(
      "{{\"rows\":{},\"unique\":{},\"bytes\":{},\"add_s\":{:.2f},\"total_s\":{:.2f},"
      "\"disk_s\":{:.2f},\"spilled\":{},\"runs\":{},\"peak_mib\":{:.1f},\"check\":{}}}\n",
      count, unique, all, added, total, plain, spilled, runs,
      static_cast<double>(peak.count()) / 1048576.0, sum);
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) {
    fmt::print(stderr, "usage: dedup_rows COUNT MEMORY FOLDER [--repeats PERCENT]\n");
    return 2;
  }
  const auto memory = parse_bytes(argv[2]);
  if (!memory) {
    fmt::print(stderr, "{}\n", memory.error().message());
    return 2;
  }
  const uint64_t repeats = argc > 5 ? std::strtoull(argv[5], nullptr, 10) : 0;
  const auto result = run(std::strtoull(argv[1], nullptr, 10), *memory, argv[3], repeats);
  if (!result) fmt::print(stderr, "dedup_rows: {}\n", result.error().message());
  return result ? 0 : 1;
}

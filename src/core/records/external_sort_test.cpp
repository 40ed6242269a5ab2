#include "core/records/external_sort.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <thread>

#include "core/records/stoppable_sort.hpp"
#include "core/test_folder.hpp"

namespace spillway {
namespace {

using Bytestring = std::vector<uint8_t>;

struct Bench {
  explicit Bench(Bytes memory) : budget(Budget::create(memory)) {
    space = *ScratchSpace::create({folder.path(), 1_GiB, true});
    account = *budget->open({"sort", 1});
  }
  TestFolder folder;
  std::unique_ptr<Budget> budget;
  std::shared_ptr<ScratchSpace> space;
  Account account;
};

std::vector<Bytestring> drain(ExternalSort& sort) {
  auto stream = sort.stream();
  EXPECT_TRUE(stream) << stream.error().message();
  std::vector<Bytestring> out;
  while (true) {
    auto record = stream->next();
    EXPECT_TRUE(record) << record.error().message();
    if (!record || !*record) return out;
    out.emplace_back((**record).begin(), (**record).end());
  }
}

bool same_first_byte(Record a, Record b) { return !a.empty() && !b.empty() && a[0] == b[0]; }

RC_GTEST_PROP(ExternalSort, GivesWhatASortInMemoryGives, ()) {
  const auto records = *rc::gen::container<std::vector<Bytestring>>(
      rc::gen::container<Bytestring>(rc::gen::inRange<uint8_t>(0, 4)));
  ExternalSortOptions options{.inputs = *rc::gen::inRange<size_t>(1, 4), .memory = Bytes(8192)};
  options.frame_bytes = *rc::gen::element<size_t>(256, 1024);
  options.codec = *rc::gen::element(Codec::kStored, Codec::kLz4);
  const bool folding = *rc::gen::arbitrary<bool>();
  uint64_t folded = 0;
  if (folding) {
    options.fold = [&](std::span<uint8_t> kept, Record next) {
      const bool same = same_first_byte(kept, next);
      folded += same;
      return same;
    };
  }
  Bench bench(ExternalSort::floor(options));
  auto sort = *ExternalSort::create(options, bench.account, bench.space);
  const bool flush_often = *rc::gen::arbitrary<bool>();
  for (size_t i = 0; i < records.size(); ++i) {
    RC_ASSERT(sort->input(i % options.inputs).add(records[i]).has_value());
    if (flush_often) RC_ASSERT(sort->input(i % options.inputs).flush().has_value());
  }
  std::vector<Bytestring> want = records;
  std::sort(want.begin(), want.end());
  if (folding) {
    want.erase(std::unique(want.begin(), want.end(),
                           [](const auto& a, const auto& b) { return same_first_byte(a, b); }),
               want.end());
  }
  RC_ASSERT(drain(*sort) == want);
  if (folding) RC_ASSERT(folded + want.size() == records.size());
}

TEST(ExternalSort, SpillsAndMergesInSeveralPassesAtItsFloor) {
  ExternalSortOptions options{.inputs = 2, .memory = Bytes(32768), .frame_bytes = 1024};
  Bench bench(ExternalSort::floor(options));
  auto sort = *ExternalSort::create(options, bench.account, bench.space);
  std::vector<Bytestring> want;
  for (uint32_t i = 0; i < 40000; ++i) {
    Bytestring record(12 + i % 40);
    const uint32_t mixed = i * 2654435761u;
    std::memcpy(record.data(), &mixed, 4);
    record[11] = static_cast<uint8_t>(i);
    want.push_back(record);
    ASSERT_TRUE(sort->input(i % 2).add(record));
  }
  std::sort(want.begin(), want.end());
  EXPECT_EQ(drain(*sort), want);
  EXPECT_GT(sort->runs_written(), 3 * ExternalSort::kLeastFanIn);
  EXPECT_LE(bench.budget->peak(), ExternalSort::floor(options));
  sort.reset();
  EXPECT_EQ(bench.budget->used(), Bytes(0));
  EXPECT_EQ(bench.space->used(), Bytes(0));
}

// Counts how often each key came, in the record's last bytes.
TEST(ExternalSort, FoldsWhatRepeatsCarry) {
  for (const size_t memory : {size_t{8192}, size_t{4} << 20}) {
    ExternalSortOptions options{.inputs = 2, .memory = Bytes(memory), .frame_bytes = 512};
    options.fold = [](std::span<uint8_t> kept, Record next) {
      if (kept[0] != next[0]) return false;
      uint32_t count, more;
      std::memcpy(&count, kept.data() + 1, 4);
      std::memcpy(&more, next.data() + 1, 4);
      count += more;
      std::memcpy(kept.data() + 1, &count, 4);
      return true;
    };
    Bench bench(ExternalSort::floor(options) + Bytes(memory));
    auto sort = *ExternalSort::create(options, bench.account, bench.space);
    uint32_t want[256] = {};
    for (uint32_t i = 0; i < 30000; ++i) {
      const uint8_t key = static_cast<uint8_t>((i * 2654435761u) >> 25);
      ++want[key];
      ASSERT_TRUE(sort->input(i % 2).add(Bytestring{key, 1, 0, 0, 0}));
    }
    for (const Bytestring& record : drain(*sort)) {
      uint32_t count;
      std::memcpy(&count, record.data() + 1, 4);
      EXPECT_EQ(count, want[record[0]]);
      want[record[0]] = 0;
    }
    for (const uint32_t left : want) EXPECT_EQ(left, 0u);
  }
}

TEST(ExternalSort, TouchesNoDiskBelowItsMemory) {
  ExternalSortOptions options{.inputs = 1, .memory = 16_MiB};
  Bench bench(64_MiB);
  auto sort = *ExternalSort::create(options, bench.account, bench.space);
  for (uint8_t i = 0; i < 200; ++i) ASSERT_TRUE(sort->input(0).add(std::vector<uint8_t>{i}));
  EXPECT_EQ(drain(*sort).size(), 200u);
  EXPECT_EQ(bench.space->peak(), Bytes(0));
}

TEST(ExternalSort, RefusesLessThanItsFloorAndSaysTheNumber) {
  const ExternalSortOptions options{.inputs = 2, .memory = 1_MiB};
  Bench bench(ExternalSort::floor(options) / 4);
  const auto sort = ExternalSort::create(options, bench.account, bench.space);
  ASSERT_FALSE(sort);
  EXPECT_EQ(sort.error().code(), Code::kMemoryLimit);
  EXPECT_NE(sort.error().message().find(to_string(ExternalSort::floor(options))),
            std::string::npos);
}

TEST(ExternalSort, RefusesARecordBeyondItsFrame) {
  const ExternalSortOptions options{.memory = 1_MiB, .frame_bytes = 4096};
  Bench bench(16_MiB);
  auto sort = *ExternalSort::create(options, bench.account, bench.space);
  EXPECT_TRUE(sort->input(0).add(Bytestring(ExternalSort::max_record(options))));
  const auto longer = sort->input(0).add(Bytestring(ExternalSort::max_record(options) + 1));
  ASSERT_FALSE(longer);
  EXPECT_EQ(longer.error().code(), Code::kTooLarge);
}

TEST(ExternalSort, DurableRunsOutliveTheSort) {
  ExternalSortOptions options{.inputs = 1, .memory = 1_MiB};
  Bench bench(16_MiB);
  options.folder = bench.folder.path();
  std::vector<DurableRun> runs;
  {
    auto sort = *ExternalSort::create(options, bench.account, bench.space);
    for (uint8_t round = 0; round < 3; ++round) {
      for (uint8_t i = 0; i < 100; ++i)
        ASSERT_TRUE(sort->input(0).add(std::vector<uint8_t>{i, round}));
      runs.push_back(**sort->input(0).flush());
    }
    ASSERT_TRUE(sort->input(0).add(std::vector<uint8_t>{255}));  // never flushed: lost
  }
  auto sort = *ExternalSort::create(options, bench.account, bench.space);
  for (const DurableRun& run : runs) ASSERT_TRUE(sort->adopt(run));
  EXPECT_EQ(drain(*sort).size(), 300u);
}

// Where 20 files may be open beside what is; what a merge on the way read is given back.
TEST(ExternalSort, NeedsFewFilesForManyRuns) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  for (const bool durable : {false, true}) {
    ExternalSortOptions options{.inputs = 2, .memory = 1_MiB, .frame_bytes = 1024};
    Bench bench(ExternalSort::floor(options) + 64_KiB);  // for the list of them
    if (durable) options.folder = bench.folder.path();
    auto sort = *ExternalSort::create(options, bench.account, bench.space);
    const int next = ::dup(0);
    ::close(next);
    const rlimit few{static_cast<rlim_t>(next) + 20, before.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
    std::vector<Bytestring> want;
    const uint32_t runs_wanted = durable ? 100 : 1000;
    for (uint32_t i = 0; i < runs_wanted * 30; ++i) {
      Bytestring record(16);
      for (size_t at = 0; at < 4; ++at) {
        const uint32_t mixed = (i * 4 + static_cast<uint32_t>(at)) * 2654435761u;
        std::memcpy(record.data() + 4 * at, &mixed, 4);
      }
      ASSERT_TRUE(sort->input(i % 2).add(record));
      want.push_back(std::move(record));
      if (i % 30 == 29) {
        ASSERT_TRUE(sort->input(i / 30 % 2).flush());
      }
    }
    EXPECT_GE(sort->runs_written(), runs_wanted);
    const Bytes runs = bench.space->used();
    std::sort(want.begin(), want.end());
    EXPECT_EQ(drain(*sort), want);
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
    if (!durable) {
      EXPECT_GT(sort->spilled_bytes(), runs.count() * 3 / 2);  // merged on the way
      EXPECT_LT(bench.space->peak().count(), runs.count() * 3 / 2);
    }
    sort.reset();
    if (!durable) {
      EXPECT_EQ(bench.space->used(), Bytes(0));
    }
  }
}

TEST(ExternalSort, SeesEveryDamageOfADurableRun) {
  ExternalSortOptions options{.inputs = 1, .memory = 1_MiB, .frame_bytes = 512};
  Bench bench(16_MiB);
  options.folder = bench.folder.path();
  DurableRun run;
  {
    auto sort = *ExternalSort::create(options, bench.account, bench.space);
    for (uint8_t i = 0; i < 120; ++i)
      ASSERT_TRUE(sort->input(0).add(std::vector<uint8_t>{i, uint8_t(i * 7), uint8_t(i * 13)}));
    run = **sort->input(0).flush();
  }
  const std::string path = bench.folder.path() + "/" + run.file;
  const auto fails = [&] {
    auto sort = *ExternalSort::create(options, bench.account, bench.space);
    if (!sort->adopt(run)) return true;
    auto stream = sort->stream();
    if (!stream) return stream.error().code() == Code::kCorrupt;
    while (true) {
      auto record = stream->next();
      if (!record) return record.error().code() == Code::kCorrupt;
      if (!*record) return false;
    }
  };
  ASSERT_FALSE(fails());
  std::ifstream in(path, std::ios::binary);
  const std::string whole((std::istreambuf_iterator<char>(in)), {});
  for (size_t at = 0; at < whole.size(); ++at) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << (at % 8)));
    std::ofstream(path, std::ios::binary) << damaged;
    EXPECT_TRUE(fails()) << "flip at " << at;
    std::ofstream(path, std::ios::binary) << whole.substr(0, at);
    EXPECT_TRUE(fails()) << "cut at " << at;
  }
}

TEST(ExternalSort, InputsWorkSideBySide) {
  ExternalSortOptions options{.inputs = 3, .memory = Bytes(3 * 65536)};
  Bench bench(ExternalSort::floor(options));
  auto sort = *ExternalSort::create(options, bench.account, bench.space);
  {
    std::vector<std::jthread> threads;
    for (uint8_t t = 0; t < 3; ++t) {
      threads.emplace_back([&, t] {
        for (uint32_t i = 0; i < 20000; ++i) {
          Bytestring record(8);
          const uint32_t mixed = i * 2654435761u;
          std::memcpy(record.data(), &mixed, 4);
          record[4] = t;
          ASSERT_TRUE(sort->input(t).add(record));
        }
      });
    }
  }
  const auto all = drain(*sort);
  EXPECT_EQ(all.size(), 60000u);
  EXPECT_TRUE(std::is_sorted(all.begin(), all.end()));
}

// A stop at every moment: the sort ends with kCancelled at the next step, or had given all there is.
TEST(ExternalSort, EndsWhereverAStopMeetsIt) {
  struct Stopped {
    std::stop_source stop;
    uint64_t asked = 0, at = 0;
    bool fold() {
      if (++asked == at) stop.request_stop();
      return false;
    }
  };
  bool ended = false;
  for (uint64_t at = 1; !ended; at = at * 3 / 2 + 1) {
    Bench bench(4_MiB);
    Stopped state;
    state.at = at;
    ExternalSortOptions options{.memory = 256_KiB, .frame_bytes = 4096};
    options.fold = [&](std::span<uint8_t>, Record) { return state.fold(); };
    options.stop = state.stop.get_token();
    auto sort = ExternalSort::create(options, bench.account, bench.space);
    ASSERT_TRUE(sort);
    const auto run = [&]() -> Result<uint64_t> {
      for (uint32_t i = 0; i < 40000; ++i) {
        const uint64_t mixed = i * 0x9E3779B97F4A7C15u;
        TRY((*sort)->input(0).add({reinterpret_cast<const uint8_t*>(&mixed), sizeof mixed}));
      }
      auto stream = TRY((*sort)->stream());
      uint64_t count = 0;
      while (TRY(stream.next())) ++count;
      return count;
    };
    const auto count = run();
    ended = state.asked < at;
    if (count) {
      EXPECT_EQ(*count, 40000u);
      EXPECT_GT(at + 2000, state.asked) << "the stop came long before the end";
    } else {
      EXPECT_EQ(count.error().code(), Code::kCancelled);
      EXPECT_LT(state.asked - at, 70000u);
    }
    sort->reset();
    EXPECT_EQ(bench.budget->used(), 0_B);
    EXPECT_EQ(bench.space->used(), 0_B);
  }
}

// Memory that the data decides: the list of runs. It is leased, out of what the buffers have to spare
// when there is nothing else, and a sort that gets none says so.
TEST(ExternalSort, LeasesTheListOfItsRuns) {
  const auto fill = [](Bytes memory, uint64_t records, uint64_t& runs) -> Result<uint64_t> {
    Bench bench(memory);
    ExternalSortOptions options{.memory = memory, .frame_bytes = 4096, .codec = Codec::kStored};
    auto sort = TRY(ExternalSort::create(options, bench.account, bench.space));
    const Bytes least = bench.account.used();
    std::vector<uint8_t> record(1000);
    for (uint64_t i = 0; i < records; ++i) {
      const uint64_t mixed = __builtin_bswap64(i * 0x9E3779B97F4A7C15u);
      std::memcpy(record.data(), &mixed, sizeof mixed);
      TRY(sort->input(0).add(record));
      if (i % 16 == 15) TRY(sort->input(0).flush());
    }
    runs = sort->runs_written();
    EXPECT_TRUE(runs <= ExternalSort::kFreeRuns || bench.account.used() > least);
    auto stream = TRY(sort->stream());
    uint64_t count = 0;
    std::vector<uint8_t> last;
    while (const auto next = TRY(stream.next())) {
      ++count;
      EXPECT_LT(last, std::vector<uint8_t>(next->begin(), next->end()));
      last.assign(next->begin(), next->end());
    }
    return count;
  };
  uint64_t runs = 0;
  const auto many = fill(256_KiB, 16 * 600, runs);
  ASSERT_TRUE(many) << many.error().message();
  EXPECT_EQ(*many, 16 * 600u);
  EXPECT_EQ(runs, 600u);
  const auto too_many = fill(256_KiB, 16 * 4000, runs);
  ASSERT_FALSE(too_many);
  EXPECT_EQ(too_many.error().code(), Code::kMemoryLimit);
  EXPECT_NE(too_many.error().message().find("sorted runs; raise --memory"), std::string::npos);
}

TEST(SortUnlessStopped, ThrowsNothingAndSaysThatItStopped) {
  std::vector<uint32_t> numbers(300000);
  for (uint32_t i = 0; i < numbers.size(); ++i) numbers[i] = i * 2654435761u;
  std::stop_source stop;
  EXPECT_TRUE(sort_unless_stopped(numbers.begin(), numbers.end(), stop.get_token(), std::less<>()));
  EXPECT_TRUE(std::is_sorted(numbers.begin(), numbers.end()));
  stop.request_stop();
  EXPECT_FALSE(
      sort_unless_stopped(numbers.begin(), numbers.end(), stop.get_token(), std::less<>()));
}

}  // namespace
}  // namespace spillway

#include "core/records/spill_set.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <rapidcheck/state.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <unordered_set>

#include "core/test_folder.hpp"

namespace spillway {
namespace {

template <class K>
struct Fixture {
  // The least room there can be: runs come early and merge often.
  explicit Fixture(Bytes filters_lend) : budget(Budget::create(64_MiB)) {
    const auto pages = [&](size_t bytes) {
      Account account = *budget->open({"room", 1});
      return *Pages::map(*account.try_acquire(Bytes(bytes)));
    };
    typename SpillSet<K>::Options options;
    options.recent_room = pages(64 * sizeof(K));
    options.merge_room = pages(SpillSet<K>::merge_room_bytes());
    Account store = *budget->open({"store", 1, Bytes(0), 20_KiB});
    options.new_blob = [this, store] {
      return Blob::create(folder.path() + "/run-" + std::to_string(next++), store, space);
    };
    options.filters = *budget->open({"filters", 0, Bytes(0), filters_lend});
    options.index = *budget->open({"index", 0});
    set.emplace(std::move(options));
  }
  TestFolder folder;
  std::shared_ptr<ScratchSpace> space = *ScratchSpace::create({folder.path(), 1_GiB, true});
  std::unique_ptr<Budget> budget;
  int next = 0;
  std::optional<SpillSet<K>> set;
};

Key128 key_of(uint32_t i) {
  const uint64_t mixed = (i + 1) * uint64_t{0x9E3779B97F4A7C15};
  // Few top halves, so that equal ones straddle blocks; the largest key hides behind the empty mark.
  if (i == 0) return Key128{~uint64_t{0}, ~uint64_t{0}};
  return Key128{mixed & 0xF000000000000000u, mixed};
}

using Model = std::unordered_set<uint32_t>;

struct Insert : rc::state::Command<Model, Fixture<Key128>> {
  std::vector<uint32_t> values =
      *rc::gen::container<std::vector<uint32_t>>(rc::gen::inRange<uint32_t>(0, 3000));
  void apply(Model& model) const override { model.insert(values.begin(), values.end()); }
  void run(const Model& model, Fixture<Key128>& fixture) const override {
    Model seen = model;
    std::vector<Key128> keys;
    std::vector<uint8_t> want, got(values.size());
    for (const uint32_t value : values) {
      keys.push_back(key_of(value));
      want.push_back(seen.insert(value).second);
    }
    for (size_t i = 0; i < keys.size(); ++i) got[i] = *fixture.set->insert(keys[i]);
    RC_ASSERT(got == want);
    RC_ASSERT(fixture.set->size() == seen.size());
  }
  void show(std::ostream& os) const override { os << "insert " << values.size(); }
};

struct Flush : rc::state::Command<Model, Fixture<Key128>> {
  void run(const Model&, Fixture<Key128>& fixture) const override {
    RC_ASSERT(fixture.set->flush_recent().has_value());
  }
};

struct DropFilters : rc::state::Command<Model, Fixture<Key128>> {
  void run(const Model&, Fixture<Key128>& fixture) const override { fixture.set->drop_filters(); }
};

RC_GTEST_PROP(SpillSet, BehavesLikeAnUnorderedSet, ()) {
  Fixture<Key128> fixture(*rc::gen::element(Bytes(0), Bytes(256), 1_MiB));
  rc::state::check(
      Model(), fixture,
      rc::state::gen::execOneOfWithArgs<Insert, Insert, Insert, Insert, Flush, DropFilters>());
}

template <class K>
void insert_many(Fixture<K>& fixture, const std::function<K(uint64_t)>& key, uint64_t count) {
  for (int round = 0; round < 2; ++round) {
    uint64_t found = 0;
    for (uint64_t i = 0; i < count; ++i) found += *fixture.set->insert(key(i));
    EXPECT_EQ(found, round == 0 ? count : 0);
  }
  EXPECT_EQ(fixture.set->size(), count);
  EXPECT_LE(fixture.set->runs().size(), SpillSet<K>::kMaxRuns);
}

TEST(SpillSet, MergesRunsAndStaysExact) {
  Fixture<Key64> narrow(1_MiB);
  insert_many<Key64>(
      narrow, [](uint64_t i) { return Key64{i * 0x9E3779B97F4A7C15u}; }, 40000);
  Fixture<Key128> wide(Bytes(0));
  insert_many<Key128>(
      wide,
      [](uint64_t i) {
        return Key128{i * 0x9E3779B97F4A7C15u, i};
      },
      40000);
}

// The stop is there from the beginning: no merge is begun while the room allows it, none is half done.
TEST(SpillSet, PutsMergesOffAfterAStopAndStaysExact) {
  std::stop_source stop;
  Fixture<Key64> fixture(1_MiB);
  const auto key = [](uint64_t i) { return Key64{i * 0x9E3779B97F4A7C15u}; };
  uint64_t added = 0;
  const auto add_run = [&] {
    auto run = fixture.set->new_run();
    std::vector<Key64> keys;
    for (uint64_t i = 0; i < 50; ++i) keys.push_back(key(added++));
    std::sort(keys.begin(), keys.end());
    ASSERT_TRUE(run->append(keys));
    ASSERT_TRUE(run->finish());
    ASSERT_TRUE(fixture.set->add(std::move(run), stop.get_token()));
  };
  for (size_t i = 0; i < SpillSet<Key64>::kMaxRuns; ++i) add_run();
  stop.request_stop();
  add_run();
  EXPECT_EQ(fixture.set->runs().size(), SpillSet<Key64>::kMostRuns) << "put off";
  add_run();
  EXPECT_LE(fixture.set->runs().size(), SpillSet<Key64>::kMaxRuns)
      << "there is no room to put it off";
  for (uint64_t i = 0; i < added; ++i) EXPECT_FALSE(*fixture.set->insert(key(i), stop.get_token()));
  EXPECT_TRUE(*fixture.set->insert(key(added), stop.get_token()));
  const auto flushed = fixture.set->flush_recent(stop.get_token());
  ASSERT_FALSE(flushed);
  EXPECT_EQ(flushed.error().code(), Code::kCancelled);
}

}  // namespace
}  // namespace spillway

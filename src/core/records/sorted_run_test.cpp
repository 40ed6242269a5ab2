#include "core/records/sorted_run.hpp"

#include <gtest/gtest.h>

#include "core/damage.hpp"
#include "core/test_folder.hpp"

namespace spillway {
namespace {

template <class K>
K key_at(uint64_t i) {
  K key{};
  key.hi = i * 0x0001234567ull << 8;
  if constexpr (K::kWide) key.lo = i * 0x9E3779B97F4A7C15ull;
  return key;
}

constexpr unsigned kAlign = 8;

// Lends for fences.
Account index_of(Budget& budget) { return *budget.open({"index", 1}); }

// Writes a run of `count` keys to `path`; its length.
template <class K>
uint64_t write_run(const std::string& path, const std::shared_ptr<ScratchSpace>& space,
                   uint64_t count) {
  const auto budget = Budget::create(1_MiB);
  auto run = SortedRun<K>::create(Blob::create(path, Account(), space), kAlign, index_of(*budget));
  for (uint64_t i = 0; i < count; ++i) {
    const K key = key_at<K>(i);
    EXPECT_TRUE(run->append(std::span(&key, 1)));
  }
  EXPECT_TRUE(run->finish());
  EXPECT_TRUE(run->blob().persist());
  run->blob().keep();
  return run->blob().size();
}

template <class K>
class Runs : public ::testing::Test {};
using Keys = ::testing::Types<Key64, Key128>;
TYPED_TEST_SUITE(Runs, Keys);

TYPED_TEST(Runs, NoticeEveryCutAndEveryFlippedBit) {
  using K = TypeParam;
  const TestFolder folder;
  auto space = *ScratchSpace::create({folder.path(), 1_GiB, true});
  const std::string path = folder.path() + "/run-0";
  constexpr uint64_t kKeys = kBlockKeys + 50;  // two blocks
  const uint64_t size = write_run<K>(path, space, kKeys);
  std::vector<K> keys(kBlockKeys);
  std::vector<uint8_t> raw(kMaxBlockBytes);
  const auto budget = Budget::create(1_MiB);
  const Account index = index_of(*budget);
  const auto read = [&]() -> Result<bool> {
    const auto run = TRY(SortedRun<K>::open(TRY(Blob::open(path, size, space)), kAlign, index));
    uint64_t met = 0;
    bool right = run->size() == kKeys;
    RunReader<K> reader(keys, raw);
    reader.seek(*run, 0, ~uint64_t{0});
    while (true) {
      const auto some = TRY(reader.next());
      if (some.empty()) return right && met == kKeys;
      for (const K& key : some) right &= met < kKeys && key == key_at<K>(met++);
    }
  };
  // A sample; every bit of a header is flipped below.
  const size_t noticed = damage(path, read, K::kWide ? 23 : 7);
  EXPECT_EQ(noticed, 2 * ((size + (K::kWide ? 22 : 6)) / (K::kWide ? 23 : 7)));
}

// A look-up that needs one block must not trust the header of another.
TYPED_TEST(Runs, NoticeADamagedHeaderBeforeAnyLookUp) {
  using K = TypeParam;
  const TestFolder folder;
  auto space = *ScratchSpace::create({folder.path(), 1_GiB, true});
  const std::string path = folder.path() + "/run-0";
  const uint64_t size = write_run<K>(path, space, 100);
  const std::vector<uint8_t> whole = content_of(path);
  const auto budget = Budget::create(1_MiB);
  const Account index = index_of(*budget);
  for (size_t at = 0; at < 48; ++at) {
    for (unsigned bit = 0; bit < 8; ++bit) {
      std::vector<uint8_t> flipped = whole;
      flipped[at] = static_cast<uint8_t>(flipped[at] ^ (1u << bit));
      overwrite(path, flipped);
      const auto opened = SortedRun<K>::open(*Blob::open(path, size, space), kAlign, index);
      ASSERT_FALSE(opened) << "byte " << at << " bit " << bit;
      EXPECT_EQ(opened.error().code(), Code::kCorrupt);
    }
  }
}

// The fences of a run grow with it: leased, and refused with a word, never taken unasked.
TYPED_TEST(Runs, LeaseTheirFencesOrSayWhatIsMissing) {
  using K = TypeParam;
  const TestFolder folder;
  auto space = *ScratchSpace::create({folder.path(), 1_GiB, true});
  const auto budget = Budget::create(64_MiB);
  Account index = *budget->open({"index", 1, Bytes(0), 16_KiB});  // 1,024 blocks
  Account store = *budget->open({"store", 1});
  auto run =
      SortedRun<K>::create(Blob::create(folder.path() + "/run", store, space), kAlign, index);
  std::vector<K> keys(kBlockKeys);
  Result<void> grown;
  uint64_t blocks = 0;
  for (; grown && blocks < 2000; ++blocks) {
    for (size_t i = 0; i < keys.size(); ++i) keys[i] = key_at<K>(blocks * kBlockKeys + i);
    grown = run->append(keys);
  }
  ASSERT_FALSE(grown);
  EXPECT_EQ(grown.error().code(), Code::kMemoryLimit);
  EXPECT_EQ(blocks, 1025u);
  EXPECT_EQ(index.used(), 16_KiB);
  EXPECT_EQ(store.used(), 0_B) << "the run gave its own memory back first";
  run.reset();
  EXPECT_EQ(budget->used(), 0_B);
}

}  // namespace
}  // namespace spillway

#include "core/memory/leased_list.hpp"

#include <gtest/gtest.h>

namespace spillway {
namespace {

TEST(LeasedList, LeasesWhatItGrowsByAndStaysAsItWasWhenRefused) {
  const auto budget = Budget::create(1_MiB);
  Account account = *budget->open({"list", 1, Bytes(0), 48_KiB});
  {
    LeasedList<uint64_t> list(account);
    EXPECT_EQ(budget->used(), 0_B);
    uint64_t count = 0;
    while (list.push_back(3 * count)) ++count;
    EXPECT_EQ(count, (48_KiB).count() / 8);
    EXPECT_EQ(list.size(), count);
    EXPECT_EQ(budget->used(), 48_KiB);
    for (uint64_t i = 0; i < count; ++i) ASSERT_EQ(list[i], 3 * i);
    for (const uint64_t key : {0, 1, 2, 3, 3000, 3001, 1000000})
      EXPECT_EQ(list.partition_point([&](uint64_t item) { return item < key; }),
                std::min<uint64_t>((key + 2) / 3, count));
  }
  EXPECT_EQ(budget->used(), 0_B);
  EXPECT_FALSE(LeasedList<int>().push_back(1)) << "an account that was not opened lends nothing";
}

}  // namespace
}  // namespace spillway

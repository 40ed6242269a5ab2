#include "core/flow/channel.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace spillway {
namespace {

TEST(Channel, GivesItemsInOrderAndEndsWhenClosed) {
  Channel<int> channel({4, 1_MiB});
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(channel.push(i, Bytes(1), {}));
  channel.close();
  EXPECT_FALSE(channel.push(9, Bytes(1), {}));
  for (int i = 0; i < 4; ++i) EXPECT_EQ(channel.pop({}), i);
  EXPECT_EQ(channel.pop({}), std::nullopt);
}

TEST(Channel, AdmitsOneItemOfAnySizeWhenEmpty) {
  Channel<int> channel({4, Bytes(10)});
  ASSERT_TRUE(channel.push(1, 1_GiB, {}));
  std::stop_source stop;
  stop.request_stop();
  EXPECT_FALSE(channel.push(2, Bytes(1), stop.get_token()));  // would wait: the bytes are used up
  EXPECT_EQ(channel.pop({}), 1);
  EXPECT_TRUE(channel.push(2, Bytes(1), {}));
}

TEST(Channel, StopEndsEveryWait) {
  Channel<int> channel({1, 1_MiB});
  std::stop_source stop;
  std::atomic<int> ended{0};
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 3; ++i) {
      threads.emplace_back([&] {
        while (channel.pop(stop.get_token())) {
        }
        ++ended;
      });
    }
    ASSERT_TRUE(channel.push(1, Bytes(1), {}));
    stop.request_stop();
  }
  EXPECT_EQ(ended, 3);
}

TEST(Channel, ManyProducersAndConsumersLoseNothing) {
  Channel<int> channel({3, Bytes(64)});
  std::atomic<int64_t> sum{0};
  std::atomic<int> producers{3};
  {
    std::vector<std::jthread> threads;
    for (int p = 0; p < 3; ++p) {
      threads.emplace_back([&, p] {
        for (int i = 0; i < 5000; ++i) ASSERT_TRUE(channel.push(p * 5000 + i, Bytes(30), {}));
        if (--producers == 0) channel.close();
      });
    }
    for (int c = 0; c < 2; ++c) {
      threads.emplace_back([&] {
        while (const auto item = channel.pop({})) sum += *item;
      });
    }
  }
  EXPECT_EQ(sum, int64_t{15000} * 14999 / 2);
}

}  // namespace
}  // namespace spillway

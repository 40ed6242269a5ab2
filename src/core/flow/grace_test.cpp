#include "core/flow/grace.hpp"

#include <gtest/gtest.h>

#include <future>

namespace spillway {
namespace {

TEST(Grace, ComesAfterTheStopItFollows) {
  Grace grace(std::chrono::milliseconds(1));
  std::promise<void> came;
  const std::stop_callback tell(grace.token(), [&] { came.set_value(); });
  std::stop_source stop;
  grace.follow(stop.get_token());
  EXPECT_FALSE(grace.token().stop_requested());
  stop.request_stop();
  came.get_future().wait();
}

TEST(Grace, FollowsAStopThatCameBefore) {
  std::stop_source stop;
  stop.request_stop();
  Grace none(std::chrono::milliseconds(0));
  none.follow(stop.get_token());
  EXPECT_TRUE(none.token().stop_requested());
}

TEST(Grace, EndsWithoutWaitingForItsTime) {
  std::stop_source stop;
  Grace grace(std::chrono::hours(1));
  grace.follow(stop.get_token());
  stop.request_stop();
  EXPECT_FALSE(grace.token().stop_requested());
}

}  // namespace
}  // namespace spillway

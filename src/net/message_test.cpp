#include "net/message.hpp"

#include <gtest/gtest.h>

namespace spillway::net {
namespace {

using std::chrono::seconds;

TEST(ReplyHead, TakesNumbersOnlyWhereNothingElseStands) {
  const auto length = [](const char* text) {
    return ReplyHead::of(200, {{"content-length", text}}, 0).length;
  };
  EXPECT_EQ(length("17"), 17u);
  EXPECT_EQ(length(" 17\t"), 17u);
  for (const char* const bad : {"", "-1", "+1", "1x", "0x10", "18446744073709551616", "1, 1"})
    EXPECT_FALSE(length(bad)) << bad;
}

TEST(ReplyHead, KnowsRangesWithAndWithoutASize) {
  const auto whole = parse_content_range("bytes 0-99/1000");
  ASSERT_TRUE(whole);
  EXPECT_EQ(whole->first, 0u);
  EXPECT_EQ(whole->last, 99u);
  EXPECT_EQ(whole->size, 1000u);
  EXPECT_EQ(parse_content_range("BYTES 5-5/*")->size, std::nullopt);
  for (const char* const bad :
       {"", "bytes", "bytes */1000", "bytes 9-5/10", "bytes 0-10/10", "bytes 0-9", "items 0-9/10",
        "bytes 0-9/", "bytes a-9/10", "bytes 0-18446744073709551616/*", "bytes 1/2-3"})
    EXPECT_FALSE(parse_content_range(bad)) << bad;
}

TEST(ReplyHead, ReadsRetryAfterAsSecondsAndAsADate) {
  const auto after = [](const char* text) {
    return ReplyHead::of(503, {{"Retry-After", text}}, 784111700).retry_after;
  };
  EXPECT_EQ(after("120"), seconds(120));
  EXPECT_EQ(after("Sun, 06 Nov 1994 08:49:37 GMT"), seconds(77));  // 784111777
  EXPECT_EQ(after("Sun, 06 Nov 1994 08:00:00 GMT"), seconds(0));   // has been
  EXPECT_FALSE(after("soon"));
  EXPECT_EQ(after("99999999999999999999"), std::nullopt);
}

TEST(ReplyHead, SeesWhereABodyHasAnEnd) {
  EXPECT_TRUE(ReplyHead::of(200, {{"Content-Length", "0"}}, 0).has_end(Method::kGet));
  EXPECT_TRUE(
      ReplyHead::of(200, {{"transfer-encoding", "gzip, Chunked"}}, 0).has_end(Method::kGet));
  EXPECT_FALSE(
      ReplyHead::of(200, {{"transfer-encoding", "chunked, gzip"}}, 0).has_end(Method::kGet));
  EXPECT_FALSE(ReplyHead::of(200, {}, 0).has_end(Method::kGet));
  EXPECT_TRUE(ReplyHead::of(200, {}, 0).has_end(Method::kHead));
  EXPECT_TRUE(ReplyHead::of(204, {}, 0).has_end(Method::kDelete));
}

TEST(Request, RefusesHeadersThatWouldBecomeOthers) {
  const auto is_good = [](const char* name, const char* value) {
    Request request;
    request.headers.push_back({name, value});
    return check(request).has_value();
  };
  EXPECT_TRUE(is_good("If-Match", "\"a b\""));
  EXPECT_TRUE(is_good("x-amz-meta-name", "\xC2\xB5m"));
  EXPECT_FALSE(is_good("If-Match", "a\r\nHost: b"));
  EXPECT_FALSE(is_good("If-Match", "a\nb"));
  EXPECT_FALSE(is_good("If Match", "a"));
  EXPECT_FALSE(is_good("", "a"));
  EXPECT_FALSE(is_good("Host:", "a"));
}

}  // namespace
}  // namespace spillway::net

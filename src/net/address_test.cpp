#include "net/address.hpp"

#include <gtest/gtest.h>

namespace spillway::net {
namespace {

TEST(Address, ShowsNeitherSignaturesNorUsers) {
  EXPECT_EQ(redacted("https://me:secret@host/a/b?X-Amz-Signature=abc"), "https://host/a/b?...");
  EXPECT_EQ(redacted("https://host/a#part"), "https://host/a");
  EXPECT_EQ(redacted("https://host/a@b"), "https://host/a@b");
  EXPECT_EQ(redacted("http://host/\x1b[2J"), "http://host/\\x1b[2J");
  EXPECT_EQ(redacted("blocks.bin"), "blocks.bin");
  EXPECT_EQ(redacted("precomputed://https://me:secret@host/a?b"),
            "precomputed://https://host/a?...");
  EXPECT_EQ(redacted("http://me:secret@host/a://b"), "http://host/a://b");
}

TEST(Address, IsTheSameThingWhenItIsSignedAnew) {
  const std::string one = "https://host/a?roi=7&X-Amz-Date=1&X-Amz-Signature=abc";
  EXPECT_EQ(identity(one), identity("https://host/a?roi=7&X-Amz-Date=2&X-Amz-Signature=def"));
  EXPECT_NE(identity(one), identity("https://host/a?roi=8&X-Amz-Date=1&X-Amz-Signature=abc"));
  EXPECT_EQ(identity("https://host/a?sig=abc&se=2030"), "https://host/a");
  EXPECT_EQ(identity(one).find("abc"), std::string::npos);
  EXPECT_EQ(identity(one).find("roi"), std::string::npos);  // it may be a key that we do not know
  EXPECT_EQ(identity("a?b"), "a?b");
}

TEST(Address, OnesThatCannotBeReadAreRefusedWithoutTheirSecrets) {
  EXPECT_TRUE(check_address("http://host:81/a?b=c").has_value());
  EXPECT_TRUE(check_address("HTTPS://host/a").has_value());
  for (const char* const bad : {"ftp://host/a?sig=secret", "http://me:secret@host/a", "http:///a",
                                "http://host/a b?sig=secret", "http://host/a\r\nX: secret"}) {
    const auto checked = check_address(bad);
    ASSERT_FALSE(checked.has_value()) << bad;
    EXPECT_EQ(checked.error().code(), Code::kUsage);
    if (std::string(bad).find('\r') == std::string::npos) {
      EXPECT_EQ(checked.error().message().find("secret"), std::string::npos) << bad;
    }
  }
}

}  // namespace
}  // namespace spillway::net
